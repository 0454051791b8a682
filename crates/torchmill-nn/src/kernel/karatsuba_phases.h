// Karatsuba's algorithm for convolutions with kernels of 5x5. In signal processing it is known as the fast FIR algorithm
// (Z.-J. Mou, P. Duhamel, "Short-length FIR filters and their use in fast nonrecursive filtering", 1991).
//
// In one dimension, the padded input x and the kernel h are split into two phases: their even and their odd elements. A
// convolution takes four convolutions of phases. Karatsuba's algorithm takes three, because it convolves the sums of both
// phases:
//
//     even[m] = h0 x[2m]   + h2 x[2m+2] + h4 x[2m+4]
//     odd[m]  = h1 x[2m+1] + h3 x[2m+3]
//     both[m] = h0 (x[2m] + x[2m+1]) + (h1 + h2) (x[2m+2] + x[2m+3]) + (h3 + h4) (x[2m+4] + x[2m+5])
//     y[2m]   = even[m] + odd[m]
//     y[2m+1] = both[m] - even[m] - odd[m+1]
//
// Two outputs take 8 multiplications instead of 10, and a square of 2x2 outputs takes 64 instead of 100. Winograd's
// algorithm takes 49, with F(2, 3) and F(2, 2) in each dimension. But it transforms each input element to about 12, and this
// algorithm to 2.25. With few channels, the transforms take longer than the multiplications that they save.
//
// In float32, errors are about those of a plain convolution. In bfloat16, sums of two or four elements are rounded before
// they are multiplied. With random data, errors are two to three times those of rounding the result alone. They are larger
// where products cancel: 13 times for nearly constant images and kernels whose sum is 0. Sums of products are in float32. An
// infinite or NaN input gives NaN in outputs up to two pixels from those that depend on it.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>

#include "avx512.h"
#include "dense_convolution.h"
#include "division.h"

#ifdef AVX512_IS_SUPPORTED

namespace torchmill {

// The side of a kernel.
constexpr int KERNEL = 5;
// The phases of one dimension. In two dimensions there are PHASES x PHASES, and an image has a sub-image for each.
constexpr int PHASES = 3;
constexpr int EVEN = 0, ODD = 1, BOTH = 2;
// The kernel's elements of all phases. Phase p has PHASE_TAPS[p] of them from FIRST_TAP[p] on.
constexpr int TAPS = 8;
constexpr int PHASE_TAPS[PHASES] = {3, 2, 3};
constexpr int FIRST_TAP[PHASES] = {0, 3, 5};
// The rows and columns that a sub-image has in addition to those of its results.
constexpr int64_t BORDER = 2;

// The transforms of one dimension. Elements are `step` apart, and results `to_step`.
INLINE void split_input(const __m512* x, int step, __m512* to, int to_step) {
    to[0] = x[0];
    to[to_step] = x[step];
    to[2 * to_step] = _mm512_add_ps(x[0], x[step]);
}
INLINE void split_kernel(const __m512* h, int step, __m512* to, int to_step) {
    to[0] = h[0];
    to[to_step] = h[2 * step];
    to[2 * to_step] = h[4 * step];
    to[3 * to_step] = h[step];
    to[4 * to_step] = h[3 * step];
    to[5 * to_step] = h[0];
    to[6 * to_step] = _mm512_add_ps(h[step], h[2 * step]);
    to[7 * to_step] = _mm512_add_ps(h[3 * step], h[4 * step]);
}
// Takes even[m], odd[m], odd[m + 1] and both[m].
INLINE void join_output(const __m512* p, int step, __m512* to, int to_step) {
    to[0] = _mm512_add_ps(p[0], p[step]);
    to[to_step] = _mm512_sub_ps(_mm512_sub_ps(p[3 * step], p[0]), p[2 * step]);
}

// The transposes of `join_output` and `split_kernel`. The first takes y[2m - 1], y[2m] and y[2m + 1].
INLINE void split_gradient(const __m512* y, int step, __m512* to, int to_step) {
    to[0] = _mm512_sub_ps(y[step], y[2 * step]);
    to[to_step] = _mm512_sub_ps(y[step], y[0]);
    to[2 * to_step] = y[2 * step];
}
INLINE void join_kernel(const __m512* u, int step, __m512* to, int to_step) {
    to[0] = _mm512_add_ps(u[0], u[5 * step]);
    to[to_step] = _mm512_add_ps(u[3 * step], u[6 * step]);
    to[2 * to_step] = _mm512_add_ps(u[step], u[6 * step]);
    to[3 * to_step] = _mm512_add_ps(u[4 * step], u[7 * step]);
    to[4 * to_step] = _mm512_add_ps(u[2 * step], u[7 * step]);
}

struct Range {
    int64_t first, end;
};

// One of the nine convolutions of sub-images.
struct Subconvolution {
    int row_phase, column_phase;

    int index() const { return row_phase * PHASES + column_phase; }
    int tap_rows() const { return PHASE_TAPS[row_phase]; }
    int tap_columns() const { return PHASE_TAPS[column_phase]; }
    // The index of one of its taps among TAPS x TAPS.
    int tap(int row, int column) const { return (FIRST_TAP[row_phase] + row) * TAPS + FIRST_TAP[column_phase] + column; }
};

// Calls `compute` for each.
template <typename Compute>
void for_subconvolutions(const Compute& compute) {
    for (int row_phase = 0; row_phase < PHASES; ++row_phase) {
        for (int column_phase = 0; column_phase < PHASES; ++column_phase) compute({row_phase, column_phase});
    }
}

// The sizes of the phases.
struct Phases {
    explicit Phases(const DenseConvolution& shape)
        : rows(divide_up(shape.out_height, 2)), columns(divide_up(shape.out_width, 2)),
          input_rows(inputs(shape.height, shape.padding_height)), input_columns(inputs(shape.width, shape.padding_width)) {
    }

    // The columns of the results of a phase. The odd phase has one more than the others.
    int64_t result_columns(int phase) const { return columns + (phase == ODD); }

    // The output's rows and columns, halved and rounded up.
    const int64_t rows, columns;
    // The rows and columns of each phase's sub-image that are not all padding.
    const std::array<Range, PHASES> input_rows, input_columns;

private:
    static std::array<Range, PHASES> inputs(int64_t size, int64_t padding) {
        const Range even{divide_up(padding, 2), divide_up(padding + size, 2)};
        const Range odd{padding / 2, (padding + size) / 2};
        return {even, odd, Range{std::min(even.first, odd.first), std::max(even.end, odd.end)}};
    }
};

// What is computed at once: some images, or some rows of one. Rows are pairs of the output's rows.
struct Block {
    int64_t image, images;
    int64_t row, rows;
};

// Divides the images of a convolution into blocks.
class Blocks {
public:
    // Blocks have about `block_bytes` or less if an image has `image_bytes`, but at least one row. Whole images are divided
    // for this many workers: each gets equally many blocks of about the same size, and there can be fewer blocks. Blocks
    // have multiples of `group` images. There is at least one image and one row.
    Blocks(int64_t images, int64_t rows, int64_t image_bytes, int64_t block_bytes, int64_t group, int64_t workers)
        : images(images), rows(rows), block_images(group), block_rows(rows) {
        const int64_t group_bytes = image_bytes * group;
        if (group_bytes <= block_bytes) {
            const int64_t largest = block_bytes / group_bytes * group;
            const int64_t rounds = divide_up(images, largest * workers);
            block_images = divide_up(divide_up(images, rounds * workers), group) * group;
        } else {
            block_rows = divide_up(rows, std::min(rows, divide_up(group_bytes, block_bytes)));
        }
    }

    int64_t count() const { return divide_up(images, block_images) * divide_up(rows, block_rows); }

    Block at(int64_t index) const {
        const int64_t per_image = divide_up(rows, block_rows);
        const int64_t image = index / per_image * block_images, row = index % per_image * block_rows;
        return {image, std::min(block_images, images - image), row, std::min(block_rows, rows - row)};
    }

    // The images and rows of the largest block.
    int64_t most_images() const { return block_images; }
    int64_t most_rows() const { return block_rows; }

private:
    int64_t images, rows, block_images, block_rows;
};

// The number of input channels of a kernel for multiples of 32. Others have their number.
constexpr int MANY = 0;

// Sub-images of a block, [PHASES x PHASES, images, lines, rows, columns, pixel elements]. A line has some of the channels of
// all pixels.
template <typename Element>
class SubImages {
public:
    SubImages(int64_t images, int64_t lines, int64_t rows, int64_t columns, int64_t pixel)
        : pixel(pixel), row(columns * pixel), line(rows * row), image(lines * line),
          phase((divide_up(images * image, LANES) | 1) * LANES), size(PHASES * PHASES * phase), elements(size) {}

    void fill_with_zeros() { std::fill_n(elements.data(), size, Element(0)); }

    Element* at(int64_t phase_index, int64_t image_index, int64_t row_index, int64_t column_index) const {
        return elements.data() + phase_index * phase + image_index * image + row_index * row + column_index * pixel;
    }

    // The distances between pixels, rows, lines, images and phases. Phases of 32-bit elements are an odd number of cache
    // lines apart, so that a pixel's elements lie in different sets of the L1 cache.
    const int64_t pixel, row, line, image, phase;

private:
    int64_t size;
    Buffer<Element> elements;
};

}  // namespace torchmill
#endif
