// The output of a convolution, by Karatsuba's algorithm (karatsuba_phases.h).
//
// Each thread splits a block of images into nine sub-images, convolves each with its part of the kernel, and joins the
// results, while the block is in the L2 cache.
#include "karatsuba.h"

#include "avx512.h"
#include "division.h"
#include "karatsuba_phases.h"
#include "square_transform.h"
#include "transformed_weight.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

namespace torchmill {
namespace {

// At most this many pixels of a row are computed together.
constexpr int64_t MOST_PIXELS = 9;
// The target size of the sub-images of a block, in bytes.
constexpr int64_t BLOCK_BYTES = 1 << 18;

// The taps of a weight, [panels, taps, lines, LANES operands, PANEL output channels]. A line has LANES operands.
template <typename T>
class PackedWeight {
public:
    static constexpr int64_t LINE_CHANNELS = PACKED<T> * LANES;

    PackedWeight(const DenseConvolution& shape, const WeightView<T>& weight)
        : lines(shape.in_channels / LINE_CHANNELS), elements(TAPS * TAPS * lines * LANES * shape.out_channels) {
        for_kernels(shape, [&](int64_t out, int64_t in) {
            const int64_t operand = in % LINE_CHANNELS / PACKED<T>;
            pack_kernels<split_kernel, KERNEL, TAPS>(weight, out, in, [&](int tap) {
                return at(out / PANEL, tap) + (in / LINE_CHANNELS * LANES + operand) * PANEL + out % PANEL;
            });
        });
    }

    Operand* at(int64_t panel, int tap) const {
        return elements.data() + (panel * TAPS * TAPS + tap) * lines * LANES * PANEL;
    }

    const int64_t lines;

private:
    Buffer<Operand> elements;
};

// The product of pixels and taps. The pixels are in one row of one or two images.
struct Product {
    const Operand* pixels;
    // The distances between images, lines and rows of pixels.
    int64_t image_stride, line_stride, row_stride;
    const Operand* taps;
    // The rows of taps that do not meet padding alone, and the number of columns.
    Range tap_rows;
    int tap_columns;
    int64_t lines;
    // Whether the first column of taps meets padding at the first pixel, and the last column at the last pixel.
    bool skips_first, skips_last;
    // [images, pixels, PANEL].
    float* sums;
    int64_t sums_image_stride;
};

// The sums for PIXELS pixels of IMAGES images, in registers.
template <typename T, int IMAGES, int PIXELS>
struct Sums {
    static constexpr int COUNT = IMAGES * PIXELS;
    __m512 low[COUNT], high[COUNT];

    INLINE void clear() {
#pragma GCC unroll 16
        for (int i = 0; i < COUNT; ++i) low[i] = high[i] = _mm512_setzero_ps();
    }

    // Adds the products of a line of one tap for the pixels from FIRST to END.
    template <int FIRST, int END>
    INLINE void add(const Operand* pixels, int64_t image_stride, const Operand* tap) {
        for (int64_t k = 0; k < LANES; ++k) {
            const __m512i first = _mm512_load_si512(tap), second = _mm512_load_si512(tap + LANES);
#pragma GCC unroll 2
            for (int image = 0; image < IMAGES; ++image) {
#pragma GCC unroll 16
                for (int i = FIRST; i < END; ++i) {
                    const Operand operand = pixels[image * image_stride + i * LANES + k];
                    const int sum = image * PIXELS + i;
                    low[sum] = multiply_add<T>(operand, first, low[sum]);
                    high[sum] = multiply_add<T>(operand, second, high[sum]);
                }
            }
            tap += PANEL;
        }
    }

    // Adds the sums to those in memory, or overwrites them.
    INLINE void store(float* to, int64_t image_stride, bool adds) {
#pragma GCC unroll 2
        for (int image = 0; image < IMAGES; ++image) {
#pragma GCC unroll 16
            for (int i = 0; i < PIXELS; ++i) {
                float* const pixel = to + image * image_stride + i * PANEL;
                const int sum = image * PIXELS + i;
                if (adds) {
                    low[sum] = _mm512_add_ps(low[sum], _mm512_load_ps(pixel));
                    high[sum] = _mm512_add_ps(high[sum], _mm512_load_ps(pixel + LANES));
                }
                _mm512_store_ps(pixel, low[sum]);
                _mm512_store_ps(pixel + LANES, high[sum]);
            }
        }
    }
};

template <typename T, int IMAGES, int PIXELS>
FOR_AVX512 void multiply(const Product& p) {
    const int64_t tap_stride = p.lines * LANES * PANEL;
    for (int64_t line = 0; line < p.lines; ++line) {
        // Each line has sums of its own: short sums lose fewer digits.
        Sums<T, IMAGES, PIXELS> sums;
        sums.clear();
        for (int64_t row = p.tap_rows.first; row < p.tap_rows.end; ++row) {
            const Operand* pixels = p.pixels + line * p.line_stride + row * p.row_stride;
            const Operand* tap = p.taps + row * TAPS * tap_stride + line * LANES * PANEL;
            for (int column = 0; column < p.tap_columns; ++column) {
                if (column == 0 && p.skips_first) {
                    sums.template add<1, PIXELS>(pixels, p.image_stride, tap);
                } else if (column == p.tap_columns - 1 && p.skips_last) {
                    sums.template add<0, PIXELS - 1>(pixels, p.image_stride, tap);
                } else {
                    sums.template add<0, PIXELS>(pixels, p.image_stride, tap);
                }
                pixels += LANES;
                tap += tap_stride;
            }
        }
        sums.store(p.sums, p.sums_image_stride, line > 0);
    }
}

template <typename T>
void multiply(const Product& product, int64_t images, int64_t pixels) {
    using Multiply = void (*)(const Product&);
    static constexpr Multiply one[MOST_PIXELS] = {
        multiply<T, 1, 1>, multiply<T, 1, 2>, multiply<T, 1, 3>, multiply<T, 1, 4>, multiply<T, 1, 5>,
        multiply<T, 1, 6>, multiply<T, 1, 7>, multiply<T, 1, 8>, multiply<T, 1, 9>};
    static constexpr Multiply two[(MOST_PIXELS + 1) / 2] = {
        multiply<T, 2, 1>, multiply<T, 2, 2>, multiply<T, 2, 3>, multiply<T, 2, 4>, multiply<T, 2, 5>};
    (images == 1 ? one : two)[pixels - 1](product);
}

// Computes the outputs of blocks, on one thread.
template <typename T>
class OutputBlock {
    static constexpr int64_t LINE_CHANNELS = PackedWeight<T>::LINE_CHANNELS;

public:
    OutputBlock(const DenseConvolution& shape, const Blocks& blocks, const PackedWeight<T>& weight)
        : shape(shape), weight(weight), phases(shape),
          inputs(blocks.most_images(), weight.lines, blocks.most_rows() + BORDER, phases.columns + BORDER, LANES),
          sums(blocks.most_images(), 1, blocks.most_rows() + 1, phases.columns + 1, PANEL), zeros(shape.in_channels) {}

    void compute(const Block& block, const T* x, const T* bias, T* y) {
        split(block, x);
        for (int64_t panel = 0; panel < shape.out_channels / PANEL; ++panel) {
            for_subconvolutions([&](const Subconvolution& part) { convolve(block, part, panel); });
            join(block, panel * PANEL, bias, y);
        }
    }

private:
    void split(const Block& block, const T* x) {
        const Images<const T> images{x, shape.height, shape.width, shape.in_channels};
        for (int64_t image = 0; image < block.images; ++image) {
            for (int64_t row = 0; row < block.rows + BORDER; ++row) {
                for (int64_t column = 0; column < phases.columns + BORDER; ++column) {
                    const T* pixels[4];
                    images.find_square(
                        block.image + image, 2 * (block.row + row) - shape.padding_height,
                        2 * column - shape.padding_width, 2, zeros.data(), pixels);
                    split_pixels(pixels, inputs.at(0, image, row, column));
                }
            }
        }
    }

    // Splits a square of 2x2 pixels into one pixel of each sub-image.
    FOR_AVX512 void split_pixels(const T* const* pixels, Operand* to) const {
        for (int64_t channel = 0; channel < shape.in_channels; channel += LINE_CHANNELS) {
            store_transformed<split_input, 2, PHASES, Pairs::Channels>(pixels, channel, to, inputs.phase);
            to += inputs.line;
        }
    }

    void convolve(const Block& block, const Subconvolution& part, int64_t panel) {
        const int64_t rows = block.rows + (part.row_phase == ODD);
        const int64_t columns = phases.result_columns(part.column_phase);
        const int64_t chunks = divide_up(columns, MOST_PIXELS);
        const int64_t together = divide_up(columns, chunks) * 2 <= MOST_PIXELS + 1 ? 2 : 1;
        for (int64_t image = 0; image < block.images; image += together) {
            const int64_t images = std::min(together, block.images - image);
            for (int64_t row = 0; row < rows; ++row) {
                for (int64_t chunk = 0; chunk < chunks; ++chunk) {
                    const Range pixels{columns * chunk / chunks, columns * (chunk + 1) / chunks};
                    convolve_row(block, part, panel, image, images, row, pixels);
                }
            }
        }
    }

    void convolve_row(
        const Block& block, const Subconvolution& part, int64_t panel, int64_t image, int64_t images, int64_t row,
        const Range& pixels) {
        const Range& input_rows = phases.input_rows[part.row_phase];
        const Range& input_columns = phases.input_columns[part.column_phase];
        const int64_t first_row = block.row + row;
        Product product;
        product.pixels = inputs.at(part.index(), image, row, pixels.first);
        product.image_stride = inputs.image;
        product.line_stride = inputs.line;
        product.row_stride = inputs.row;
        product.taps = weight.at(panel, part.tap(0, 0));
        product.tap_rows = {
            std::clamp<int64_t>(input_rows.first - first_row, 0, part.tap_rows()),
            std::clamp<int64_t>(input_rows.end - first_row, 0, part.tap_rows())};
        product.tap_columns = part.tap_columns();
        product.lines = weight.lines;
        product.skips_first = pixels.first < input_columns.first;
        product.skips_last = pixels.end - 1 + part.tap_columns() - 1 >= input_columns.end;
        product.sums = sums.at(part.index(), image, row, pixels.first);
        product.sums_image_stride = sums.image;
        multiply<T>(product, images, pixels.end - pixels.first);
    }

    // Joins the results of all sub-images to a panel of the output's channels.
    void join(const Block& block, int64_t channel, const T* bias, T* y) {
        const Images<T> outputs{y, shape.out_height, shape.out_width, shape.out_channels};
        for (int64_t image = 0; image < block.images; ++image) {
            for (int64_t row = 0; row < block.rows; ++row) {
                for (int64_t column = 0; column < phases.columns; ++column) {
                    T* pixels[4];
                    outputs.find_square(block.image + image, 2 * (block.row + row), 2 * column, 2, nullptr, pixels);
                    join_pixels(sums.at(0, image, row, column), channel, bias, pixels);
                }
            }
        }
    }

    // Writes a square of 2x2 pixels. Those outside the image are null.
    FOR_AVX512 void join_pixels(const float* from, int64_t channel, const T* bias, T* const* pixels) const {
        // What `join_output` takes: the phases, and how far their elements are from this one.
        constexpr int phase[] = {0, ODD, ODD, 2}, distance[] = {0, 0, 1, 0};
        for (int64_t c = 0; c < PANEL; c += LANES) {
            __m512 parts[16], y[4];
#pragma GCC unroll 4
            for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
                for (int j = 0; j < 4; ++j) {
                    const Subconvolution part{phase[i], phase[j]};
                    parts[4 * i + j] = _mm512_load_ps(
                        from + part.index() * sums.phase + distance[i] * sums.row + distance[j] * sums.pixel + c);
                }
            }
            transform_square<join_output, 4, 2>(parts, y);
            const __m512 added = bias == nullptr ? _mm512_setzero_ps() : load(bias + channel + c);
            for (int i = 0; i < 4; ++i) {
                if (pixels[i] != nullptr) store(pixels[i] + channel + c, _mm512_add_ps(y[i], added));
            }
        }
    }

    const DenseConvolution& shape;
    const PackedWeight<T>& weight;
    const Phases phases;
    SubImages<Operand> inputs;
    SubImages<float> sums;
    std::vector<T> zeros;
};

}  // namespace

template <typename T>
void karatsuba_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y) {
    const PackedWeight<T> packed(shape, weight);
    const Phases phases(shape);
    const int64_t pixels = PHASES * PHASES * (phases.rows + BORDER) * (phases.columns + BORDER);
    const int64_t image_bytes = pixels * shape.in_channels * int64_t(sizeof(T));
    const Blocks blocks(shape.images, phases.rows, image_bytes, BLOCK_BYTES, 1, at::get_num_threads());
    at::parallel_for(0, blocks.count(), 1, [&](int64_t index, int64_t end) {
        OutputBlock<T> block(shape, blocks, packed);
        for (; index < end; ++index) block.compute(blocks.at(index), x, bias, y);
    });
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
void karatsuba_convolution(const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

template void karatsuba_convolution<float>(
    const DenseConvolution&, const float*, const WeightView<float>&, const float*, float*);
template void karatsuba_convolution<uint16_t>(
    const DenseConvolution&, const uint16_t*, const WeightView<uint16_t>&, const uint16_t*, uint16_t*);

}  // namespace torchmill
