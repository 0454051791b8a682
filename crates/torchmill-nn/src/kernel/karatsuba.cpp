// The output of a convolution, by Karatsuba's algorithm (karatsuba_phases.h).
//
// Each thread splits a block of images into nine sub-images, convolves each with its part of the kernel, and joins the
// results, while the block is in the L2 cache.
#include "karatsuba.h"

#include "avx512.h"
#include "convolution_inputs.h"
#include "convolution_outputs.h"
#include "division.h"
#include "karatsuba_phases.h"
#include "square_transform.h"
#include "transformed_weight.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <array>
#include <type_traits>

namespace torchmill {
namespace {

// At most this many pixels of a row are computed together.
constexpr int64_t MOST_PIXELS = 9;
// The target size of the sub-images and sums of a block, in bytes.
constexpr int64_t BLOCK_BYTES = 1 << 19;

// The taps of a weight. A row of taps of one phase is multiplied with pixels in steps of some operands.
template <typename T>
class PackedWeight {
public:
    // The channels in a line of LANES operands.
    static constexpr int64_t LINE_CHANNELS = PACKED<T> * LANES;

    // Multiples of 32 input channels: [panels, tap rows, tap columns, lines, LANES, PANEL]. Each tap is a step.
    static PackedWeight many(const DenseConvolution& shape, const WeightView<T>& weight) {
        const int64_t lines = shape.in_channels / LINE_CHANNELS;
        PackedWeight packed(shape, lines, TAPS * lines * LANES);
        packed.step_stride = lines * LANES * PANEL;
        for (int phase = 0; phase < PHASES; ++phase) {
            packed.phases[phase] = {FIRST_TAP[phase] * packed.step_stride, PHASE_TAPS[phase], LANES};
        }
        for_kernels(shape, [&](ChannelRange out, ChannelRange in) {
            const int64_t operand = in.first / LINE_CHANNELS * LANES + in.first % LINE_CHANNELS / PACKED<T>;
            pack_kernels<split_kernel, KERNEL, TAPS>(weight, out, in, [&](int tap) {
                Operand* const row = packed.row(out.first / PANEL, tap / TAPS);
                return row + tap % TAPS * packed.step_stride + operand * PANEL + out.first % PANEL;
            });
        });
        return packed;
    }

    // CHANNELS input channels: [panels, tap rows, operands, PANEL]. The taps of a phase and their channels, which lie one
    // after another in the input too, are one step. In bfloat16 a zero may follow them.
    template <int CHANNELS>
    static PackedWeight few(const DenseConvolution& shape, const WeightView<T>& weight) {
        int64_t operands = 0;
        std::array<Phase, PHASES> phases;
        for (int phase = 0; phase < PHASES; ++phase) {
            const int64_t count = divide_up(PHASE_TAPS[phase] * CHANNELS, PACKED<T>);
            phases[phase] = {operands * PANEL, 1, count};
            operands += count;
        }
        PackedWeight packed(shape, 1, operands);
        packed.phases = phases;
        for (int64_t out = 0; out < shape.out_channels; out += LANES) packed.template pack_few<CHANNELS>(weight, out);
        return packed;
    }

    // The taps of a row: steps are `step_stride` apart.
    struct Phase {
        int64_t offset;
        int64_t steps, operands;
    };
    Operand* row(int64_t panel, int tap_row) const { return elements.data() + (panel * TAPS + tap_row) * row_stride; }

    int64_t lines, row_stride, step_stride = 0;
    std::array<Phase, PHASES> phases;

private:
    PackedWeight(const DenseConvolution& shape, int64_t lines, int64_t row_operands)
        : lines(lines), row_stride(row_operands * PANEL), elements(TAPS * row_operands * shape.out_channels) {}

    template <int CHANNELS>
    FOR_AVX512 void pack_few(const WeightView<T>& weight, int64_t out) {
        __m512 taps[CHANNELS][TAPS * TAPS];
        for (int c = 0; c < CHANNELS; ++c) {
            __m512 kernels[KERNEL * KERNEL];
            for (int i = 0; i < KERNEL * KERNEL; ++i) {
                alignas(64) T channels[LANES];
                for (int64_t o = 0; o < LANES; ++o) {
                    channels[o] = weight.data[(out + o) * weight.out_stride + c * weight.in_stride +
                                              i / KERNEL * weight.row_stride + i % KERNEL * weight.column_stride];
                }
                kernels[i] = load(channels);
            }
            transform_square<split_kernel, KERNEL, TAPS>(kernels, taps[c]);
        }
        for (int tap_row = 0; tap_row < TAPS; ++tap_row) {
            for (int phase = 0; phase < PHASES; ++phase) {
                Operand* const to = row(out / PANEL, tap_row) + phases[phase].offset + out % PANEL;
                const int count = PHASE_TAPS[phase] * CHANNELS;
                const auto element = [&](int i) FOR_AVX512 {
                    const int tap = tap_row * TAPS + FIRST_TAP[phase] + i / CHANNELS;
                    return i < count ? taps[i % CHANNELS][tap] : _mm512_setzero_ps();
                };
                for (int k = 0; k < phases[phase].operands; ++k) {
                    __m512i packed = _mm512_castps_si512(element(k));
                    if constexpr (PACKED<T> == 2) packed = pair(element(2 * k), element(2 * k + 1));
                    _mm512_store_si512(to + k * PANEL, packed);
                }
            }
        }
    }

    Buffer<Operand> elements;
};

// The product of pixels and taps. The pixels are in one row of one or two images.
struct Product {
    const char* pixels;
    // The distances between images, lines and rows of pixels, in bytes.
    int64_t image_stride, line_stride, row_stride;
    const Operand* taps;
    int64_t tap_row_stride, step_stride;
    // The rows of taps that do not meet padding alone, and the steps of each.
    Range tap_rows;
    int64_t steps, operands;
    int64_t lines;
    // Whether the first step meets padding at the first pixel, and the last step at the last pixel.
    bool skips_first, skips_last;
    // [images, pixels, PANEL].
    float* sums;
    int64_t sums_image_stride;
};

// The distance between pixels in bytes.
template <typename T, int CHANNELS>
constexpr int64_t PITCH = CHANNELS == MANY ? LANES * sizeof(Operand) : CHANNELS * sizeof(T);

INLINE Operand read_operand(const char* from) {
    Operand operand;
    __builtin_memcpy(&operand, from, sizeof(operand));
    return operand;
}

// The sums for PIXELS pixels of IMAGES images, in registers.
template <typename T, int CHANNELS, int IMAGES, int PIXELS>
struct Sums {
    static constexpr int COUNT = IMAGES * PIXELS;
    __m512 low[COUNT], high[COUNT];

    INLINE void clear() {
#pragma GCC unroll 16
        for (int i = 0; i < COUNT; ++i) low[i] = high[i] = _mm512_setzero_ps();
    }

    // Adds the products of a step for the pixels from FIRST to END.
    template <int FIRST, int END>
    INLINE void add(const Product& p, const char* pixels, const Operand* taps) {
        for (int64_t k = 0; k < p.operands; ++k) {
            const __m512i first = _mm512_load_si512(taps), second = _mm512_load_si512(taps + LANES);
#pragma GCC unroll 2
            for (int image = 0; image < IMAGES; ++image) {
#pragma GCC unroll 16
                for (int i = FIRST; i < END; ++i) {
                    const Operand operand = read_operand(pixels + image * p.image_stride + i * PITCH<T, CHANNELS>);
                    const int sum = image * PIXELS + i;
                    low[sum] = multiply_add<T>(operand, first, low[sum]);
                    high[sum] = multiply_add<T>(operand, second, high[sum]);
                }
            }
            pixels += sizeof(Operand);
            taps += PANEL;
        }
    }

    // Writes the sums, or adds them to those in memory.
    INLINE void store(const Product& p, bool adds) const {
#pragma GCC unroll 2
        for (int image = 0; image < IMAGES; ++image) {
#pragma GCC unroll 16
            for (int i = 0; i < PIXELS; ++i) {
                const int sum = image * PIXELS + i;
                store_panel(p.sums + image * p.sums_image_stride + i * PANEL, low[sum], high[sum], adds);
            }
        }
    }
};

template <typename T, int CHANNELS, int IMAGES, int PIXELS>
FOR_AVX512 void multiply(const Product& p) {
    for (int64_t line = 0; line < p.lines; ++line) {
        // Each line has sums of its own: short sums lose fewer digits.
        Sums<T, CHANNELS, IMAGES, PIXELS> sums;
        sums.clear();
        for (int64_t row = p.tap_rows.first; row < p.tap_rows.end; ++row) {
            const char* pixels = p.pixels + line * p.line_stride + row * p.row_stride;
            const Operand* taps = p.taps + row * p.tap_row_stride + line * LANES * PANEL;
            for (int64_t step = 0; step < p.steps; ++step) {
                if (step == 0 && p.skips_first) {
                    sums.template add<1, PIXELS>(p, pixels, taps);
                } else if (step == p.steps - 1 && p.skips_last) {
                    sums.template add<0, PIXELS - 1>(p, pixels, taps);
                } else {
                    sums.template add<0, PIXELS>(p, pixels, taps);
                }
                pixels += PITCH<T, CHANNELS>;
                taps += p.step_stride;
            }
        }
        sums.store(p, line > 0);
    }
}

template <typename T, int CHANNELS>
void multiply(const Product& product, int64_t images, int64_t pixels) {
    using Multiply = void (*)(const Product&);
    static constexpr Multiply one[MOST_PIXELS] = {
        multiply<T, CHANNELS, 1, 1>, multiply<T, CHANNELS, 1, 2>, multiply<T, CHANNELS, 1, 3>,
        multiply<T, CHANNELS, 1, 4>, multiply<T, CHANNELS, 1, 5>, multiply<T, CHANNELS, 1, 6>,
        multiply<T, CHANNELS, 1, 7>, multiply<T, CHANNELS, 1, 8>, multiply<T, CHANNELS, 1, 9>};
    static constexpr Multiply two[(MOST_PIXELS + 1) / 2] = {
        multiply<T, CHANNELS, 2, 1>, multiply<T, CHANNELS, 2, 2>, multiply<T, CHANNELS, 2, 3>,
        multiply<T, CHANNELS, 2, 4>, multiply<T, CHANNELS, 2, 5>};
    (images == 1 ? one : two)[pixels - 1](product);
}

// Computes the outputs of blocks, on one thread. In and Out are where the input comes from and where the output goes.
template <typename T, int CHANNELS, typename In, typename Out>
class OutputBlock {
    static constexpr int64_t LINE_CHANNELS = PackedWeight<T>::LINE_CHANNELS;
    using Element = std::conditional_t<CHANNELS == MANY, Operand, T>;
    // A step of few channels may read an element that follows its last pixel.
    static constexpr int64_t SPARE = CHANNELS == MANY ? 0 : 1;

public:
    OutputBlock(
        const DenseConvolution& shape, const Blocks& blocks, const PackedWeight<T>& weight, const In& in, const Out& out,
        const T* bias)
        : shape(shape), weight(weight), in(in), out(out), bias(bias), phases(shape),
          inputs(
              blocks.most_images(), weight.lines, blocks.most_rows() + BORDER, phases.columns + BORDER + SPARE,
              CHANNELS == MANY ? LANES : CHANNELS),
          sums(blocks.most_images(), 1, blocks.most_rows() + 1, phases.columns + 1, PANEL) {
        if constexpr (CHANNELS != MANY) inputs.fill_with_zeros();
    }

    void compute(const Block& block) {
        split(block);
        for (int64_t panel = 0; panel < shape.out_channels / PANEL; ++panel) {
            for_subconvolutions([&](const Subconvolution& part) { convolve(block, part, panel); });
            join(block, panel * PANEL);
        }
    }

private:
    void split(const Block& block) {
        for (int64_t image = 0; image < block.images; ++image) {
            for (int64_t row = 0; row < block.rows + BORDER; ++row) {
                for (int64_t column = 0; column < phases.columns + BORDER; ++column) {
                    typename In::Pixel pixels[4];
                    in.find_square(
                        block.image + image, 2 * (block.row + row) - shape.padding_height,
                        2 * column - shape.padding_width, 2, pixels);
                    split_pixels(pixels, inputs.at(0, image, row, column));
                }
            }
        }
    }

    // Splits a square of 2x2 pixels into one pixel of each sub-image.
    FOR_AVX512 void split_pixels(const typename In::Pixel* pixels, Element* to) const {
        if constexpr (CHANNELS == MANY) {
            for (int64_t channel = 0; channel < shape.in_channels; channel += LINE_CHANNELS) {
                store_transformed<split_input, 2, PHASES, Pairs::Channels, T>(pixels, channel, to, inputs.phase);
                to += inputs.line;
            }
        } else {
            __m512 x[4], parts[PHASES * PHASES];
            for (int i = 0; i < 4; ++i) x[i] = load_first(pixels[i], CHANNELS);
            transform_square<split_input, 2, PHASES>(x, parts);
            for (int i = 0; i < PHASES * PHASES; ++i) store_first(to + i * inputs.phase, parts[i], CHANNELS);
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
        const auto& taps = weight.phases[part.column_phase];
        const int64_t first_row = block.row + row;
        Product product;
        product.pixels = reinterpret_cast<const char*>(inputs.at(part.index(), image, row, pixels.first));
        product.image_stride = inputs.image * sizeof(Element);
        product.line_stride = inputs.line * sizeof(Element);
        product.row_stride = inputs.row * sizeof(Element);
        product.taps = weight.row(panel, FIRST_TAP[part.row_phase]) + taps.offset;
        product.tap_row_stride = weight.row_stride;
        product.step_stride = weight.step_stride;
        product.tap_rows = {
            std::clamp<int64_t>(input_rows.first - first_row, 0, part.tap_rows()),
            std::clamp<int64_t>(input_rows.end - first_row, 0, part.tap_rows())};
        product.steps = taps.steps;
        product.operands = taps.operands;
        product.lines = weight.lines;
        // With few channels, a step has all columns of the kernel.
        product.skips_first = CHANNELS == MANY && pixels.first < input_columns.first;
        product.skips_last = CHANNELS == MANY && pixels.end - 1 + part.tap_columns() - 1 >= input_columns.end;
        product.sums = sums.at(part.index(), image, row, pixels.first);
        product.sums_image_stride = sums.image;
        multiply<T, CHANNELS>(product, images, pixels.end - pixels.first);
    }

    // Joins the results of all sub-images to a panel of the output's channels.
    FOR_AVX512 void join(const Block& block, int64_t first_channel) {
        for (int64_t image = 0; image < block.images; ++image) {
            for (int64_t row = 0; row < block.rows; ++row) {
                for (int64_t column = 0; column < phases.columns; ++column) {
                    const auto place = out.find_square(block.image + image, block.row + row, column);
                    for (int64_t c = 0; c < PANEL; c += LANES) {
                        __m512 square[4];
                        join_square(sums.at(0, image, row, column) + c, first_channel + c, square);
                        out.write(place, first_channel + c, square);
                    }
                }
            }
        }
    }

    INLINE void join_square(const float* from, int64_t channel, __m512* square) const {
        // What `join_output` takes: the phases, and how far their elements are from this one.
        constexpr int phase[] = {EVEN, ODD, ODD, BOTH}, distance[] = {0, 0, 1, 0};
        __m512 parts[16];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) {
#pragma GCC unroll 4
            for (int j = 0; j < 4; ++j) {
                const Subconvolution part{phase[i], phase[j]};
                parts[4 * i + j] = _mm512_load_ps(
                    from + part.index() * sums.phase + distance[i] * sums.row + distance[j] * sums.pixel);
            }
        }
        transform_square<join_output, 4, 2>(parts, square);
        const __m512 added = bias == nullptr ? _mm512_setzero_ps() : load(bias + channel);
        for (int i = 0; i < 4; ++i) square[i] = _mm512_add_ps(square[i], added);
    }

    const DenseConvolution& shape;
    const PackedWeight<T>& weight;
    const In& in;
    const Out& out;
    const T* const bias;
    const Phases phases;
    SubImages<Element> inputs;
    SubImages<float> sums;
};

template <typename T, int CHANNELS, typename In, typename Out>
void convolve(
    const DenseConvolution& shape, const In& in, const PackedWeight<T>& weight, const T* bias, const Out& out) {
    const Phases phases(shape);
    const int64_t input_bytes =
        (phases.rows + BORDER) * (phases.columns + BORDER) * shape.in_channels * int64_t(sizeof(T));
    const int64_t sum_bytes = (phases.rows + 1) * (phases.columns + 1) * PANEL * int64_t(sizeof(float));
    const int64_t image_bytes = PHASES * PHASES * (input_bytes + sum_bytes);
    const Blocks blocks(shape.images, phases.rows, image_bytes, BLOCK_BYTES, 1, at::get_num_threads());
    at::parallel_for(0, blocks.count(), 1, [&](int64_t index, int64_t end) {
        OutputBlock<T, CHANNELS, In, Out> block(shape, blocks, weight, in, out, bias);
        for (; index < end; ++index) block.compute(blocks.at(index));
    });
}

}  // namespace

template <typename T>
void karatsuba_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y) {
    const PlainInput<T> in(shape.height, shape.width, shape.in_channels, x);
    convolve<T, MANY>(shape, in, PackedWeight<T>::many(shape, weight), bias, PlainOutput<T>(shape, y));
}

template <typename T>
void karatsuba_conv_pool(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y, uint8_t* winners) {
    const PlainInput<T> in(shape.height, shape.width, shape.in_channels, x);
    const PooledOutput<T> out(shape, y, winners);
    switch (shape.in_channels) {
        case 1:
            convolve<T, 1>(shape, in, PackedWeight<T>::template few<1>(shape, weight), bias, out);
            break;
        case 3:
            convolve<T, 3>(shape, in, PackedWeight<T>::template few<3>(shape, weight), bias, out);
            break;
        default:
            convolve<T, MANY>(shape, in, PackedWeight<T>::many(shape, weight), bias, out);
    }
}

template <typename T>
void karatsuba_unpooled_convolution(
    const DenseConvolution& shape, const PooledGradient<T>& x, const WeightView<T>& weight, T* y) {
    const UnpooledInput<T> in(shape.height, shape.width, shape.in_channels, x);
    const T* const no_bias = nullptr;
    convolve<T, MANY>(shape, in, PackedWeight<T>::many(shape, weight), no_bias, PlainOutput<T>(shape, y));
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
void karatsuba_convolution(const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*) {}

template <typename T>
void karatsuba_conv_pool(const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*, uint8_t*) {}

template <typename T>
void karatsuba_unpooled_convolution(const DenseConvolution&, const PooledGradient<T>&, const WeightView<T>&, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

#define FOR_TYPE(T)                                                                          \
    template void karatsuba_convolution<T>(                                                  \
        const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*);              \
    template void karatsuba_conv_pool<T>(                                                    \
        const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*, uint8_t*);    \
    template void karatsuba_unpooled_convolution<T>(                                           \
        const DenseConvolution&, const PooledGradient<T>&, const WeightView<T>&, T*);
FOR_TYPE(float)
FOR_TYPE(uint16_t)
#undef FOR_TYPE

}  // namespace torchmill
