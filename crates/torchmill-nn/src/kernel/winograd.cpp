// Winograd's algorithm (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015) for tiles of 2x2
// outputs.
//
// With a kernel of 3x3, a tile needs 4x4 inputs. Both the inputs and the kernel are transformed to 4x4 numbers, which are
// multiplied one by one and added up over the channels. The sums are transformed to the 2x2 outputs. A tile takes 16
// multiplications for each pair of channels instead of 36. At each of the 16 positions, the sums over the channels are a
// product of matrices. The weight's gradient is computed likewise: it is the sum over all tiles of products of the
// transformed inputs and the transformed gradients.
//
// With a kernel of 5x5, each dimension is divided: the first three of the five elements are transformed as those of a
// kernel of three, and the last two likewise, by F(2, 2). A tile takes 7x7 = 49 multiplications instead of 100. The direct
// transform, F(2, 5), takes 36, but multiplies by 4 and by 5, which loses digits.
//
// These transforms only add, subtract and halve. In float32, errors are smaller than those of a plain convolution, because
// fewer numbers are added up. In bfloat16, transformed numbers are rounded once more before they are multiplied, so errors
// are two to three times as large. Sums are in float32.
//
// A thread transforms a block of tiles, multiplies and transforms back, so that everything stays in its second cache.
#include "winograd.h"

#include "avx512.h"
#include "division.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

#define INLINE FOR_AVX512 inline __attribute__((always_inline))

namespace torchmill {
namespace {

constexpr int64_t LANES = 16;
// The rows and columns of a product that are in registers.
constexpr int64_t ROWS = 8;
constexpr int64_t PANEL = 2 * LANES;
// The size of a block of transformed inputs, in bytes.
constexpr int64_t BLOCK_BYTES = 1 << 18;
// The largest number of channels for which a thread adds up the weight's gradient at a time.
constexpr int64_t GRADIENT_CHANNELS = 64;
// The weight's gradient is divided into this many parts at least, if there are enough tiles. The number does not depend on
// the number of threads, so the sums do not either.
constexpr int64_t GRADIENT_PARTS = 32;

// A number that is multiplied: a float32, or a pair of bfloat16 whose products are added.
using Number = uint32_t;
template <typename T>
constexpr int64_t PACKED = sizeof(Number) / sizeof(T);

// 16 elements as float32.
INLINE __m512 load(const float* from) { return _mm512_loadu_ps(from); }
INLINE __m512 load(const uint16_t* from) {
    const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
INLINE void store(float* to, __m512 numbers) { _mm512_storeu_ps(to, numbers); }
INLINE void store(uint16_t* to, __m512 numbers) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), __m256i(_mm512_cvtneps_pbh(numbers)));
}

// 16 pairs, of the same element of both.
INLINE __m512i pair(__m512 first, __m512 second) {
    const __m512i low = _mm512_cvtepu16_epi32(__m256i(_mm512_cvtneps_pbh(first)));
    const __m512i high = _mm512_cvtepu16_epi32(__m256i(_mm512_cvtneps_pbh(second)));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

// Adds products to sums.
template <typename T>
INLINE __m512 multiply_add(Number left, __m512i right, __m512 sums) {
    const __m512i all = _mm512_set1_epi32(int(left));
    if constexpr (PACKED<T> == 1) {
        return _mm512_fmadd_ps(_mm512_castsi512_ps(all), _mm512_castsi512_ps(right), sums);
    } else {
        return _mm512_dpbf16_ps(sums, __m512bh(all), __m512bh(right));
    }
}

// Numbers in whole cache lines, not set.
template <typename N>
class Buffer {
public:
    explicit Buffer(int64_t count) : lines(new Line[divide_up(count, LANES)]) {}
    N* data() const { return lines[0].numbers; }

private:
    struct alignas(64) Line {
        N numbers[LANES];
    };
    std::unique_ptr<Line[]> lines;
};

// Matrices of transformed numbers, one for each position: [positions, rows, columns].
class Transformed {
public:
    Transformed(int64_t positions, int64_t rows, int64_t columns)
        : pitch((divide_up(columns, LANES) | 1) * LANES), plane(rows * pitch + LANES), numbers(positions * plane) {}
    Number* at(int64_t position, int64_t row, int64_t column) const {
        return numbers.data() + position * plane + row * pitch + column;
    }

    // The distances between rows and between matrices. Both are odd numbers of cache lines, so that lines that are used
    // together lie in different sets of the first cache.
    const int64_t pitch, plane;

private:
    Buffer<Number> numbers;
};

// The tiles of all images, in order.
class Tiles {
public:
    explicit Tiles(const DenseConvolution& shape)
        : shape(shape), rows(divide_up(shape.out_height, 2)), columns(divide_up(shape.out_width, 2)) {}

    int64_t count() const { return shape.images * rows * columns; }

    // Finds the square of pixels of the images that a tile needs. Those outside are `outside`.
    template <typename T>
    void find_inputs(int64_t tile, const T* x, const T* outside, const T** pixels) const {
        const auto place = find(tile);
        const T* const image = x + place.image * shape.height * shape.width * shape.in_channels;
        const int64_t size = shape.kernel_height + 1;
        for (int64_t i = 0; i < size; ++i) {
            const int64_t row = place.row + i - shape.padding_height;
            for (int64_t j = 0; j < size; ++j) {
                const int64_t column = place.column + j - shape.padding_width;
                const bool exists = row >= 0 && row < shape.height && column >= 0 && column < shape.width;
                *pixels++ = exists ? image + (row * shape.width + column) * shape.in_channels : outside;
            }
        }
    }

    // Finds the 2x2 pixels of a tile in the outputs. Those outside are `outside`.
    template <typename T>
    void find_outputs(int64_t tile, T* y, T* outside, T** pixels) const {
        const auto place = find(tile);
        T* const image = y + place.image * shape.out_height * shape.out_width * shape.out_channels;
        for (int64_t i = 0; i < 2; ++i) {
            const int64_t row = place.row + i;
            for (int64_t j = 0; j < 2; ++j) {
                const int64_t column = place.column + j;
                const bool exists = row < shape.out_height && column < shape.out_width;
                *pixels++ = exists ? image + (row * shape.out_width + column) * shape.out_channels : outside;
            }
        }
    }

private:
    struct Place {
        int64_t image, row, column;
    };
    Place find(int64_t tile) const {
        return {tile / (rows * columns), tile / columns % rows * 2, tile % columns * 2};
    }

    const DenseConvolution& shape;
    int64_t rows, columns;
};

// A left side: the number in a row at a depth is at data + row * row_stride + depth * depth_stride.
struct Left {
    const Number* data;
    int64_t row_stride, depth_stride;
};

// Multiplies 8 rows with one panel of 32 columns, `right` [depth, 32]. `sums` are added to if `adds`, and set if not.
template <typename T>
FOR_AVX512 void multiply(
    const Left& left, const Number* right, int64_t right_stride, int64_t depth, float* sums, int64_t sums_stride,
    bool adds) {
    __m512 low[ROWS], high[ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) {
        low[i] = adds ? _mm512_load_ps(sums + i * sums_stride) : _mm512_setzero_ps();
        high[i] = adds ? _mm512_load_ps(sums + i * sums_stride + LANES) : _mm512_setzero_ps();
    }
    const Number* rows = left.data;
    for (int64_t k = 0; k < depth; ++k) {
        const __m512i first = _mm512_load_si512(right), second = _mm512_load_si512(right + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            const Number number = rows[i * left.row_stride];
            low[i] = multiply_add<T>(number, first, low[i]);
            high[i] = multiply_add<T>(number, second, high[i]);
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

// One dimension of the transforms for a kernel of SIZE elements. Elements are `step` apart, and results `to_step`.
template <int SIZE>
struct Line;

// F(2, 2): two outputs, two elements of the kernel.
template <>
struct Line<2> {
    static constexpr int INPUTS = 3, NUMBERS = 3;

    INLINE static void input(const __m512* x, int step, __m512* to, int to_step) {
        to[0] = _mm512_sub_ps(x[0], x[step]);
        to[to_step] = x[step];
        to[2 * to_step] = _mm512_sub_ps(x[2 * step], x[step]);
    }
    INLINE static void kernel(const __m512* g, int step, __m512* to, int to_step) {
        to[0] = g[0];
        to[to_step] = _mm512_add_ps(g[0], g[step]);
        to[2 * to_step] = g[step];
    }
    INLINE static void output(const __m512* m, int step, __m512* to, int to_step) {
        to[0] = _mm512_add_ps(m[0], m[step]);
        to[to_step] = _mm512_add_ps(m[step], m[2 * step]);
    }
};

// F(2, 3).
template <>
struct Line<3> {
    static constexpr int INPUTS = 4, NUMBERS = 4;

    INLINE static void input(const __m512* x, int step, __m512* to, int to_step) {
        to[0] = _mm512_sub_ps(x[0], x[2 * step]);
        to[to_step] = _mm512_add_ps(x[step], x[2 * step]);
        to[2 * to_step] = _mm512_sub_ps(x[2 * step], x[step]);
        to[3 * to_step] = _mm512_sub_ps(x[step], x[3 * step]);
    }
    INLINE static void kernel(const __m512* g, int step, __m512* to, int to_step) {
        const __m512 half = _mm512_set1_ps(0.5f);
        const __m512 outer = _mm512_add_ps(g[0], g[2 * step]);
        to[0] = g[0];
        to[to_step] = _mm512_mul_ps(_mm512_add_ps(outer, g[step]), half);
        to[2 * to_step] = _mm512_mul_ps(_mm512_sub_ps(outer, g[step]), half);
        to[3 * to_step] = g[2 * step];
    }
    INLINE static void output(const __m512* m, int step, __m512* to, int to_step) {
        to[0] = _mm512_add_ps(_mm512_add_ps(m[0], m[step]), m[2 * step]);
        to[to_step] = _mm512_sub_ps(_mm512_sub_ps(m[step], m[2 * step]), m[3 * step]);
    }
    // The transposes of the last two.
    INLINE static void output_gradient(const __m512* y, int step, __m512* to, int to_step) {
        to[0] = y[0];
        to[to_step] = _mm512_add_ps(y[0], y[step]);
        to[2 * to_step] = _mm512_sub_ps(y[0], y[step]);
        to[3 * to_step] = _mm512_sub_ps(_mm512_setzero_ps(), y[step]);
    }
    INLINE static void kernel_gradient(const __m512* u, int step, __m512* to, int to_step) {
        const __m512 half = _mm512_set1_ps(0.5f);
        const __m512 sum = _mm512_mul_ps(_mm512_add_ps(u[step], u[2 * step]), half);
        to[0] = _mm512_add_ps(u[0], sum);
        to[to_step] = _mm512_mul_ps(_mm512_sub_ps(u[step], u[2 * step]), half);
        to[2 * to_step] = _mm512_add_ps(sum, u[3 * step]);
    }
};

// The sum of the first three elements' part and of the last two's.
template <>
struct Line<5> {
    using First = Line<3>;
    using Last = Line<2>;
    static constexpr int INPUTS = 6, NUMBERS = First::NUMBERS + Last::NUMBERS;

    INLINE static void input(const __m512* x, int step, __m512* to, int to_step) {
        First::input(x, step, to, to_step);
        Last::input(x + 3 * step, step, to + First::NUMBERS * to_step, to_step);
    }
    INLINE static void kernel(const __m512* g, int step, __m512* to, int to_step) {
        First::kernel(g, step, to, to_step);
        Last::kernel(g + 3 * step, step, to + First::NUMBERS * to_step, to_step);
    }
    INLINE static void output(const __m512* m, int step, __m512* to, int to_step) {
        __m512 last[2];
        First::output(m, step, to, to_step);
        Last::output(m + First::NUMBERS * step, step, last, 1);
        to[0] = _mm512_add_ps(to[0], last[0]);
        to[to_step] = _mm512_add_ps(to[to_step], last[1]);
    }
};

// The transforms of squares: of each column, and of each row of the results.
template <int SIZE>
struct Square {
    using L = Line<SIZE>;
    static constexpr int INPUTS = L::INPUTS, NUMBERS = L::NUMBERS, POSITIONS = NUMBERS * NUMBERS;

    // Both sides are rows of squares.
    INLINE static void input(const __m512* x, __m512* to) {
        __m512 rows[NUMBERS * INPUTS];
#pragma GCC unroll 8
        for (int j = 0; j < INPUTS; ++j) L::input(x + j, INPUTS, rows + j, INPUTS);
#pragma GCC unroll 8
        for (int i = 0; i < NUMBERS; ++i) L::input(rows + i * INPUTS, 1, to + i * NUMBERS, 1);
    }
    INLINE static void kernel(const __m512* g, __m512* to) {
        __m512 rows[NUMBERS * SIZE];
#pragma GCC unroll 8
        for (int j = 0; j < SIZE; ++j) L::kernel(g + j, SIZE, rows + j, SIZE);
#pragma GCC unroll 8
        for (int i = 0; i < NUMBERS; ++i) L::kernel(rows + i * SIZE, 1, to + i * NUMBERS, 1);
    }
    INLINE static void output(const __m512* m, __m512* to) {
        __m512 rows[2 * NUMBERS];
#pragma GCC unroll 8
        for (int j = 0; j < NUMBERS; ++j) L::output(m + j, NUMBERS, rows + j, NUMBERS);
        L::output(rows, 1, to, 1);
        L::output(rows + NUMBERS, 1, to + 2, 1);
    }
    INLINE static void output_gradient(const __m512* y, __m512* to) {
        __m512 rows[NUMBERS * 2];
        L::output_gradient(y, 2, rows, 2);
        L::output_gradient(y + 1, 2, rows + 1, 2);
#pragma GCC unroll 8
        for (int i = 0; i < NUMBERS; ++i) L::output_gradient(rows + 2 * i, 1, to + i * NUMBERS, 1);
    }
    INLINE static void kernel_gradient(const __m512* u, __m512* to) {
        __m512 rows[SIZE * NUMBERS];
#pragma GCC unroll 8
        for (int j = 0; j < NUMBERS; ++j) L::kernel_gradient(u + j, NUMBERS, rows + j, NUMBERS);
#pragma GCC unroll 8
        for (int i = 0; i < SIZE; ++i) L::kernel_gradient(rows + i * NUMBERS, 1, to + i * SIZE, 1);
    }
};

// Transforms 16 channels of a tile's input.
template <int SIZE>
struct InputTransform {
    using S = Square<SIZE>;
    static constexpr int PIXELS = S::INPUTS * S::INPUTS, POSITIONS = S::POSITIONS;

    template <typename T>
    INLINE static void apply(const T* const* pixels, int64_t channel, __m512* to) {
        __m512 x[PIXELS];
#pragma GCC unroll 64
        for (int i = 0; i < PIXELS; ++i) x[i] = load(pixels[i] + channel);
        S::input(x, to);
    }
};

// The same of the 2x2 pixels of an output's gradient, for a kernel of 3x3.
struct OutputGradientTransform {
    using S = Square<3>;
    static constexpr int PIXELS = 4, POSITIONS = S::POSITIONS;

    template <typename T>
    INLINE static void apply(const T* const* pixels, int64_t channel, __m512* to) {
        __m512 y[PIXELS];
#pragma GCC unroll 4
        for (int i = 0; i < PIXELS; ++i) y[i] = load(pixels[i] + channel);
        S::output_gradient(y, to);
    }
};

// Transforms a tile of the input to a row of each matrix, [rows, channels].
template <typename Transform, typename T>
FOR_AVX512 void transform_to_row(const T* const* pixels, int64_t channels, const Transformed& to, int64_t row) {
    constexpr int POSITIONS = Transform::POSITIONS;
    for (int64_t c = 0; c < channels; c += PACKED<T> * LANES) {
        __m512 first[POSITIONS];
        Transform::apply(pixels, c, first);
        Number* const numbers = to.at(0, row, c / PACKED<T>);
        if constexpr (PACKED<T> == 1) {
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) _mm512_store_ps(numbers + i * to.plane, first[i]);
        } else {
            __m512 second[POSITIONS];
            Transform::apply(pixels, c + LANES, second);
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) {
                _mm512_store_si512(numbers + i * to.plane, __m512i(_mm512_cvtne2ps_pbh(second[i], first[i])));
            }
        }
    }
}

// Transforms as many tiles as a number holds to a row of each matrix, [rows, channels]. `pixels` has those of each tile.
template <typename Transform, typename T>
FOR_AVX512 void transform_to_numbers(
    const T* const* pixels, int64_t channel, int64_t channels, const Transformed& to, int64_t row) {
    constexpr int POSITIONS = Transform::POSITIONS;
    for (int64_t c = 0; c < channels; c += LANES) {
        __m512 first[POSITIONS];
        Transform::apply(pixels, channel + c, first);
        Number* const numbers = to.at(0, row, c);
        if constexpr (PACKED<T> == 1) {
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) _mm512_store_ps(numbers + i * to.plane, first[i]);
        } else {
            __m512 second[POSITIONS];
            Transform::apply(pixels + Transform::PIXELS, channel + c, second);
#pragma GCC unroll 64
            for (int i = 0; i < POSITIONS; ++i) _mm512_store_si512(numbers + i * to.plane, pair(first[i], second[i]));
        }
    }
}

// The transformed weight, [positions, panels, in_channels, 32 output channels].
template <typename T, int SIZE>
class Right {
    static constexpr int64_t POSITIONS = Square<SIZE>::POSITIONS;

public:
    Right(const DenseConvolution& shape, const WeightView<T>& weight)
        : weight(weight), depth(shape.in_channels / PACKED<T>), panels(shape.out_channels / PANEL),
          numbers(POSITIONS * depth * shape.out_channels) {
        const int64_t blocks = shape.in_channels / LANES;
        at::parallel_for(0, panels * blocks, 1, [&](int64_t block, int64_t end) {
            for (; block < end; ++block) {
                const int64_t panel = block / blocks, channel = block % blocks * LANES;
                arrange(panel, 0, channel);
                arrange(panel, LANES, channel);
            }
        });
    }

    const Number* at(int64_t position, int64_t panel) const {
        return numbers.data() + (position * panels + panel) * depth * PANEL;
    }

private:
    // 16 input channels from `channel` and 16 output channels of a panel from `out`.
    FOR_AVX512 void arrange(int64_t panel, int64_t out, int64_t channel) {
        const T* const from = weight.data + (panel * PANEL + out) * weight.out_stride + channel * weight.in_stride;
        // Memory is read along the channels that are dense.
        const bool is_transposed = weight.out_stride != 1;
        const int64_t stride = is_transposed ? weight.out_stride : weight.in_stride;
        __m512 kernels[LANES][POSITIONS];
        for (int64_t i = 0; i < LANES; ++i) transform(from + i * stride, kernels[i]);
        for (int64_t position = 0; position < POSITIONS; ++position) {
            __m512i rows[LANES];
            for (int64_t i = 0; i < LANES; ++i) rows[i] = _mm512_castps_si512(kernels[i][position]);
            if (is_transposed) transpose(rows);
            Number* const to =
                numbers.data() + ((position * panels + panel) * depth + channel / PACKED<T>) * PANEL + out;
            for (int64_t i = 0; i < LANES / PACKED<T>; ++i) {
                const __m512i* const row = rows + i * PACKED<T>;
                const bool is_packed = PACKED<T> == 2;
                const __m512i packed =
                    is_packed ? pair(_mm512_castsi512_ps(row[0]), _mm512_castsi512_ps(row[1])) : row[0];
                _mm512_store_si512(to + i * PANEL, packed);
            }
        }
    }

    // Transforms 16 kernels.
    INLINE void transform(const T* from, __m512* to) const {
        __m512 g[SIZE * SIZE];
        for (int i = 0; i < SIZE; ++i) {
            for (int j = 0; j < SIZE; ++j) {
                g[SIZE * i + j] = load(from + i * weight.row_stride + j * weight.column_stride);
            }
        }
        Square<SIZE>::kernel(g, to);
    }

    const WeightView<T>& weight;
    int64_t depth, panels;
    Buffer<Number> numbers;
};

// Computes the outputs of blocks of tiles, on one thread.
template <typename T, int SIZE>
class OutputBlock {
    using Transform = InputTransform<SIZE>;
    static constexpr int64_t POSITIONS = Square<SIZE>::POSITIONS;

public:
    OutputBlock(const DenseConvolution& shape, const Tiles& tiles, const Right<T, SIZE>& right, int64_t size)
        : shape(shape), tiles(tiles), right(right), size(size), inputs(POSITIONS, size, shape.in_channels / PACKED<T>),
          sums(POSITIONS * size * PANEL), zeros(shape.in_channels), outputs(4 * size) {}

    // For tiles `first` to `end`.
    FOR_AVX512 void compute(int64_t first, int64_t end, const T* x, const T* bias, T* y) {
        const int64_t count = end - first, rows = divide_up(count, ROWS) * ROWS;
        const T* pixels[Transform::PIXELS];
        for (int64_t i = 0; i < count; ++i) {
            tiles.find_inputs<T>(first + i, x, zeros.data(), pixels);
            tiles.find_outputs<T>(first + i, y, nullptr, outputs.data() + 4 * i);
            transform_to_row<Transform>(pixels, shape.in_channels, inputs, i);
        }
        std::fill_n(pixels, Transform::PIXELS, zeros.data());
        for (int64_t i = count; i < rows; ++i) transform_to_row<Transform>(pixels, shape.in_channels, inputs, i);
        for (int64_t channel = 0; channel < shape.out_channels; channel += PANEL) {
            for (int64_t position = 0; position < POSITIONS; ++position) {
                for (int64_t i = 0; i < rows; i += ROWS) {
                    multiply<T>(
                        {inputs.at(position, i, 0), inputs.pitch, 1}, right.at(position, channel / PANEL), PANEL,
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
    const Right<T, SIZE>& right;
    const int64_t size;  // tiles
    Transformed inputs;
    Buffer<float> sums;
    std::vector<T> zeros;
    std::vector<T*> outputs;
};

// A range of channels.
struct ChannelRange {
    int64_t first, count;
};

ChannelRange gradient_channels(int64_t chunk, int64_t channels) {
    const int64_t first = chunk * GRADIENT_CHANNELS;
    return {first, std::min(GRADIENT_CHANNELS, channels - first)};
}

// Adds up the weight's gradient for some of the input's and of the output's channels, on one thread.
template <typename T>
class GradientPart {
    static constexpr int SIZE = 3;
    using Input = InputTransform<SIZE>;
    using Gradient = OutputGradientTransform;
    static constexpr int64_t POSITIONS = Square<SIZE>::POSITIONS;

public:
    // Tiles are transformed and multiplied in blocks of this size.
    static constexpr int64_t TILES = 64;

    GradientPart(const DenseConvolution& shape, const Tiles& tiles)
        : shape(shape), tiles(tiles), inputs(POSITIONS, TILES / PACKED<T>, GRADIENT_CHANNELS),
          gradients(POSITIONS, TILES / PACKED<T>, GRADIENT_CHANNELS),
          sums(POSITIONS * GRADIENT_CHANNELS * GRADIENT_CHANNELS),
          zeros(std::max(shape.in_channels, shape.out_channels)) {}

    // For tiles `first` to `end`, of which there is one at least.
    FOR_AVX512 void compute(
        int64_t first, int64_t end, ChannelRange in, ChannelRange out, const T* x, const T* gradient, float* to) {
        for (int64_t start = first; start < end; start += TILES) {
            const int64_t depth = divide_up(std::min(TILES, end - start), PACKED<T>);
            for (int64_t i = 0; i < depth; ++i) {
                transform(start + i * PACKED<T>, end, i, in, out, x, gradient);
            }
            for (int64_t position = 0; position < POSITIONS; ++position) {
                for (int64_t o = 0; o < out.count; o += PANEL) {
                    for (int64_t c = 0; c < in.count; c += ROWS) {
                        multiply<T>(
                            {inputs.at(position, 0, c), 1, inputs.pitch}, gradients.at(position, 0, o), gradients.pitch,
                            depth, sums_at(position, c, o), GRADIENT_CHANNELS, start > first);
                    }
                }
            }
        }
        for (int64_t o = 0; o < out.count; o += LANES) {
            for (int64_t c = 0; c < in.count; c += LANES) {
                write(c, o, to + (out.first + o) * SIZE * SIZE * shape.in_channels + in.first + c);
            }
        }
    }

private:
    float* sums_at(int64_t position, int64_t in, int64_t out) const {
        return sums.data() + (position * GRADIENT_CHANNELS + in) * GRADIENT_CHANNELS + out;
    }

    // Transforms the inputs and the gradients of one row of numbers. Tiles from `end` on count as zeros.
    FOR_AVX512 void transform(
        int64_t tile, int64_t end, int64_t row, ChannelRange in, ChannelRange out, const T* x, const T* gradient) {
        const T* pixels[PACKED<T>][Input::PIXELS];
        std::fill_n(pixels[0], PACKED<T> * Input::PIXELS, zeros.data());
        for (int64_t i = 0; i < PACKED<T> && tile + i < end; ++i) {
            tiles.find_inputs<T>(tile + i, x, zeros.data(), pixels[i]);
        }
        transform_to_numbers<Input, T>(pixels[0], in.first, in.count, inputs, row);
        const T* outputs[PACKED<T>][Gradient::PIXELS];
        std::fill_n(outputs[0], PACKED<T> * Gradient::PIXELS, zeros.data());
        for (int64_t i = 0; i < PACKED<T> && tile + i < end; ++i) {
            tiles.find_outputs<const T>(tile + i, gradient, zeros.data(), outputs[i]);
        }
        transform_to_numbers<Gradient, T>(outputs[0], out.first, out.count, gradients, row);
    }

    // Transforms the sums of 16 input channels and 16 output channels to [out, SIZE, SIZE, in].
    FOR_AVX512 void write(int64_t in, int64_t out, float* to) {
        constexpr int ELEMENTS = SIZE * SIZE;
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

// Adds the parts, `size` elements each, in order.
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

namespace {

template <typename T, int SIZE>
void convolve(const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y) {
    const Right<T, SIZE> right(shape, weight);
    const Tiles tiles(shape);
    // All threads have blocks of the same size.
    const int64_t row = Square<SIZE>::POSITIONS * shape.in_channels * int64_t(sizeof(T));
    const int64_t largest = std::max<int64_t>(1, BLOCK_BYTES / (ROWS * row)) * ROWS;
    const int64_t threads = at::get_num_threads();
    const int64_t rounds = divide_up(tiles.count(), largest * threads);
    const int64_t size = divide_up(divide_up(tiles.count(), rounds * threads), ROWS) * ROWS;
    at::parallel_for(0, divide_up(tiles.count(), size), 1, [&](int64_t index, int64_t end) {
        OutputBlock<T, SIZE> block(shape, tiles, right, size);
        for (; index < end; ++index) {
            block.compute(index * size, std::min((index + 1) * size, tiles.count()), x, bias, y);
        }
    });
}

}  // namespace

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
    using Part = GradientPart<T>;
    const Tiles tiles(shape);
    const int64_t in_chunks = divide_up(shape.in_channels, GRADIENT_CHANNELS);
    const int64_t out_chunks = divide_up(shape.out_channels, GRADIENT_CHANNELS);
    const int64_t chunks = in_chunks * out_chunks;
    const int64_t blocks = divide_up(tiles.count(), Part::TILES);
    const int64_t parts = std::min(blocks, divide_up(GRADIENT_PARTS, chunks));
    const int64_t size = shape.out_channels * 9 * shape.in_channels;
    const Buffer<float> sums(parts * size);
    at::parallel_for(0, parts * chunks, 1, [&](int64_t index, int64_t end) {
        Part work(shape, tiles);
        for (; index < end; ++index) {
            const int64_t part = index / chunks, chunk = index % chunks;
            const int64_t first = blocks * part / parts * Part::TILES;
            const int64_t last = std::min(blocks * (part + 1) / parts * Part::TILES, tiles.count());
            const auto in = gradient_channels(chunk / out_chunks, shape.in_channels);
            const auto out = gradient_channels(chunk % out_chunks, shape.out_channels);
            work.compute(first, last, in, out, x, gradient, sums.data() + part * size);
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
