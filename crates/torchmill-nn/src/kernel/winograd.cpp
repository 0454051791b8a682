// Winograd's algorithm (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015) for tiles of 2x2
// outputs.
//
// With a kernel of 3x3, a tile needs 4x4 inputs. Both the inputs and the kernel are transformed to 4x4 elements, which are
// multiplied element by element and added up over the input channels. The sums are transformed to the 2x2 outputs. A tile
// takes 16 multiplications for each pair of an input and an output channel, instead of 36. At each of the 16 positions, the
// sums over the input channels are a product of matrices. The weight's gradient is computed likewise: it is the sum over all
// tiles of products of the transformed inputs and the transformed gradients. winograd_transforms.h has the transforms.
//
// Each thread transforms a block of tiles, multiplies it, and transforms the products back, while the block is in the L2
// cache.
#include "winograd.h"

#include "avx512.h"
#include "division.h"
#include "winograd_transforms.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace torchmill {
namespace {

constexpr int64_t LANES = 16;
// The part of a product that is kept in registers: ROWS x PANEL.
constexpr int64_t ROWS = 8;
constexpr int64_t PANEL = 2 * LANES;
// The target size of a block of transformed inputs, in bytes. A block has at least ROWS tiles.
constexpr int64_t BLOCK_BYTES = 1 << 18;
// A task adds up the weight's gradient for at most this many input channels and as many output channels.
constexpr int64_t TASK_CHANNELS = 64;
// The number of tiles that a task transforms before it multiplies them.
constexpr int64_t TASK_TILES = 64;
// The weight's gradient is divided into at least this many tasks, if there are enough tiles. The number does not depend on
// the number of threads, so the sums do not either.
constexpr int64_t TASKS = 32;

// What is multiplied: a float32 element, or a pair of bfloat16 elements, whose products are added.
using Operand = uint32_t;
template <typename T>
constexpr int64_t PACKED = sizeof(Operand) / sizeof(T);

// 16 elements as float32.
INLINE __m512 load(const float* from) { return _mm512_loadu_ps(from); }
INLINE __m512 load(const uint16_t* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
INLINE void store(float* to, __m512 elements) { _mm512_storeu_ps(to, elements); }
INLINE void store(uint16_t* to, __m512 elements) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), __m256i(_mm512_cvtneps_pbh(elements)));
}

// 32 elements as bfloat16, one after another.
INLINE __m512i join(__m512 first, __m512 second) { return __m512i(_mm512_cvtne2ps_pbh(second, first)); }

// 16 pairs of bfloat16: element i of `first` and element i of `second`.
INLINE __m512i pair(__m512 first, __m512 second) {
    const __m512i order = _mm512_set_epi16(
        31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16,
        0);
    return _mm512_permutexvar_epi16(order, join(first, second));
}

// Adds products to sums.
template <typename T>
INLINE __m512 multiply_add(Operand left, __m512i right, __m512 sums) {
    const __m512i all = _mm512_set1_epi32(int(left));
    if constexpr (PACKED<T> == 1) {
        return _mm512_fmadd_ps(_mm512_castsi512_ps(all), _mm512_castsi512_ps(right), sums);
    } else {
        return _mm512_dpbf16_ps(sums, __m512bh(all), __m512bh(right));
    }
}

// An uninitialised array of 32-bit elements, aligned to cache lines.
template <typename Element>
class Buffer {
public:
    explicit Buffer(int64_t count) : lines(new CacheLine[divide_up(count, LANES)]) {}
    Element* data() const { return reinterpret_cast<Element*>(lines.get()); }

private:
    struct alignas(64) CacheLine {
        Element elements[LANES];
    };
    std::unique_ptr<CacheLine[]> lines;
};

// Matrices of transformed elements, one for each position: [positions, rows, columns].
class Transformed {
public:
    // `rows` is even.
    Transformed(int64_t positions, int64_t rows, int64_t columns)
        : pitch((divide_up(columns, LANES) | 1) * LANES), plane(rows * pitch + LANES), elements(positions * plane) {}

    Operand* at(int64_t position, int64_t row, int64_t column) const {
        return elements.data() + position * plane + row * pitch + column;
    }

    // The distances between rows and between matrices. Both are odd numbers of cache lines, so that lines that are used
    // together lie in different sets of the L1 cache.
    const int64_t pitch, plane;

private:
    Buffer<Operand> elements;
};

// The tiles of all images, in order.
class Tiles {
public:
    explicit Tiles(const DenseConvolution& shape)
        : shape(shape), rows(divide_up(shape.out_height, 2)), columns(divide_up(shape.out_width, 2)) {}

    int64_t count() const { return shape.images * rows * columns; }

    // Finds the square of input pixels that a tile needs. `outside` stands for those outside the image.
    template <typename T>
    void find_inputs(int64_t tile, const T* x, const T* outside, const T** pixels) const {
        const Images<const T> images{x, shape.height, shape.width, shape.in_channels};
        const auto corner = find_corner(tile);
        images.find_square(
            corner.image, corner.row - shape.padding_height, corner.column - shape.padding_width,
            shape.kernel_height + 1, outside, pixels);
    }

    // Finds the 2x2 output pixels of a tile. `outside` stands for those outside the image.
    template <typename T>
    void find_outputs(int64_t tile, T* y, T* outside, T** pixels) const {
        const Images<T> images{y, shape.out_height, shape.out_width, shape.out_channels};
        const auto corner = find_corner(tile);
        images.find_square(corner.image, corner.row, corner.column, 2, outside, pixels);
    }

private:
    template <typename T>
    struct Images {
        T* data;
        int64_t height, width, channels;

        // The pixels of a square with this first row, first column and side.
        void find_square(
            int64_t image, int64_t first_row, int64_t first_column, int64_t side, T* outside, T** pixels) const {
            T* const from = data + image * height * width * channels;
            for (int64_t row = first_row; row < first_row + side; ++row) {
                for (int64_t column = first_column; column < first_column + side; ++column) {
                    const bool exists = row >= 0 && row < height && column >= 0 && column < width;
                    *pixels++ = exists ? from + (row * width + column) * channels : outside;
                }
            }
        }
    };

    struct Corner {
        int64_t image, row, column;
    };
    Corner find_corner(int64_t tile) const {
        return {tile / (rows * columns), tile / columns % rows * 2, tile % columns * 2};
    }

    const DenseConvolution& shape;
    int64_t rows, columns;
};

// A view of the left matrix of a product: element (row, depth) is at data + row * row_stride + depth * depth_stride.
struct Left {
    const Operand* data;
    int64_t row_stride, depth_stride;
};

// Multiplies 8 rows with one panel of 32 columns, `right` [depth, 32]. Adds to `sums` if `adds`, and overwrites them if not.
template <typename T>
FOR_AVX512 void multiply(
    const Left& left, const Operand* right, int64_t right_stride, int64_t depth, float* sums, int64_t sums_stride,
    bool adds) {
    __m512 low[ROWS], high[ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
        low[i] = adds ? _mm512_load_ps(sums + i * sums_stride) : _mm512_setzero_ps();
        high[i] = adds ? _mm512_load_ps(sums + i * sums_stride + LANES) : _mm512_setzero_ps();
    }
    const Operand* rows = left.data;
    for (int64_t k = 0; k < depth; ++k) {
        const __m512i first = _mm512_load_si512(right), second = _mm512_load_si512(right + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            const Operand operand = rows[i * left.row_stride];
            low[i] = multiply_add<T>(operand, first, low[i]);
            high[i] = multiply_add<T>(operand, second, high[i]);
        }
        rows += left.depth_stride;
        right += right_stride;
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
        _mm512_store_ps(sums + i * sums_stride, low[i]);
        _mm512_store_ps(sums + i * sums_stride + LANES, high[i]);
    }
}

// Transforms 16 channels of a square of SIDE x SIDE pixels.
template <int SIDE, auto SQUARE>
struct PixelTransform {
    static constexpr int PIXELS = SIDE * SIDE;

    template <typename T>
    INLINE static void apply(const T* const* pixels, int64_t channel, __m512* to) {
        __m512 x[PIXELS];
#pragma GCC unroll 64
        for (int i = 0; i < PIXELS; ++i) x[i] = load(pixels[i] + channel);
        SQUARE(x, to);
    }
};

// Of the input of a tile, and of the gradient of its 2x2 outputs.
template <int SIZE>
struct InputTransform : PixelTransform<Square<SIZE>::INPUTS, Square<SIZE>::input> {
    using S = Square<SIZE>;
};
template <int SIZE>
struct OutputGradientTransform : PixelTransform<2, Square<SIZE>::output_gradient> {
    using S = Square<SIZE>;
};

// What a pair of bfloat16 elements holds: two channels of a tile, or the same channel of two tiles.
enum class Pairs { Channels, Tiles };

// Transforms `channels` channels, from `channel` on, to a row of each matrix. `pixels` has those of one tile, or of the
// PACKED<T> tiles whose elements are packed together.
template <typename Transform, Pairs PAIRS, typename T>
FOR_AVX512 void transform(
    const T* const* pixels, int64_t channel, int64_t channels, const Transformed& to, int64_t row) {
    constexpr int POSITIONS = Transform::S::POSITIONS;
    constexpr int64_t CHANNELS_PACKED = PAIRS == Pairs::Channels ? PACKED<T> : 1;
    for (int64_t c = 0; c < channels; c += CHANNELS_PACKED * LANES) {
        __m512 first[POSITIONS];
        Transform::apply(pixels, channel + c, first);
        Operand* const place = to.at(0, row, c / CHANNELS_PACKED);
        if constexpr (PACKED<T> == 1) {
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) _mm512_store_ps(place + i * to.plane, first[i]);
        } else if constexpr (PAIRS == Pairs::Channels) {
            __m512 second[POSITIONS];
            Transform::apply(pixels, channel + c + LANES, second);
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) _mm512_store_si512(place + i * to.plane, join(first[i], second[i]));
        } else {
            __m512 second[POSITIONS];
            Transform::apply(pixels + Transform::PIXELS, channel + c, second);
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) _mm512_store_si512(place + i * to.plane, pair(first[i], second[i]));
        }
    }
}

// The transformed weight, [positions, panels, in_channels / PACKED<T>, 32 output channels].
template <typename T, int SIZE>
class TransformedWeight {
    static constexpr int64_t POSITIONS = Square<SIZE>::POSITIONS;

public:
    TransformedWeight(const DenseConvolution& shape, const WeightView<T>& weight)
        : depth(shape.in_channels / PACKED<T>), panels(shape.out_channels / PANEL),
          elements(POSITIONS * depth * shape.out_channels) {
        const int64_t blocks = shape.in_channels / LANES;
        at::parallel_for(0, panels * blocks, 1, [&](int64_t block, int64_t end) {
            for (; block < end; ++block) {
                const int64_t panel = block / blocks, channel = block % blocks * LANES;
                arrange(weight, panel, 0, channel);
                arrange(weight, panel, LANES, channel);
            }
        });
    }

    Operand* at(int64_t position, int64_t panel) const {
        return elements.data() + (position * panels + panel) * depth * PANEL;
    }

private:
    // Transforms and packs 16 input channels from `channel` for 16 output channels of a panel from `out`.
    FOR_AVX512 void arrange(const WeightView<T>& weight, int64_t panel, int64_t out, int64_t channel) {
        const T* const from = weight.data + (panel * PANEL + out) * weight.out_stride + channel * weight.in_stride;
        // Reads along the channels whose stride is 1.
        const bool is_transposed = weight.out_stride != 1;
        const int64_t stride = is_transposed ? weight.out_stride : weight.in_stride;
        __m512 kernels[LANES][POSITIONS];
        for (int64_t i = 0; i < LANES; ++i) transform_kernels(weight, from + i * stride, kernels[i]);
        for (int64_t position = 0; position < POSITIONS; ++position) {
            __m512i rows[LANES];
            for (int64_t i = 0; i < LANES; ++i) rows[i] = _mm512_castps_si512(kernels[i][position]);
            if (is_transposed) transpose(rows);
            Operand* const to = at(position, panel) + channel / PACKED<T> * PANEL + out;
            for (int64_t i = 0; i < LANES / PACKED<T>; ++i) {
                __m512i packed = rows[i];
                if constexpr (PACKED<T> == 2) {
                    packed = pair(_mm512_castsi512_ps(rows[2 * i]), _mm512_castsi512_ps(rows[2 * i + 1]));
                }
                _mm512_store_si512(to + i * PANEL, packed);
            }
        }
    }

    // Transforms 16 kernels.
    INLINE static void transform_kernels(const WeightView<T>& weight, const T* from, __m512* to) {
        __m512 g[SIZE * SIZE];
        for (int i = 0; i < SIZE; ++i) {
            for (int j = 0; j < SIZE; ++j) {
                g[SIZE * i + j] = load(from + i * weight.row_stride + j * weight.column_stride);
            }
        }
        Square<SIZE>::kernel(g, to);
    }

    int64_t depth, panels;
    Buffer<Operand> elements;
};

// Computes the outputs of blocks of tiles, on one thread.
template <typename T, int SIZE>
class OutputBlock {
    using Transform = InputTransform<SIZE>;
    static constexpr int64_t POSITIONS = Square<SIZE>::POSITIONS;

public:
    OutputBlock(
        const DenseConvolution& shape, const Tiles& tiles, const TransformedWeight<T, SIZE>& weight, int64_t size)
        : shape(shape), tiles(tiles), weight(weight), size(size), inputs(POSITIONS, size, shape.in_channels / PACKED<T>),
          sums(POSITIONS * size * PANEL), zeros(shape.in_channels), outputs(4 * size) {}

    // For tiles `first` to `end`.
    FOR_AVX512 void compute(int64_t first, int64_t end, const T* x, const T* bias, T* y) {
        const int64_t count = end - first, rows = divide_up(count, ROWS) * ROWS;
        const T* pixels[Transform::PIXELS];
        for (int64_t i = 0; i < count; ++i) {
            tiles.find_inputs<T>(first + i, x, zeros.data(), pixels);
            tiles.find_outputs<T>(first + i, y, nullptr, outputs.data() + 4 * i);
            transform<Transform, Pairs::Channels>(pixels, 0, shape.in_channels, inputs, i);
        }
        std::fill_n(pixels, Transform::PIXELS, zeros.data());
        for (int64_t i = count; i < rows; ++i) {
            transform<Transform, Pairs::Channels>(pixels, 0, shape.in_channels, inputs, i);
        }
        for (int64_t channel = 0; channel < shape.out_channels; channel += PANEL) {
            for (int64_t position = 0; position < POSITIONS; ++position) {
                for (int64_t i = 0; i < rows; i += ROWS) {
                    multiply<T>(
                        {inputs.at(position, i, 0), inputs.pitch, 1}, weight.at(position, channel / PANEL), PANEL,
                        shape.in_channels / PACKED<T>, sums_at(position, i), PANEL, false);
                }
            }
            for (int64_t i = 0; i < count; ++i) write(i, channel, bias);
        }
    }

private:
    float* sums_at(int64_t position, int64_t tile) const { return sums.data() + (position * size + tile) * PANEL; }

    // Transforms a tile's sums to one panel of channels of its 2x2 pixels.
    FOR_AVX512 void write(int64_t tile, int64_t channel, const T* bias) {
        for (int64_t c = 0; c < PANEL; c += LANES) {
            __m512 m[POSITIONS], y[4];
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) m[i] = _mm512_load_ps(sums_at(i, tile) + c);
            Square<SIZE>::output(m, y);
            const __m512 added = bias == nullptr ? _mm512_setzero_ps() : load(bias + channel + c);
            for (int i = 0; i < 4; ++i) {
                T* const pixel = outputs[4 * tile + i];
                if (pixel != nullptr) store(pixel + channel + c, _mm512_add_ps(y[i], added));
            }
        }
    }

    const DenseConvolution& shape;
    const Tiles& tiles;
    const TransformedWeight<T, SIZE>& weight;
    const int64_t size;  // tiles
    Transformed inputs;
    Buffer<float> sums;
    std::vector<T> zeros;
    std::vector<T*> outputs;
};

template <typename T, int SIZE>
void convolve(const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y) {
    const TransformedWeight<T, SIZE> transformed(shape, weight);
    const Tiles tiles(shape);
    const int64_t tile_bytes = Square<SIZE>::POSITIONS * shape.in_channels * int64_t(sizeof(T));
    const int64_t largest = std::max<int64_t>(1, BLOCK_BYTES / (ROWS * tile_bytes)) * ROWS;
    // Each thread computes this many blocks. They have the same size, so that threads finish together.
    const int64_t threads = at::get_num_threads();
    const int64_t rounds = divide_up(tiles.count(), largest * threads);
    const int64_t size = divide_up(divide_up(tiles.count(), rounds * threads), ROWS) * ROWS;
    at::parallel_for(0, divide_up(tiles.count(), size), 1, [&](int64_t index, int64_t end) {
        OutputBlock<T, SIZE> block(shape, tiles, transformed, size);
        for (; index < end; ++index) {
            block.compute(index * size, std::min((index + 1) * size, tiles.count()), x, bias, y);
        }
    });
}

// A range of channels.
struct ChannelRange {
    int64_t first, count;
};

ChannelRange task_channels(int64_t chunk, int64_t channels) {
    const int64_t first = chunk * TASK_CHANNELS;
    return {first, std::min(TASK_CHANNELS, channels - first)};
}

// Adds up the weight's gradient for some of the input's and of the output's channels, on one thread.
template <typename T>
class GradientTask {
    static constexpr int SIZE = 3, ELEMENTS = SIZE * SIZE;
    static constexpr int64_t POSITIONS = Square<SIZE>::POSITIONS;
    using InputPixels = const T* [PACKED<T>][InputTransform<SIZE>::PIXELS];
    using OutputPixels = const T* [PACKED<T>][OutputGradientTransform<SIZE>::PIXELS];

public:
    GradientTask(const DenseConvolution& shape, const Tiles& tiles)
        : shape(shape), tiles(tiles), inputs(POSITIONS, TASK_TILES / PACKED<T>, TASK_CHANNELS),
          gradients(POSITIONS, TASK_TILES / PACKED<T>, TASK_CHANNELS), sums(POSITIONS * TASK_CHANNELS * TASK_CHANNELS),
          zeros(std::max(shape.in_channels, shape.out_channels)) {}

    // For tiles `first` to `end`, of which there is one at least. Writes to [out, 3, 3, in].
    FOR_AVX512 void compute(
        int64_t first, int64_t end, ChannelRange in, ChannelRange out, const T* x, const T* gradient, float* to) {
        for (int64_t start = first; start < end; start += TASK_TILES) {
            const int64_t depth = divide_up(std::min(TASK_TILES, end - start), PACKED<T>);
            for (int64_t i = 0; i < depth; ++i) {
                transform_tiles(start + i * PACKED<T>, end, i, in, out, x, gradient);
            }
            for (int64_t position = 0; position < POSITIONS; ++position) {
                for (int64_t o = 0; o < out.count; o += PANEL) {
                    for (int64_t c = 0; c < in.count; c += ROWS) {
                        multiply<T>(
                            {inputs.at(position, 0, c), 1, inputs.pitch}, gradients.at(position, 0, o), gradients.pitch,
                            depth, sums_at(position, c, o), TASK_CHANNELS, start > first);
                    }
                }
            }
        }
        for (int64_t o = 0; o < out.count; o += LANES) {
            for (int64_t c = 0; c < in.count; c += LANES) {
                write(c, o, to + (out.first + o) * ELEMENTS * shape.in_channels + in.first + c);
            }
        }
    }

private:
    float* sums_at(int64_t position, int64_t in, int64_t out) const {
        return sums.data() + (position * TASK_CHANNELS + in) * TASK_CHANNELS + out;
    }

    // Transforms the inputs and the gradients of the tiles that are packed into one row. Tiles from `end` on count as zeros.
    FOR_AVX512 void transform_tiles(
        int64_t tile, int64_t end, int64_t row, ChannelRange in, ChannelRange out, const T* x, const T* gradient) {
        InputPixels input_pixels;
        OutputPixels output_pixels;
        for (int64_t i = 0; i < PACKED<T>; ++i) {
            if (tile + i < end) {
                tiles.find_inputs<T>(tile + i, x, zeros.data(), input_pixels[i]);
                tiles.find_outputs<const T>(tile + i, gradient, zeros.data(), output_pixels[i]);
            } else {
                std::fill(std::begin(input_pixels[i]), std::end(input_pixels[i]), zeros.data());
                std::fill(std::begin(output_pixels[i]), std::end(output_pixels[i]), zeros.data());
            }
        }
        transform<InputTransform<SIZE>, Pairs::Tiles>(&input_pixels[0][0], in.first, in.count, inputs, row);
        transform<OutputGradientTransform<SIZE>, Pairs::Tiles>(
            &output_pixels[0][0], out.first, out.count, gradients, row);
    }

    // Transforms the sums of 16 input channels and 16 output channels.
    FOR_AVX512 void write(int64_t in, int64_t out, float* to) {
        __m512i elements[ELEMENTS][LANES];
        for (int64_t i = 0; i < LANES; ++i) {
            __m512 u[POSITIONS], g[ELEMENTS];
            for (int64_t p = 0; p < POSITIONS; ++p) u[p] = _mm512_load_ps(sums_at(p, in + i, out));
            Square<SIZE>::kernel_gradient(u, g);
            for (int j = 0; j < ELEMENTS; ++j) elements[j][i] = _mm512_castps_si512(g[j]);
        }
        for (int64_t j = 0; j < ELEMENTS; ++j) {
            transpose(elements[j]);
            for (int64_t i = 0; i < LANES; ++i) {
                _mm512_storeu_si512(to + (i * ELEMENTS + j) * shape.in_channels, elements[j][i]);
            }
        }
    }

    const DenseConvolution& shape;
    const Tiles& tiles;
    Transformed inputs, gradients;
    Buffer<float> sums;
    std::vector<T> zeros;
};

// Adds up elements `first` to `end` of the parts, `size` elements each, in order.
template <typename T>
FOR_AVX512 void add_parts(const float* parts, int64_t count, int64_t size, int64_t first, int64_t end, T* to) {
    for (int64_t i = first; i < end; i += LANES) {
        __m512 sum = load(parts + i);
        for (int64_t part = 1; part < count; ++part) sum = _mm512_add_ps(sum, load(parts + part * size + i));
        store(to + i, sum);
    }
}

}  // namespace

bool winograd_is_usable() {
    static const bool usable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                               __builtin_cpu_supports("avx512bf16");
    return usable;
}

template <typename T>
void winograd_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y) {
    if (shape.kernel_height == 3) {
        convolve<T, 3>(shape, x, weight, bias, y);
    } else {
        convolve<T, 5>(shape, x, weight, bias, y);
    }
}

template <typename T>
void winograd_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to) {
    const Tiles tiles(shape);
    const int64_t in_chunks = divide_up(shape.in_channels, TASK_CHANNELS);
    const int64_t out_chunks = divide_up(shape.out_channels, TASK_CHANNELS);
    const int64_t chunks = in_chunks * out_chunks;
    const int64_t blocks = divide_up(tiles.count(), TASK_TILES);
    const int64_t parts = std::min(blocks, divide_up(TASKS, chunks));
    const int64_t size = shape.out_channels * 9 * shape.in_channels;
    const Buffer<float> sums(parts * size);
    at::parallel_for(0, parts * chunks, 1, [&](int64_t index, int64_t end) {
        GradientTask<T> task(shape, tiles);
        for (; index < end; ++index) {
            const int64_t part = index / chunks, chunk = index % chunks;
            const int64_t first = blocks * part / parts * TASK_TILES;
            const int64_t last = std::min(blocks * (part + 1) / parts * TASK_TILES, tiles.count());
            const auto in = task_channels(chunk / out_chunks, shape.in_channels);
            const auto out = task_channels(chunk % out_chunks, shape.out_channels);
            task.compute(first, last, in, out, x, gradient, sums.data() + part * size);
        }
    });
    constexpr int64_t LEAST_LINES = 2048;
    at::parallel_for(0, size / LANES, LEAST_LINES, [&](int64_t first, int64_t end) {
        add_parts(sums.data(), parts, size, first * LANES, end * LANES, to);
    });
}

}  // namespace torchmill
#else
namespace torchmill {

bool winograd_is_usable() { return false; }

template <typename T>
void winograd_convolution(const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*) {}

template <typename T>
void winograd_weight_gradient(const DenseConvolution&, const T*, const T*, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

#define FOR_TYPE(T)                                                                                      \
    template void winograd_convolution<T>(                                                               \
        const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*);                          \
    template void winograd_weight_gradient<T>(const DenseConvolution&, const T*, const T*, T*);
FOR_TYPE(float)
FOR_TYPE(uint16_t)
#undef FOR_TYPE

}  // namespace torchmill
