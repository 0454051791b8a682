// A convolution of few input channels with 2x2 max pooling after it, with AMX.
//
// The first layer of a network for small images has most of the network's pixels, but only one to four input channels.
// oneDNN fills AMX's tiles with one pixel's channels, so most of a tile stays empty. Here, 16 elements are the pixels
// under one row of the convolution's kernel with all their channels, and a tile has two such rows. The outputs before the
// pooling stay in the first cache: only every fourth of them, or of their gradients, is read or written.
//
// A float32 number is split into three bfloat16 numbers (amx_tiles.h).
#include "amx_conv_pool.h"

#include "amx_tiles.h"

#ifdef AMX_IS_SUPPORTED
#include <algorithm>
#include <cstring>
#include <vector>

namespace torchmill {
namespace {

// The elements of one row of the convolution's kernel, with zeros at the end.
constexpr int64_t TAPS = 16;
constexpr int64_t BLOCK = 16;  // output channels of a tile
constexpr int64_t STEP = 32;   // pixels of a tile of the gradient's products

int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

FOR_AMX inline __m512 to_float(__m256i bfloats) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bfloats), 16));
}
FOR_AMX inline __m256i to_bfloat(__m512 floats) { return (__m256i)_mm512_cvtneps_pbh(floats); }

// What depends on the element type.
template <typename T>
struct Element;

template <>
struct Element<uint16_t> {
    // The number of bfloat16 numbers whose sum an element is.
    static constexpr int PARTS = 1;

    FOR_AMX static __m512 load(__mmask16 mask, const uint16_t* from) {
        return to_float(_mm256_maskz_loadu_epi16(mask, from));
    }
    // Rounds sums to elements.
    FOR_AMX static __m512 round(__m512 sums) { return to_float(to_bfloat(sums)); }
    FOR_AMX static void store(uint16_t* to, __mmask16 mask, __m512 elements) {
        _mm256_mask_storeu_epi16(to, mask, _mm512_cvtepi32_epi16(high_bits(elements)));
    }
};

template <>
struct Element<float> {
    static constexpr int PARTS = 3;

    FOR_AMX static __m512 load(__mmask16 mask, const float* from) { return _mm512_maskz_loadu_ps(mask, from); }
    FOR_AMX static __m512 round(__m512 sums) { return sums; }
    FOR_AMX static void store(float* to, __mmask16 mask, __m512 elements) { _mm512_mask_storeu_ps(to, mask, elements); }
};

// A vector that is aligned as tiles should be.
template <typename T>
class Aligned {
public:
    explicit Aligned(int64_t count) : memory(count * sizeof(T) + 63) {}
    T* data() { return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64); }

private:
    std::vector<uint8_t> memory;  // zeros
};

// A row of an image with zeros on both sides, each part by itself. Behind it is space that may be read.
template <typename T>
class PaddedRow {
public:
    PaddedRow(const ConvPoolShape& shape, int64_t columns)
        : shape(shape), size((columns + shape.kernel_width) * shape.in_channels + TAPS),
          row(Element<T>::PARTS * size), taps(first16(shape.kernel_width * shape.in_channels)) {}

    // Takes row `y`, which may be above or below the image.
    FOR_AMX void take(const T* image, int64_t y) {
        const int64_t count = shape.width * shape.in_channels;
        const bool outside = y < 0 || y >= shape.height;
        for (int64_t i = 0; i < count; i += 16) {
            const __mmask16 mask = first16(count - i);
            __m512 left = outside ? _mm512_setzero_ps() : Element<T>::load(mask, image + y * count + i);
            uint16_t* to = row.data() + shape.padding_width * shape.in_channels + i;
            for (int part = 0; part < Element<T>::PARTS; ++part, to += size) {
                _mm256_mask_storeu_epi16(to, mask, _mm512_cvtepi32_epi16(take_part(left)));
            }
        }
    }

    // The elements under one row of the kernel, for the output in this column.
    FOR_AMX __m256i at(int part, int64_t column) const {
        return _mm256_maskz_loadu_epi16(taps, row.data() + part * size + column * shape.in_channels);
    }

private:
    const ConvPoolShape& shape;
    int64_t size;
    std::vector<uint16_t> row;
    __mmask16 taps;
};

// The outputs of some images.
template <typename T>
class Forward {
public:
    FOR_AMX Forward(const ConvPoolShape& shape, const T* weight, const T* bias)
        : shape(shape), columns(round_up(2 * shape.pooled_width(), TILE_ROWS)), steps(divide_up(shape.kernel_height, 2)),
          rows(2 * shape.pooled_height() + 2 * steps - 1), blocks(2 * divide_up(shape.out_channels, 2 * BLOCK)),
          pixels_size(columns * rows * TAPS), weights_size(blocks * steps * TILE_BFLOATS), padded(shape, columns),
          pixels(PARTS * pixels_size), weights(PARTS * weights_size), biases(blocks * BLOCK), sums(4 * TILE_FLOATS) {
        arrange_weight(weight);
        if (bias == nullptr) return;
        for (int64_t o = 0; o < shape.out_channels; o += 16) {
            const __mmask16 mask = first16(shape.out_channels - o);
            _mm512_store_ps(biases.data() + o, Element<T>::load(mask, bias + o));
        }
    }

    FOR_AMX void compute(const T* image, T* y, uint8_t* winners) {
        arrange_image(image);
        for (int64_t row = 0; row < shape.pooled_height(); ++row) {
            for (int64_t column = 0; column < columns; column += TILE_ROWS) {
                for (int64_t block = 0; block < blocks; block += 2) {
                    multiply(2 * row, column, block);
                    pool(row, column / 2, block, y, winners);
                    pool(row, column / 2, block + 1, y, winners);
                }
            }
        }
    }

private:
    static constexpr int PARTS = Element<T>::PARTS;

    // Tiles of B, [parts, blocks, steps]: a row for each pair of elements under two rows of the kernel.
    FOR_AMX void arrange_weight(const T* weight) {
        const int64_t taps = shape.kernel_width * shape.in_channels;
        for (int64_t o = 0; o < shape.out_channels; ++o) {
            for (int64_t i = 0; i < shape.kernel_height; ++i) {
                __m512 left = Element<T>::load(first16(taps), weight + (o * shape.kernel_height + i) * taps);
                uint16_t* tile = weights.data() + (o / BLOCK * steps + i / 2) * TILE_BFLOATS;
                for (int part = 0; part < PARTS; ++part, tile += weights_size) {
                    alignas(32) uint16_t elements[TAPS];
                    _mm256_store_si256(reinterpret_cast<__m256i*>(elements), _mm512_cvtepi32_epi16(take_part(left)));
                    for (int64_t tap = 0; tap < TAPS; ++tap) {
                        const int64_t k = i % 2 * TAPS + tap;
                        tile[k / 2 * 2 * BLOCK + o % BLOCK * 2 + k % 2] = elements[tap];
                    }
                }
            }
        }
    }

    // [parts, columns, rows, TAPS], so that two successive rows are one row of a tile.
    FOR_AMX void arrange_image(const T* image) {
        for (int64_t row = 0; row < rows; ++row) {
            padded.take(image, row - shape.padding_height);
            for (int part = 0; part < PARTS; ++part) {
                uint16_t* to = pixels.data() + part * pixels_size + row * TAPS;
                for (int64_t column = 0; column < columns; ++column, to += rows * TAPS) {
                    _mm256_store_si256(reinterpret_cast<__m256i*>(to), padded.at(part, column));
                }
            }
        }
    }

    // Sums of 16 columns of two rows, for 32 output channels.
    FOR_AMX void multiply(int64_t row, int64_t column, int64_t block) {
        const int64_t stride = rows * TAPS * sizeof(uint16_t);
        finish_writing();
        zero_sums();
        for (int64_t step = 0; step < steps; ++step) {
            const uint16_t* above = pixels.data() + (column * rows + row + 2 * step) * TAPS;
            for (int x_part = 0; x_part < PARTS; ++x_part, above += pixels_size) {
                _tile_loadd(4, above, stride);
                _tile_loadd(5, above + TAPS, stride);
                const uint16_t* left = weights.data() + (block * steps + step) * TILE_BFLOATS;
                for (int part = 0; part < PARTS - x_part; ++part, left += weights_size) {
                    _tile_loadd(6, left, TILE_ROW);
                    _tile_loadd(7, left + steps * TILE_BFLOATS, TILE_ROW);
                    _tile_dpbf16ps(0, 4, 6);
                    _tile_dpbf16ps(1, 4, 7);
                    _tile_dpbf16ps(2, 5, 6);
                    _tile_dpbf16ps(3, 5, 7);
                }
            }
        }
        store_sums(sums.data());
    }

    // Pools the sums of 16 output channels.
    FOR_AMX void pool(int64_t row, int64_t column, int64_t block, T* y, uint8_t* winners) {
        const float* above = sums.data() + block % 2 * TILE_FLOATS;
        const float* below = above + 2 * TILE_FLOATS;
        const int64_t channel = block * BLOCK;
        const __mmask16 mask = first16(shape.out_channels - channel);
        const __m512 bias = _mm512_load_ps(biases.data() + channel);
        const int64_t count = std::min<int64_t>(TILE_ROWS / 2, shape.pooled_width() - column);
        int64_t to = (row * shape.pooled_width() + column) * shape.out_channels + channel;
        for (int64_t i = 0; i < count; ++i, to += shape.out_channels) {
            const float* const window[] = {above + 32 * i, above + 32 * i + 16, below + 32 * i, below + 32 * i + 16};
            __m512 best = output(window[0], bias);
            __m128i winner = _mm_setzero_si128();
            for (int k = 1; k < 4; ++k) {
                const __m512 pixel = output(window[k], bias);
                const __mmask16 wins =
                    _mm512_cmp_ps_mask(pixel, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(pixel, pixel, _CMP_UNORD_Q);
                best = _mm512_mask_mov_ps(best, wins, pixel);
                winner = _mm_mask_mov_epi8(winner, wins, _mm_set1_epi8(char(k)));
            }
            Element<T>::store(y + to, mask, best);
            _mm_mask_storeu_epi8(winners + to, mask, winner);
        }
    }

    FOR_AMX static __m512 output(const float* sums, __m512 bias) {
        return Element<T>::round(_mm512_add_ps(_mm512_load_ps(sums), bias));
    }

    const ConvPoolShape& shape;
    int64_t columns, steps, rows, blocks, pixels_size, weights_size;
    PaddedRow<T> padded;
    Aligned<uint16_t> pixels, weights;
    Aligned<float> biases, sums;
};

// The sums of a part: [blocks, kernel height, TAPS, BLOCK] for the weight, then [blocks, BLOCK] for the bias.
template <typename T>
class Gradient {
public:
    explicit Gradient(const ConvPoolShape& shape)
        : shape(shape), steps(divide_up(2 * shape.pooled_width(), STEP)),
          rows(2 * shape.pooled_height() + shape.kernel_height - 1), blocks(divide_up(shape.out_channels, BLOCK)),
          pixels_size(rows * steps * TILE_BFLOATS), padded(shape, steps * STEP), pixels(PARTS * pixels_size),
          pairs(PARTS * 2 * TILE_BFLOATS) {}

    FOR_AMX void add(const T* image, const T* gradient, const uint8_t* winners, float* sums) {
        arrange_image(image);
        float* bias_sums = sums + blocks * shape.kernel_height * TILE_FLOATS;
        for (int64_t block = 0; block < blocks; ++block) {
            float* const block_sums = sums + block * shape.kernel_height * TILE_FLOATS;
            load(block_sums);
            __m512 bias_sum = _mm512_loadu_ps(bias_sums + block * BLOCK);
            for (int64_t row = 0; row < shape.pooled_height(); ++row) {
                for (int64_t step = 0; step < steps; ++step) {
                    bias_sum = _mm512_add_ps(bias_sum, arrange_gradient(row, step, block, gradient, winners));
                    multiply(2 * row, step, pairs.data());
                    multiply(2 * row + 1, step, pairs.data() + TILE_BFLOATS);
                }
            }
            store(block_sums);
            _mm512_storeu_ps(bias_sums + block * BLOCK, bias_sum);
        }
    }

private:
    static constexpr int PARTS = Element<T>::PARTS;

    // Tiles of A, [parts, rows, steps]: for each element under a row of the kernel, 32 pixels of an image's row.
    FOR_AMX void arrange_image(const T* image) {
        for (int64_t row = 0; row < rows; ++row) {
            padded.take(image, row - shape.padding_height);
            for (int part = 0; part < PARTS; ++part) {
                uint16_t* tile = pixels.data() + part * pixels_size + row * steps * TILE_BFLOATS;
                for (int64_t step = 0; step < steps; ++step, tile += TILE_BFLOATS) arrange_tile(part, step * STEP, tile);
            }
        }
    }

    FOR_AMX void arrange_tile(int part, int64_t column, uint16_t* tile) const {
        __m512i pixel_pairs[16];
        for (int64_t i = 0; i < 16; ++i) {
            const __m512i even = _mm512_cvtepu16_epi32(padded.at(part, column + 2 * i));
            const __m512i odd = _mm512_cvtepu16_epi32(padded.at(part, column + 2 * i + 1));
            pixel_pairs[i] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
        }
        transpose(pixel_pairs);
        for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(tile + 32 * i, pixel_pairs[i]);
    }

    // Tiles of B, [parts, 2], for two rows before the pooling: a row for each pair of pixels, which is a row of a window.
    // Returns the sums of the gradients.
    FOR_AMX __m512 arrange_gradient(
        int64_t row, int64_t step, int64_t block, const T* gradient, const uint8_t* winners) {
        const __mmask16 mask = first16(shape.out_channels - block * BLOCK);
        const int64_t first = step * STEP / 2;
        const int64_t count = std::min<int64_t>(TILE_ROWS, shape.pooled_width() - first);
        int64_t from = (row * shape.pooled_width() + first) * shape.out_channels + block * BLOCK;
        __m512 sum = _mm512_setzero_ps();
        for (int64_t i = 0; i < count; ++i, from += shape.out_channels) {
            __m512 rest = Element<T>::load(mask, gradient + from);
            sum = _mm512_add_ps(sum, rest);
            const __m128i winner = _mm_maskz_loadu_epi8(mask, winners + from);
            const __mmask16 won[] = {
                _mm_cmpeq_epi8_mask(winner, _mm_setzero_si128()), _mm_cmpeq_epi8_mask(winner, _mm_set1_epi8(1)),
                _mm_cmpeq_epi8_mask(winner, _mm_set1_epi8(2)), _mm_cmpeq_epi8_mask(winner, _mm_set1_epi8(3))};
            uint16_t* above = pairs.data() + 32 * i;
            for (int part = 0; part < PARTS; ++part, above += 2 * TILE_BFLOATS) {
                const __m512i left = take_part(rest), right = _mm512_slli_epi32(left, 16);
                const __m512i top = _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(won[0], left), won[1], right);
                const __m512i bottom = _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(won[2], left), won[3], right);
                _mm512_store_si512(above, top);
                _mm512_store_si512(above + TILE_BFLOATS, bottom);
            }
        }
        for (int tile = 0; tile < 2 * PARTS; ++tile) {
            std::memset(pairs.data() + tile * TILE_BFLOATS + 32 * count, 0, (TILE_ROWS - count) * TILE_ROW);
        }
        return sum;
    }

    // Adds one row's products to the tiles of each row of the kernel.
    FOR_AMX void multiply(int64_t row, int64_t step, const uint16_t* gradients) {
        const int64_t stride = steps * TILE_BFLOATS;
        finish_writing();
        for (int part = 0; part < PARTS; ++part, gradients += 2 * TILE_BFLOATS) {
            _tile_loadd(7, gradients, TILE_ROW);
            const uint16_t* tile = pixels.data() + (row * steps + step) * TILE_BFLOATS;
            for (int x_part = 0; x_part < PARTS - part; ++x_part, tile += pixels_size) {
                // The number of a tile is part of the instruction.
#define ADD_ROW(i)                                   \
    if (shape.kernel_height > i) {                   \
        _tile_loadd(6, tile + i * stride, TILE_ROW); \
        _tile_dpbf16ps(i, 6, 7);                     \
    }
                ADD_ROW(0) ADD_ROW(1) ADD_ROW(2) ADD_ROW(3) ADD_ROW(4) ADD_ROW(5)
#undef ADD_ROW
            }
        }
    }

    FOR_AMX void load(const float* sums) const {
        finish_writing();
#define LOAD_ROW(i) \
    if (shape.kernel_height > i) _tile_loadd(i, sums + i * TILE_FLOATS, TILE_ROW);
        LOAD_ROW(0) LOAD_ROW(1) LOAD_ROW(2) LOAD_ROW(3) LOAD_ROW(4) LOAD_ROW(5)
#undef LOAD_ROW
    }

    FOR_AMX void store(float* sums) const {
#define STORE_ROW(i) \
    if (shape.kernel_height > i) _tile_stored(i, sums + i * TILE_FLOATS, TILE_ROW);
        STORE_ROW(0) STORE_ROW(1) STORE_ROW(2) STORE_ROW(3) STORE_ROW(4) STORE_ROW(5)
#undef STORE_ROW
    }

    const ConvPoolShape& shape;
    int64_t steps, rows, blocks, pixels_size;
    PaddedRow<T> padded;
    Aligned<uint16_t> pixels, pairs;
};

// The largest number of rows of the kernel: each has a tile, and two more are the operands.
constexpr int64_t MAX_KERNEL_HEIGHT = 6;
// The arranged pixels of an image must fit in the second cache.
constexpr int64_t MAX_PIXELS = 1 << 15;

// Rounds as oneDNN and ATen do.
template <typename T>
FOR_AMX T round_one(float sum) {
    T element;
    Element<T>::store(&element, 1, Element<T>::round(_mm512_set1_ps(sum)));
    return element;
}

}  // namespace

template <typename T>
bool amx_conv_pool_supports(const ConvPoolShape& shape) {
    return shape.kernel_width * shape.in_channels <= TAPS && shape.kernel_height <= MAX_KERNEL_HEIGHT &&
           shape.out_channels >= BLOCK && shape.height * shape.width * Element<T>::PARTS <= MAX_PIXELS &&
           shape.pooled_height() > 0 && shape.pooled_width() > 0 && amx_is_usable();
}

template <typename T>
FOR_AMX void amx_conv_pool(
    const ConvPoolShape& shape, int64_t first, int64_t end, const T* x, const T* weight, const T* bias, T* y,
    uint8_t* winners) {
    const WholeTiles tiles;
    Forward<T> forward(shape, weight, bias);
    for (int64_t i = first; i < end; ++i) {
        const int64_t to = i * shape.output_size();
        forward.compute(x + i * shape.image_size(), y + to, winners + to);
    }
}

int64_t amx_conv_pool_sums(const ConvPoolShape& shape) {
    return divide_up(shape.out_channels, BLOCK) * (shape.kernel_height * TILE_FLOATS + BLOCK);
}

template <typename T>
FOR_AMX void amx_conv_pool_gradient(
    const ConvPoolShape& shape, int64_t first, int64_t end, const T* x, const T* gradient, const uint8_t* winners,
    float* sums) {
    const WholeTiles tiles;
    Gradient<T> sum(shape);
    std::fill_n(sums, amx_conv_pool_sums(shape), 0.0f);
    for (int64_t i = first; i < end; ++i) {
        const int64_t from = i * shape.output_size();
        sum.add(x + i * shape.image_size(), gradient + from, winners + from, sums);
    }
}

template <typename T>
FOR_AMX void amx_conv_pool_finish(
    const ConvPoolShape& shape, int64_t parts, const float* sums, T* weight_gradient, T* bias_gradient) {
    const int64_t taps = shape.kernel_width * shape.in_channels, rows = shape.kernel_height;
    const int64_t blocks = divide_up(shape.out_channels, BLOCK), part = amx_conv_pool_sums(shape);
    const auto total = [&](int64_t i) {
        float total = 0;
        for (int64_t k = 0; k < parts; ++k) total += sums[k * part + i];
        return total;
    };
    for (int64_t o = 0; o < shape.out_channels; ++o) {
        const int64_t block = o / BLOCK, column = o % BLOCK;
        for (int64_t i = 0; i < rows; ++i) {
            for (int64_t tap = 0; tap < taps; ++tap) {
                const int64_t from = ((block * rows + i) * TAPS + tap) * BLOCK + column;
                weight_gradient[(o * rows + i) * taps + tap] = round_one<T>(total(from));
            }
        }
        if (bias_gradient == nullptr) continue;
        bias_gradient[o] = round_one<T>(total(blocks * rows * TILE_FLOATS + block * BLOCK + column));
    }
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
bool amx_conv_pool_supports(const ConvPoolShape&) {
    return false;
}
template <typename T>
void amx_conv_pool(const ConvPoolShape&, int64_t, int64_t, const T*, const T*, const T*, T*, uint8_t*) {}
int64_t amx_conv_pool_sums(const ConvPoolShape&) { return 0; }
template <typename T>
void amx_conv_pool_gradient(const ConvPoolShape&, int64_t, int64_t, const T*, const T*, const uint8_t*, float*) {}
template <typename T>
void amx_conv_pool_finish(const ConvPoolShape&, int64_t, const float*, T*, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

#define INSTANTIATE(T)                                                                                              \
    template bool amx_conv_pool_supports<T>(const ConvPoolShape&);                                                  \
    template void amx_conv_pool<T>(                                                                                 \
        const ConvPoolShape&, int64_t, int64_t, const T*, const T*, const T*, T*, uint8_t*);                        \
    template void amx_conv_pool_gradient<T>(                                                                        \
        const ConvPoolShape&, int64_t, int64_t, const T*, const T*, const uint8_t*, float*);                        \
    template void amx_conv_pool_finish<T>(const ConvPoolShape&, int64_t, const float*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(uint16_t)
#undef INSTANTIATE

}  // namespace torchmill
