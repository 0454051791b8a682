// The weight's gradient, by Karatsuba's algorithm (karatsuba_phases.h): the transpose of the convolution.
//
// The input and the output's gradient are split into nine sub-images. The gradient of a tap is the sum over all pixels of
// products of the two. A pair of bfloat16 elements holds the same element of two images.
#include "avx512.h"
#include "division.h"
#include "karatsuba.h"
#include "karatsuba_phases.h"
#include "square_transform.h"
#include "transformed_weight.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

namespace torchmill {
namespace {

// The sums that are kept in registers are those of this many input channels and PANEL output channels.
constexpr int64_t CHANNELS = 8;
// A task adds up the gradient for at most this many channels.
constexpr int64_t IN_CHANNELS = 32, OUT_CHANNELS = 2 * PANEL;
// The distance between the sums of two taps.
constexpr int64_t TAP_STRIDE = IN_CHANNELS * OUT_CHANNELS;
// The gradient is divided into at least this many tasks, if each has at least this many pixels of half an output. The number
// does not depend on the number of threads, so the sums do not either. More tasks take more time to write and to add up
// their sums.
constexpr int64_t TASKS = 8;
constexpr int64_t TASK_PIXELS = 64;
// The target size of the sub-images of a block, in bytes.
constexpr int64_t BLOCK_BYTES = 1 << 19;

// The product of inputs and gradients.
struct Product {
    const Operand* inputs;
    const Operand* gradients;
    // The pixels of the gradients.
    int64_t images, rows, columns;
    // [CHANNELS, PANEL], of which rows are OUT_CHANNELS apart. Adds to them if `adds`, and overwrites them if not.
    float* sums;
    bool adds;
};

template <typename T>
FOR_AVX512 void multiply(const SubImages<Operand>& inputs, const SubImages<Operand>& gradients, const Product& p) {
    __m512 low[CHANNELS], high[CHANNELS];
#pragma GCC unroll 8
    for (int i = 0; i < CHANNELS; ++i) low[i] = high[i] = _mm512_setzero_ps();
    for (int64_t image = 0; image < p.images; ++image) {
        for (int64_t row = 0; row < p.rows; ++row) {
            const Operand* input = p.inputs + image * inputs.image + row * inputs.row;
            const Operand* gradient = p.gradients + image * gradients.image + row * gradients.row;
            for (int64_t column = 0; column < p.columns; ++column) {
                const __m512i first = _mm512_load_si512(gradient), second = _mm512_load_si512(gradient + LANES);
#pragma GCC unroll 8
                for (int i = 0; i < CHANNELS; ++i) {
                    low[i] = multiply_add<T>(input[i], first, low[i]);
                    high[i] = multiply_add<T>(input[i], second, high[i]);
                }
                input += IN_CHANNELS;
                gradient += OUT_CHANNELS;
            }
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < CHANNELS; ++i) {
        float* const sums = p.sums + i * OUT_CHANNELS;
        // Short sums lose fewer digits, so these are added up before they are added to those of other blocks.
        if (p.adds) {
            low[i] = _mm512_add_ps(low[i], _mm512_load_ps(sums));
            high[i] = _mm512_add_ps(high[i], _mm512_load_ps(sums + LANES));
        }
        _mm512_store_ps(sums, low[i]);
        _mm512_store_ps(sums + LANES, high[i]);
    }
}

// Adds up the gradients of the taps for some input and output channels, on one thread.
template <typename T>
class GradientTask {
    static constexpr int INPUT_SIDE = 2, GRADIENT_SIDE = 3;

public:
    GradientTask(const DenseConvolution& shape, const Blocks& blocks, ChannelRange in, ChannelRange out)
        : shape(shape), in(in), out(out), phases(shape),
          inputs(groups(blocks.most_images()), 1, blocks.most_rows() + BORDER, phases.columns + BORDER, IN_CHANNELS),
          gradients(groups(blocks.most_images()), 1, blocks.most_rows() + 1, phases.columns + 1, OUT_CHANNELS),
          sums(TAPS * TAPS * TAP_STRIDE), zeros(std::max(shape.in_channels, shape.out_channels)) {}

    // Adds a block to the sums, or begins them with it.
    void add(const Block& block, const T* x, const T* gradient, bool begins) {
        split_inputs(block, x);
        split_gradients(block, gradient);
        for_subconvolutions([&](const Subconvolution& part) {
            for (int row = 0; row < part.tap_rows(); ++row) {
                for (int column = 0; column < part.tap_columns(); ++column) add_tap(block, part, row, column, begins);
            }
        });
    }

    // Writes the gradients of the kernels to [out_channels, 5, 5, in_channels].
    void write(float* to) const {
        const TapGradients taps{sums.data(), TAP_STRIDE, OUT_CHANNELS};
        write_kernel_gradients<join_kernel, TAPS, KERNEL>(taps, in, out, to, shape.in_channels);
    }

private:
    // The groups of images whose elements are packed together.
    static int64_t groups(int64_t images) { return divide_up(images, PACKED<T>); }

    void split_inputs(const Block& block, const T* x) {
        const Images<const T> images{x, shape.height, shape.width, shape.in_channels};
        for (int64_t group = 0; group < groups(block.images); ++group) {
            for (int64_t row = 0; row < block.rows + BORDER; ++row) {
                for (int64_t column = 0; column < phases.columns + BORDER; ++column) {
                    const T* pixels[PACKED<T> * INPUT_SIDE * INPUT_SIDE];
                    find_squares<INPUT_SIDE>(
                        images, block, group, 2 * (block.row + row) - shape.padding_height,
                        2 * column - shape.padding_width, pixels);
                    split_pixels<split_input, INPUT_SIDE>(pixels, in, inputs.at(0, group, row, column), inputs.phase);
                }
            }
        }
    }

    void split_gradients(const Block& block, const T* gradient) {
        const Images<const T> images{gradient, shape.out_height, shape.out_width, shape.out_channels};
        for (int64_t group = 0; group < groups(block.images); ++group) {
            for (int64_t row = 0; row < block.rows + 1; ++row) {
                for (int64_t column = 0; column < phases.columns + 1; ++column) {
                    const T* pixels[PACKED<T> * GRADIENT_SIDE * GRADIENT_SIDE];
                    find_squares<GRADIENT_SIDE>(
                        images, block, group, 2 * (block.row + row) - 1, 2 * column - 1, pixels);
                    split_pixels<split_gradient, GRADIENT_SIDE>(
                        pixels, out, gradients.at(0, group, row, column), gradients.phase);
                }
            }
        }
    }

    // Finds the squares of pixels of a group's images. Missing images count as zeros.
    template <int SIDE>
    void find_squares(
        const Images<const T>& images, const Block& block, int64_t group, int64_t row, int64_t column,
        const T** pixels) const {
        for (int64_t image = group * PACKED<T>; image < (group + 1) * PACKED<T>; ++image) {
            if (image < block.images) {
                images.find_square(block.image + image, row, column, SIDE, zeros.data(), pixels);
            } else {
                std::fill_n(pixels, SIDE * SIDE, zeros.data());
            }
            pixels += SIDE * SIDE;
        }
    }

    // Splits squares of pixels into one pixel of each sub-image.
    template <auto LINE, int SIDE>
    FOR_AVX512 static void split_pixels(
        const T* const* pixels, const ChannelRange& channels, Operand* to, int64_t phase_stride) {
        for (int64_t c = 0; c < channels.count; c += LANES) {
            store_transformed<LINE, SIDE, PHASES, Pairs::Pixels>(pixels, channels.first + c, to + c, phase_stride);
        }
    }

    void add_tap(const Block& block, const Subconvolution& part, int row, int column, bool begins) {
        // The last row of the odd phase belongs to the last block of an image.
        const bool is_last = block.row + block.rows == phases.rows;
        const int64_t all_rows = block.rows + (part.row_phase == ODD && is_last);
        const int64_t all_columns = phases.result_columns(part.column_phase);
        const Range rows = without_padding(phases.input_rows[part.row_phase], block.row + row, all_rows);
        const Range columns = without_padding(phases.input_columns[part.column_phase], column, all_columns);
        Product product;
        product.images = groups(block.images);
        product.rows = rows.end - rows.first;
        product.columns = columns.end - columns.first;
        product.adds = !begins;
        for (int64_t o = 0; o < out.count; o += PANEL) {
            for (int64_t c = 0; c < in.count; c += CHANNELS) {
                product.inputs = inputs.at(part.index(), 0, rows.first + row, columns.first + column) + c;
                product.gradients = gradients.at(part.index(), 0, rows.first, columns.first) + o;
                product.sums = sums.data() + part.tap(row, column) * TAP_STRIDE + c * OUT_CHANNELS + o;
                multiply<T>(inputs, gradients, product);
            }
        }
    }

    // The gradients of `count` that meet one of `inputs`, if the first of them meets input `first`.
    static Range without_padding(const Range& inputs, int64_t first, int64_t count) {
        const int64_t begin = std::clamp<int64_t>(inputs.first - first, 0, count);
        return {begin, std::clamp<int64_t>(inputs.end - first, begin, count)};
    }

    const DenseConvolution& shape;
    const ChannelRange in, out;
    const Phases phases;
    SubImages<Operand> inputs, gradients;
    Buffer<float> sums;
    std::vector<T> zeros;
};

}  // namespace

template <typename T>
void karatsuba_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to) {
    const Phases phases(shape);
    const int64_t in_chunks = divide_up(shape.in_channels, IN_CHANNELS);
    const int64_t out_chunks = divide_up(shape.out_channels, OUT_CHANNELS);
    const int64_t chunks = in_chunks * out_chunks;
    const int64_t pixels = shape.images * phases.rows * phases.columns;
    const int64_t most_parts = std::clamp<int64_t>(pixels / TASK_PIXELS, 1, divide_up(TASKS, chunks));
    const int64_t input_elements = (phases.rows + BORDER) * (phases.columns + BORDER) * IN_CHANNELS;
    const int64_t gradient_elements = (phases.rows + 1) * (phases.columns + 1) * OUT_CHANNELS;
    const int64_t image_bytes = PHASES * PHASES * (input_elements + gradient_elements) * int64_t(sizeof(T));
    const Blocks blocks(shape.images, phases.rows, image_bytes, BLOCK_BYTES, PACKED<T>, most_parts);
    const int64_t parts = std::min(blocks.count(), most_parts);
    const int64_t size = shape.out_channels * KERNEL * KERNEL * shape.in_channels;
    const Buffer<float> sums(parts * size);
    at::parallel_for(0, parts * chunks, 1, [&](int64_t index, int64_t end) {
        for (; index < end; ++index) {
            const int64_t part = index / chunks, chunk = index % chunks;
            const auto in = chunk_channels(chunk / out_chunks, IN_CHANNELS, shape.in_channels);
            const auto out = chunk_channels(chunk % out_chunks, OUT_CHANNELS, shape.out_channels);
            GradientTask<T> task(shape, blocks, in, out);
            const int64_t first = blocks.count() * part / parts, last = blocks.count() * (part + 1) / parts;
            for (int64_t block = first; block < last; ++block) task.add(blocks.at(block), x, gradient, block == first);
            task.write(sums.data() + part * size);
        }
    });
    add_parts(sums.data(), parts, size, to);
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
void karatsuba_weight_gradient(const DenseConvolution&, const T*, const T*, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

template void karatsuba_weight_gradient<float>(const DenseConvolution&, const float*, const float*, float*);
template void karatsuba_weight_gradient<uint16_t>(
    const DenseConvolution&, const uint16_t*, const uint16_t*, uint16_t*);

}  // namespace torchmill
