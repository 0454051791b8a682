// What the kernels of Winograd's and Karatsuba's algorithms write: the pixels of outputs, or their maxima. Both compute
// squares of 2x2 pixels.
#pragma once
#include <array>

#include "avx512.h"
#include "dense_convolution.h"

#ifdef AVX512_IS_SUPPORTED

namespace torchmill {

template <typename T>
class PlainOutput {
public:
    // The pixels of a square. Those outside the image are null.
    using Square = std::array<T*, 4>;

    PlainOutput(const DenseConvolution& shape, T* y)
        : images{y, shape.out_height, shape.out_width, shape.out_channels} {}

    // Finds the square in this row and column of squares.
    Square find_square(int64_t image, int64_t row, int64_t column) const {
        Square square;
        images.find_square(image, 2 * row, 2 * column, 2, nullptr, square.data());
        return square;
    }

    // Writes 16 channels of the four pixels of a square, or as many as there are from `channel` on.
    INLINE void write(const Square& square, int64_t channel, const __m512* pixels) const {
        const int64_t count = images.channels - channel;
        for (int i = 0; i < 4; ++i) {
            if (square[i] == nullptr) continue;
            if (count >= LANES) {
                store(square[i] + channel, pixels[i]);
            } else {
                store_first(square[i] + channel, pixels[i], count);
            }
        }
    }

private:
    const Images<T> images;
};

// Writes the largest pixel of each square, and its index in the square: of equal pixels the first, and of NaNs the last.
template <typename T>
class PooledOutput {
public:
    // Where the results of a square go.
    struct Square {
        T* y;
        uint8_t* winners;
    };

    // Height and width of the output before the pooling are even.
    PooledOutput(const DenseConvolution& shape, T* y, uint8_t* winners)
        : height(shape.out_height / 2), width(shape.out_width / 2), channels(shape.out_channels), y(y), winners(winners) {}

    // As PlainOutput's.
    Square find_square(int64_t image, int64_t row, int64_t column) const {
        const int64_t to = ((image * height + row) * width + column) * channels;
        return {y + to, winners + to};
    }

    INLINE void write(const Square& square, int64_t channel, const __m512* pixels) const {
        __m512 best = rounded(pixels[0]);
        __m128i winner = _mm_setzero_si128();
        for (int i = 1; i < 4; ++i) {
            const __m512 pixel = rounded(pixels[i]);
            const __mmask16 wins =
                _mm512_cmp_ps_mask(pixel, best, _CMP_GT_OQ) | _mm512_cmp_ps_mask(pixel, pixel, _CMP_UNORD_Q);
            best = _mm512_mask_mov_ps(best, wins, pixel);
            winner = _mm_mask_mov_epi8(winner, wins, _mm_set1_epi8(char(i)));
        }
        const int64_t count = channels - channel;
        if (count >= LANES) {
            store(square.y + channel, best);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(square.winners + channel), winner);
        } else {
            store_first(square.y + channel, best, count);
            _mm_mask_storeu_epi8(square.winners + channel, first16(count), winner);
        }
    }

private:
    // What is left of elements when they are stored.
    INLINE static __m512 rounded(__m512 elements) {
        if constexpr (PACKED<T> == 1) {
            return elements;
        } else {
            T stored[LANES];
            store(stored, elements);
            return load(stored);
        }
    }

    const int64_t height, width, channels;
    T* const y;
    uint8_t* const winners;
};

}  // namespace torchmill
#endif
