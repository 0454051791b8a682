// A convolution of few input channels with 2x2 max pooling after it, with AMX.
//
// The first layer of a network for small images has most of the network's pixels, but only one to four input channels.
// oneDNN fills AMX's tiles with one pixel's channels, so most of a tile stays empty. Here, 16 elements are the pixels
// under one row of the convolution's kernel with all their channels, and a tile has two such rows. The outputs before the
// pooling stay in the first cache: only every fourth of them, or of their gradients, is read or written.
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

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
int64_t round_up(int64_t a, int64_t b) { return divide_up(a, b) * b; }

// The first `count` of 16 channels; none if it is negative.
__mmask16 first16(int64_t count) { return __mmask16((1 << std::clamp<int64_t>(count, 0, 16)) - 1); }

FOR_AMX inline __m512 to_float(__m256i bfloats) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bfloats), 16));
}
FOR_AMX inline __m256i to_bfloat(__m512 floats) { return (__m256i)_mm512_cvtneps_pbh(floats); }

// A vector that is aligned as tiles should be.
template <typename T>
class Aligned {
public:
    explicit Aligned(int64_t count) : memory(count * sizeof(T) + 63) {}
    T* data() { return reinterpret_cast<T*>((reinterpret_cast<uintptr_t>(memory.data()) + 63) / 64 * 64); }

private:
    std::vector<uint8_t> memory;  // zeros
};

// A row of an image with zeros on both sides. Behind it is space that may be read.
class PaddedRow {
public:
    PaddedRow(const ConvPoolShape& shape, int64_t columns)
        : shape(shape), row((columns + shape.kernel_width) * shape.in_channels + TAPS),
          taps(__mmask16((1 << shape.kernel_width * shape.in_channels) - 1)) {}

    // Takes row `y`, which may be above or below the image.
    void take(const uint16_t* image, int64_t y) {
        const int64_t count = shape.width * shape.in_channels;
        uint16_t* const to = row.data() + shape.padding_width * shape.in_channels;
        if (y < 0 || y >= shape.height) {
            std::fill_n(to, count, uint16_t(0));
        } else {
            std::copy_n(image + y * count, count, to);
        }
    }

    // The elements under one row of the kernel, for the output in this column.
    FOR_AMX __m256i at(int64_t column) const {
        return _mm256_maskz_loadu_epi16(taps, row.data() + column * shape.in_channels);
    }

private:
    const ConvPoolShape& shape;
    std::vector<uint16_t> row;
    __mmask16 taps;
};

// The outputs of some images.
class Forward {
public:
    Forward(const ConvPoolShape& shape, const uint16_t* weight, const uint16_t* bias)
        : shape(shape), columns(round_up(2 * shape.pooled_width(), TILE_ROWS)), steps(divide_up(shape.kernel_height, 2)),
          rows(2 * shape.pooled_height() + 2 * steps - 1), blocks(2 * divide_up(shape.out_channels, 2 * BLOCK)),
          padded(shape, columns), pixels(columns * rows * TAPS), weights(blocks * steps * TILE_BFLOATS),
          biases(blocks * BLOCK), sums(4 * TILE_FLOATS) {
        arrange_weight(weight);
        if (bias == nullptr) return;
        for (int64_t o = 0; o < shape.out_channels; ++o) {
            const uint32_t bits = uint32_t(bias[o]) << 16;
            std::memcpy(biases.data() + o, &bits, sizeof bits);
        }
    }

    FOR_AMX void compute(const uint16_t* image, uint16_t* y, uint8_t* winners) {
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
    // Tiles of B: a row for each pair of elements under two rows of the kernel.
    void arrange_weight(const uint16_t* weight) {
        const int64_t taps = shape.kernel_width * shape.in_channels;
        for (int64_t o = 0; o < shape.out_channels; ++o) {
            for (int64_t i = 0; i < shape.kernel_height; ++i) {
                uint16_t* const tile = weights.data() + (o / BLOCK * steps + i / 2) * TILE_BFLOATS;
                for (int64_t tap = 0; tap < taps; ++tap) {
                    const int64_t k = i % 2 * TAPS + tap;
                    tile[k / 2 * 2 * BLOCK + o % BLOCK * 2 + k % 2] = weight[(o * shape.kernel_height + i) * taps + tap];
                }
            }
        }
    }

    // [columns, rows, TAPS], so that two successive rows are one row of a tile.
    FOR_AMX void arrange_image(const uint16_t* image) {
        for (int64_t row = 0; row < rows; ++row) {
            padded.take(image, row - shape.padding_height);
            uint16_t* to = pixels.data() + row * TAPS;
            for (int64_t column = 0; column < columns; ++column, to += rows * TAPS) {
                _mm256_store_si256(reinterpret_cast<__m256i*>(to), padded.at(column));
            }
        }
    }

    // Sums of 16 columns of two rows, for 32 output channels.
    FOR_AMX void multiply(int64_t row, int64_t column, int64_t block) {
        const int64_t stride = rows * TAPS * sizeof(uint16_t);
        const uint16_t* above = pixels.data() + (column * rows + row) * TAPS;
        const uint16_t* left = weights.data() + block * steps * TILE_BFLOATS;
        const uint16_t* right = left + steps * TILE_BFLOATS;
        finish_writing();
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
        for (int64_t step = 0; step < steps; ++step) {
            _tile_loadd(4, above + step * 2 * TAPS, stride);
            _tile_loadd(6, left + step * TILE_BFLOATS, TILE_ROW);
            _tile_loadd(7, right + step * TILE_BFLOATS, TILE_ROW);
            _tile_loadd(5, above + step * 2 * TAPS + TAPS, stride);
            _tile_dpbf16ps(0, 4, 6);
            _tile_dpbf16ps(1, 4, 7);
            _tile_dpbf16ps(2, 5, 6);
            _tile_dpbf16ps(3, 5, 7);
        }
        _tile_stored(0, sums.data(), TILE_ROW);
        _tile_stored(1, sums.data() + TILE_FLOATS, TILE_ROW);
        _tile_stored(2, sums.data() + 2 * TILE_FLOATS, TILE_ROW);
        _tile_stored(3, sums.data() + 3 * TILE_FLOATS, TILE_ROW);
    }

    // Pools the sums of 16 output channels.
    FOR_AMX void pool(int64_t row, int64_t column, int64_t block, uint16_t* y, uint8_t* winners) {
        const float* above = sums.data() + block % 2 * TILE_FLOATS;
        const float* below = above + 2 * TILE_FLOATS;
        const int64_t channel = block * BLOCK;
        const __mmask16 mask = first16(shape.out_channels - channel);
        const __m512 bias = _mm512_load_ps(biases.data() + channel);
        const int64_t count = std::min<int64_t>(TILE_ROWS / 2, shape.pooled_width() - column);
        int64_t to = (row * shape.pooled_width() + column) * shape.out_channels + channel;
        for (int64_t i = 0; i < count; ++i, to += shape.out_channels) {
            const float* const window[] = {above + 32 * i, above + 32 * i + 16, below + 32 * i, below + 32 * i + 16};
            __m512 best = rounded(window[0], bias);
            __m128i winner = _mm_setzero_si128();
            for (int k = 1; k < 4; ++k) {
                const __m512 pixel = rounded(window[k], bias);
                const __mmask16 wins =
                    _mm512_cmp_ps_mask(pixel, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(pixel, pixel, _CMP_UNORD_Q);
                best = _mm512_mask_mov_ps(best, wins, pixel);
                winner = _mm_mask_mov_epi8(winner, wins, _mm_set1_epi8(char(k)));
            }
            const __m512i high = _mm512_srli_epi32(_mm512_castps_si512(best), 16);
            _mm256_mask_storeu_epi16(y + to, mask, _mm512_cvtepi32_epi16(high));
            _mm_mask_storeu_epi8(winners + to, mask, winner);
        }
    }

    // 16 outputs, rounded to bfloat16.
    FOR_AMX static __m512 rounded(const float* sums, __m512 bias) {
        return to_float(to_bfloat(_mm512_add_ps(_mm512_load_ps(sums), bias)));
    }

    const ConvPoolShape& shape;
    int64_t columns, steps, rows, blocks;
    PaddedRow padded;
    Aligned<uint16_t> pixels, weights;
    Aligned<float> biases, sums;
};

// The sums of a part: [blocks, kernel height, TAPS, BLOCK] for the weight, then [blocks, BLOCK] for the bias.
class Gradient {
public:
    explicit Gradient(const ConvPoolShape& shape)
        : shape(shape), steps(divide_up(2 * shape.pooled_width(), STEP)),
          rows(2 * shape.pooled_height() + shape.kernel_height - 1), blocks(divide_up(shape.out_channels, BLOCK)),
          padded(shape, steps * STEP), pixels(rows * steps * TILE_BFLOATS), pair(2 * TILE_BFLOATS) {}

    FOR_AMX void add(const uint16_t* image, const uint16_t* gradient, const uint8_t* winners, float* sums) {
        arrange_image(image);
        float* bias_sums = sums + blocks * shape.kernel_height * TILE_FLOATS;
        for (int64_t block = 0; block < blocks; ++block) {
            float* const block_sums = sums + block * shape.kernel_height * TILE_FLOATS;
            load(block_sums);
            __m512 bias_sum = _mm512_loadu_ps(bias_sums + block * BLOCK);
            for (int64_t row = 0; row < shape.pooled_height(); ++row) {
                for (int64_t step = 0; step < steps; ++step) {
                    bias_sum = _mm512_add_ps(bias_sum, arrange_gradient(row, step, block, gradient, winners));
                    multiply(2 * row, step, pair.data());
                    multiply(2 * row + 1, step, pair.data() + TILE_BFLOATS);
                }
            }
            store(block_sums);
            _mm512_storeu_ps(bias_sums + block * BLOCK, bias_sum);
        }
    }

private:
    // Tiles of A, [rows, steps]: for each element under a row of the kernel, 32 pixels of an image's row.
    FOR_AMX void arrange_image(const uint16_t* image) {
        for (int64_t row = 0; row < rows; ++row) {
            padded.take(image, row - shape.padding_height);
            for (int64_t step = 0; step < steps; ++step) {
                __m512i pairs[16];
                for (int64_t i = 0; i < 16; ++i) {
                    const __m512i even = _mm512_cvtepu16_epi32(padded.at(step * STEP + 2 * i));
                    const __m512i odd = _mm512_cvtepu16_epi32(padded.at(step * STEP + 2 * i + 1));
                    pairs[i] = _mm512_or_si512(even, _mm512_slli_epi32(odd, 16));
                }
                transpose(pairs);
                uint16_t* const tile = pixels.data() + (row * steps + step) * TILE_BFLOATS;
                for (int64_t i = 0; i < 16; ++i) _mm512_store_si512(tile + 32 * i, pairs[i]);
            }
        }
    }

    // Tiles of B for two rows before the pooling: a row for each pair of pixels, which is a row of a window. Returns the
    // sums of the gradients.
    FOR_AMX __m512 arrange_gradient(
        int64_t row, int64_t step, int64_t block, const uint16_t* gradient, const uint8_t* winners) {
        const __mmask16 mask = first16(shape.out_channels - block * BLOCK);
        const int64_t first = step * STEP / 2;
        const int64_t count = std::min<int64_t>(TILE_ROWS, shape.pooled_width() - first);
        int64_t from = (row * shape.pooled_width() + first) * shape.out_channels + block * BLOCK;
        __m512 sum = _mm512_setzero_ps();
        uint16_t *above = pair.data(), *below = pair.data() + TILE_BFLOATS;
        for (int64_t i = 0; i < count; ++i, from += shape.out_channels, above += 32, below += 32) {
            const __m512i left = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, gradient + from));
            const __m512i right = _mm512_slli_epi32(left, 16);
            const __m128i winner = _mm_maskz_loadu_epi8(mask, winners + from);
            sum = _mm512_add_ps(sum, _mm512_castsi512_ps(right));
            const auto won = [&](char k) FOR_AMX { return _mm_cmpeq_epi8_mask(winner, _mm_set1_epi8(k)); };
            _mm512_store_si512(above, _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(won(0), left), won(1), right));
            _mm512_store_si512(below, _mm512_mask_mov_epi32(_mm512_maskz_mov_epi32(won(2), left), won(3), right));
        }
        const int64_t bytes = (TILE_ROWS - count) * TILE_ROW;
        std::memset(above, 0, bytes);
        std::memset(below, 0, bytes);
        return sum;
    }

    // Adds one row's products to the tiles of each row of the kernel.
    FOR_AMX void multiply(int64_t row, int64_t step, const uint16_t* gradients) {
        const int64_t stride = steps * TILE_BFLOATS;
        const uint16_t* tile = pixels.data() + (row * steps + step) * TILE_BFLOATS;
        finish_writing();
        _tile_loadd(7, gradients, TILE_ROW);
        // The number of a tile is part of the instruction.
#define ADD_ROW(i)                                            \
    if (shape.kernel_height > i) {                            \
        _tile_loadd(6, tile + i * stride, TILE_ROW);          \
        _tile_dpbf16ps(i, 6, 7);                              \
    }
        ADD_ROW(0) ADD_ROW(1) ADD_ROW(2) ADD_ROW(3) ADD_ROW(4) ADD_ROW(5)
#undef ADD_ROW
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
    int64_t steps, rows, blocks;
    PaddedRow padded;
    Aligned<uint16_t> pixels, pair;
};

// The largest number of rows of the kernel: each has a tile, and two more are the operands.
constexpr int64_t MAX_KERNEL_HEIGHT = 6;
// The arranged pixels of an image must fit in the second cache.
constexpr int64_t MAX_PIXELS = 1 << 15;

// Rounds to the nearest bfloat16, as oneDNN and ATen do.
FOR_AMX uint16_t round_to_bfloat(float value) {
    return uint16_t(_mm256_extract_epi16(to_bfloat(_mm512_set1_ps(value)), 0));
}

}  // namespace

bool amx_conv_pool_supports(const ConvPoolShape& shape) {
    return shape.kernel_width * shape.in_channels <= TAPS && shape.kernel_height <= MAX_KERNEL_HEIGHT &&
           shape.out_channels >= BLOCK && shape.height * shape.width <= MAX_PIXELS && shape.pooled_height() > 0 &&
           shape.pooled_width() > 0 && amx_is_usable();
}

FOR_AMX void amx_conv_pool(
    const ConvPoolShape& shape, int64_t first, int64_t end, const uint16_t* x, const uint16_t* weight,
    const uint16_t* bias, uint16_t* y, uint8_t* winners) {
    const WholeTiles tiles;
    Forward forward(shape, weight, bias);
    for (int64_t i = first; i < end; ++i) {
        const int64_t to = i * shape.output_size();
        forward.compute(x + i * shape.image_size(), y + to, winners + to);
    }
}

int64_t amx_conv_pool_sums(const ConvPoolShape& shape) {
    return divide_up(shape.out_channels, BLOCK) * (shape.kernel_height * TILE_FLOATS + BLOCK);
}

FOR_AMX void amx_conv_pool_gradient(
    const ConvPoolShape& shape, int64_t first, int64_t end, const uint16_t* x, const uint16_t* gradient,
    const uint8_t* winners, float* sums) {
    const WholeTiles tiles;
    Gradient sum(shape);
    std::fill_n(sums, amx_conv_pool_sums(shape), 0.0f);
    for (int64_t i = first; i < end; ++i) {
        const int64_t from = i * shape.output_size();
        sum.add(x + i * shape.image_size(), gradient + from, winners + from, sums);
    }
}

FOR_AMX void amx_conv_pool_finish(
    const ConvPoolShape& shape, int64_t parts, const float* sums, uint16_t* weight_gradient, uint16_t* bias_gradient) {
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
                weight_gradient[(o * rows + i) * taps + tap] = round_to_bfloat(total(from));
            }
        }
        if (bias_gradient == nullptr) continue;
        bias_gradient[o] = round_to_bfloat(total(blocks * rows * TILE_FLOATS + block * BLOCK + column));
    }
}

}  // namespace torchmill
#else
namespace torchmill {

bool amx_conv_pool_supports(const ConvPoolShape&) { return false; }
void amx_conv_pool(
    const ConvPoolShape&, int64_t, int64_t, const uint16_t*, const uint16_t*, const uint16_t*, uint16_t*, uint8_t*) {}
int64_t amx_conv_pool_sums(const ConvPoolShape&) { return 0; }
void amx_conv_pool_gradient(
    const ConvPoolShape&, int64_t, int64_t, const uint16_t*, const uint16_t*, const uint8_t*, float*) {}
void amx_conv_pool_finish(const ConvPoolShape&, int64_t, const float*, uint16_t*, uint16_t*) {}

}  // namespace torchmill
#endif
