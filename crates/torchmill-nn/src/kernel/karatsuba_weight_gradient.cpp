// The weight's gradient, by Karatsuba's algorithm (karatsuba_phases.h): the transpose of the convolution.
//
// The input and the output's gradient are split into nine sub-images. The gradient of a tap is the sum over all pixels of
// products of the two. A pair of bfloat16 elements holds the same element of two images.
#include "avx512.h"
#include "convolution_inputs.h"
#include "division.h"
#include "karatsuba.h"
#include "karatsuba_phases.h"
#include "square_transform.h"
#include "transformed_weight.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>

namespace torchmill {
namespace {

// The input channels that are multiplied together.
constexpr int TOGETHER = 8;
// A task adds up the gradient for at most this many channels.
constexpr int64_t IN_CHANNELS = 32, OUT_CHANNELS = 2 * PANEL;
// The gradient is divided into about this many tasks, if each has at least this many squares of 2x2 outputs. The number does
// not depend on the number of threads, so the sums do not either. More tasks take more time to write and to add up their
// sums.
constexpr int64_t TASKS = 8;
constexpr int64_t TASK_SQUARES = 512;
// The target size of the sub-images of a block, in bytes.
constexpr int64_t BLOCK_BYTES = 1 << 19;

// The product of inputs and gradients.
struct Product {
    const Operand* inputs;
    const Operand* gradients;
    // The pixels of the gradients.
    int64_t images, rows, columns;
    // [COUNT, PANEL], of which rows are OUT_CHANNELS apart. Adds to them if `adds`, and overwrites them if not. Short sums
    // lose fewer digits, so a block is added up before it is added to others.
    float* sums;
    bool adds;
};

// Multiplies COUNT operands that lie one after another from each input pixel on.
template <typename T, int COUNT>
FOR_AVX512 void multiply(const SubImages<Operand>& inputs, const SubImages<Operand>& gradients, const Product& p) {
    __m512 low[COUNT], high[COUNT];
#pragma GCC unroll 16
    for (int i = 0; i < COUNT; ++i) low[i] = high[i] = _mm512_setzero_ps();
    for (int64_t image = 0; image < p.images; ++image) {
        for (int64_t row = 0; row < p.rows; ++row) {
            const Operand* input = p.inputs + image * inputs.image + row * inputs.row;
            const Operand* gradient = p.gradients + image * gradients.image + row * gradients.row;
            for (int64_t column = 0; column < p.columns; ++column) {
                const __m512i first = _mm512_load_si512(gradient), second = _mm512_load_si512(gradient + LANES);
#pragma GCC unroll 16
                for (int i = 0; i < COUNT; ++i) {
                    low[i] = multiply_add<T>(input[i], first, low[i]);
                    high[i] = multiply_add<T>(input[i], second, high[i]);
                }
                input += inputs.pixel;
                gradient += OUT_CHANNELS;
            }
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < COUNT; ++i) store_panel(p.sums + i * OUT_CHANNELS, low[i], high[i], p.adds);
}

// Adds up the gradients of the taps for some input and output channels, on one thread. Gradients is where the output's
// gradient comes from.
template <typename T, int CHANNELS, typename Gradients>
class GradientTask {
    static constexpr int64_t TASK_CHANNELS = CHANNELS == MANY ? IN_CHANNELS : CHANNELS;
    static constexpr int64_t TAP_STRIDE = TASK_CHANNELS * OUT_CHANNELS;
    using Inputs = PlainInput<T>;

public:
    GradientTask(
        const DenseConvolution& shape, const Blocks& blocks, const Inputs& x, const Gradients& gradient, ChannelRange in,
        ChannelRange out)
        : shape(shape), x(x), gradient(gradient), in(in), out(out), phases(shape),
          inputs(groups(blocks.most_images()), 1, blocks.most_rows() + BORDER, phases.columns + BORDER, TASK_CHANNELS),
          gradients(groups(blocks.most_images()), 1, blocks.most_rows() + 1, phases.columns + 1, OUT_CHANNELS),
          sums(TAPS * TAPS * TAP_STRIDE) {}

    // Adds a block to the sums, or begins them with it.
    void add(const Block& block, bool begins) {
        split_inputs(block);
        split_gradients(block);
        for_subconvolutions([&](const Subconvolution& part) {
            for (int row = 0; row < part.tap_rows(); ++row) add_row(block, part, row, begins);
        });
    }

    // Writes the gradients of the kernels to [out_channels, 5, 5, in_channels].
    FOR_AVX512 void write(float* to) const {
        if constexpr (CHANNELS == MANY) {
            const TapGradients taps{sums.data(), TAP_STRIDE, OUT_CHANNELS};
            write_kernel_gradients<join_kernel, TAPS, KERNEL>(taps, in, out, to, shape.in_channels);
        } else {
            for (int64_t o = 0; o < out.count; o += LANES) {
                for (int64_t c = 0; c < CHANNELS; ++c) write_kernels(c, o, to);
            }
        }
    }

private:
    // The groups of images whose elements are packed together.
    static int64_t groups(int64_t images) { return divide_up(images, PACKED<T>); }

    void split_inputs(const Block& block) {
        for (int64_t group = 0; group < groups(block.images); ++group) {
            for (int64_t row = 0; row < block.rows + BORDER; ++row) {
                for (int64_t column = 0; column < phases.columns + BORDER; ++column) {
                    typename Inputs::Pixel pixels[PACKED<T> * 4];
                    find_squares<2>(
                        x, block, group, 2 * (block.row + row) - shape.padding_height,
                        2 * column - shape.padding_width, pixels);
                    split_input_pixels(pixels, inputs.at(0, group, row, column));
                }
            }
        }
    }

    // Splits squares of 2x2 pixels into one pixel of each sub-image.
    FOR_AVX512 void split_input_pixels(const typename Inputs::Pixel* pixels, Operand* to) const {
        if constexpr (CHANNELS == MANY) {
            for (int64_t c = 0; c < in.count; c += LANES) {
                store_transformed<split_input, 2, PHASES, Pairs::Pixels, T>(pixels, in.first + c, to + c, inputs.phase);
            }
        } else {
            __m512 squares[PACKED<T>][4], parts[PACKED<T>][PHASES * PHASES];
            for (int k = 0; k < PACKED<T>; ++k) {
                for (int i = 0; i < 4; ++i) squares[k][i] = load_first(pixels[4 * k + i], CHANNELS);
                transform_square<split_input, 2, PHASES>(squares[k], parts[k]);
            }
            for (int i = 0; i < PHASES * PHASES; ++i) {
                __m512i packed = _mm512_castps_si512(parts[0][i]);
                if constexpr (PACKED<T> == 2) packed = pair(parts[0][i], parts[1][i]);
                _mm512_mask_storeu_epi32(to + i * inputs.phase, (1 << CHANNELS) - 1, packed);
            }
        }
    }

    FOR_AVX512 void split_gradients(const Block& block) {
        for (int64_t group = 0; group < groups(block.images); ++group) {
            for (int64_t row = 0; row < block.rows + 1; ++row) {
                for (int64_t column = 0; column < phases.columns + 1; ++column) {
                    // `split_gradient` takes the pixel before the square of 2x2, too.
                    typename Gradients::Pixel pixels[PACKED<T> * 9];
                    find_squares<3>(gradient, block, group, 2 * (block.row + row) - 1, 2 * column - 1, pixels);
                    Operand* const to = gradients.at(0, group, row, column);
                    for (int64_t c = 0; c < out.count; c += LANES) {
                        store_transformed<split_gradient, 3, PHASES, Pairs::Pixels, T>(
                            pixels, out.first + c, to + c, gradients.phase);
                    }
                }
            }
        }
    }

    // Finds the squares of pixels of a group's images. Missing images count as zeros.
    template <int SIDE, typename From>
    void find_squares(
        const From& from, const Block& block, int64_t group, int64_t row, int64_t column,
        typename From::Pixel* pixels) const {
        for (int64_t image = group * PACKED<T>; image < (group + 1) * PACKED<T>; ++image) {
            if (image < block.images) {
                from.find_square(block.image + image, row, column, SIDE, pixels);
            } else {
                std::fill_n(pixels, SIDE * SIDE, from.zero());
            }
            pixels += SIDE * SIDE;
        }
    }

    // Adds the gradients of a row of taps.
    void add_row(const Block& block, const Subconvolution& part, int row, bool begins) {
        const int phase = part.column_phase;
        const Range all{0, phases.result_columns(phase)};
        if constexpr (CHANNELS == MANY) {
            for (int column = 0; column < part.tap_columns(); ++column) {
                const Range columns = without_padding(phases.input_columns[phase], column, all.end);
                add_products<TOGETHER>(find_product(block, part, row, column, columns, begins), in.count);
            }
        } else if (phase == ODD) {
            // The channels of all taps of a row lie one after another.
            constexpr int COUNT = PHASE_TAPS[ODD] * CHANNELS;
            add_products<COUNT>(find_product(block, part, row, 0, all, begins), COUNT);
        } else {
            constexpr int COUNT = PHASE_TAPS[EVEN] * CHANNELS;
            add_products<COUNT>(find_product(block, part, row, 0, all, begins), COUNT);
        }
    }

    // The product for a tap, with these columns of the gradients.
    Product find_product(
        const Block& block, const Subconvolution& part, int row, int column, const Range& columns, bool begins) const {
        // The last row of the odd phase belongs to the last block of an image.
        const bool is_last = block.row + block.rows == phases.rows;
        const int64_t all_rows = block.rows + (part.row_phase == ODD && is_last);
        const Range rows = without_padding(phases.input_rows[part.row_phase], block.row + row, all_rows);
        Product product;
        product.inputs = inputs.at(part.index(), 0, rows.first + row, columns.first + column);
        product.gradients = gradients.at(part.index(), 0, rows.first, columns.first);
        product.images = groups(block.images);
        product.rows = rows.end - rows.first;
        product.columns = columns.end - columns.first;
        product.sums = sums.data() + part.tap(row, column) * TAP_STRIDE;
        product.adds = !begins;
        return product;
    }

    // Adds the products for `channels` input channels, COUNT at a time, and all output channels.
    template <int COUNT>
    void add_products(const Product& first, int64_t channels) const {
        for (int64_t o = 0; o < out.count; o += PANEL) {
            for (int64_t c = 0; c < channels; c += COUNT) {
                Product product = first;
                product.inputs += c;
                product.gradients += o;
                product.sums += c * OUT_CHANNELS + o;
                multiply<T, COUNT>(inputs, gradients, product);
            }
        }
    }

    // Gradient i of `count` is multiplied with input `first` + i. Returns the gradients whose input is not all padding.
    static Range without_padding(const Range& inputs, int64_t first, int64_t count) {
        const int64_t begin = std::clamp<int64_t>(inputs.first - first, 0, count);
        return {begin, std::clamp<int64_t>(inputs.end - first, begin, count)};
    }

    // Transforms and writes the gradients for one of few input channels and 16 output channels.
    FOR_AVX512 void write_kernels(int64_t channel, int64_t first_out, float* to) const {
        __m512 taps[TAPS * TAPS], kernels[KERNEL * KERNEL];
        for (int tap = 0; tap < TAPS * TAPS; ++tap) {
            taps[tap] = _mm512_load_ps(sums.data() + tap * TAP_STRIDE + channel * OUT_CHANNELS + first_out);
        }
        transform_square<join_kernel, TAPS, KERNEL>(taps, kernels);
        for (int i = 0; i < KERNEL * KERNEL; ++i) {
            alignas(64) float elements[LANES];
            _mm512_store_ps(elements, kernels[i]);
            for (int64_t o = 0; o < LANES; ++o) {
                const int64_t kernel = out.first + first_out + o;
                to[(kernel * KERNEL * KERNEL + i) * CHANNELS + channel] = elements[o];
            }
        }
    }

    const DenseConvolution& shape;
    const Inputs& x;
    const Gradients& gradient;
    const ChannelRange in, out;
    const Phases phases;
    SubImages<Operand> inputs, gradients;
    Buffer<float> sums;
};

template <typename T, int CHANNELS, typename Gradients>
void add_up(const DenseConvolution& shape, const T* x, const Gradients& gradient, T* to) {
    const PlainInput<T> inputs(shape.height, shape.width, shape.in_channels, x);
    const Phases phases(shape);
    const int64_t in_chunks = divide_up(shape.in_channels, IN_CHANNELS);
    const int64_t out_chunks = divide_up(shape.out_channels, OUT_CHANNELS);
    const int64_t chunks = in_chunks * out_chunks;
    const int64_t squares = shape.images * phases.rows * phases.columns;
    const int64_t most_parts = std::clamp<int64_t>(squares / TASK_SQUARES, 1, divide_up(TASKS, chunks));
    const int64_t in_channels = std::min(shape.in_channels, IN_CHANNELS);
    const int64_t out_channels = std::min(shape.out_channels, OUT_CHANNELS);
    const int64_t input_elements = (phases.rows + BORDER) * (phases.columns + BORDER) * in_channels;
    const int64_t gradient_elements = (phases.rows + 1) * (phases.columns + 1) * out_channels;
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
            GradientTask<T, CHANNELS, Gradients> task(shape, blocks, inputs, gradient, in, out);
            const int64_t first = blocks.count() * part / parts, last = blocks.count() * (part + 1) / parts;
            for (int64_t block = first; block < last; ++block) task.add(blocks.at(block), block == first);
            task.write(sums.data() + part * size);
        }
    });
    add_parts(sums.data(), parts, size, to);
}

}  // namespace

template <typename T>
void karatsuba_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to) {
    const PlainInput<T> gradients(shape.out_height, shape.out_width, shape.out_channels, gradient);
    add_up<T, MANY>(shape, x, gradients, to);
}

template <typename T>
void karatsuba_pooled_weight_gradient(
    const DenseConvolution& shape, const T* x, const PooledGradient<T>& gradient, T* to) {
    const UnpooledInput<T> gradients(shape.out_height, shape.out_width, shape.out_channels, gradient);
    switch (shape.in_channels) {
        case 1:
            add_up<T, 1>(shape, x, gradients, to);
            break;
        case 3:
            add_up<T, 3>(shape, x, gradients, to);
            break;
        default:
            add_up<T, MANY>(shape, x, gradients, to);
    }
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
void karatsuba_weight_gradient(const DenseConvolution&, const T*, const T*, T*) {}

template <typename T>
void karatsuba_pooled_weight_gradient(const DenseConvolution&, const T*, const PooledGradient<T>&, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

#define FOR_TYPE(T)                                                                                        \
    template void karatsuba_weight_gradient<T>(const DenseConvolution&, const T*, const T*, T*);           \
    template void karatsuba_pooled_weight_gradient<T>(                                                     \
        const DenseConvolution&, const T*, const PooledGradient<T>&, T*);
FOR_TYPE(float)
FOR_TYPE(uint16_t)
#undef FOR_TYPE

}  // namespace torchmill
