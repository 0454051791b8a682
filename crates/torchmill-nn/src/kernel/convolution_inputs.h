// What the kernels of Winograd's and Karatsuba's algorithms read: images, or the gradient of a max pooling's input.
#pragma once
#include <vector>

#include "avx512.h"
#include "dense_convolution.h"

#ifdef AVX512_IS_SUPPORTED

namespace torchmill {

template <typename T>
class PlainInput {
public:
    using Pixel = const T*;

    PlainInput(int64_t height, int64_t width, int64_t channels, const T* data)
        : images{data, height, width, channels}, zeros(channels) {}

    // Finds the pixels of a square with this first row, first column and side, row by row. Pixels outside the image are
    // zeros.
    void find_square(int64_t image, int64_t row, int64_t column, int64_t side, Pixel* pixels) const {
        images.find_square(image, row, column, side, zeros.data(), pixels);
    }

    Pixel zero() const { return zeros.data(); }

private:
    const Images<const T> images;
    const std::vector<T> zeros;
};

// A pixel of the gradient of a max pooling's input: channels that it won have the gradient of their window, and the others
// zero.
template <typename T>
struct UnpooledPixel {
    const T* gradient;
    const uint8_t* winners;
    int index;

    INLINE __m512 load_channels(int64_t channel) const {
        const __m128i all = _mm_loadu_si128(reinterpret_cast<const __m128i*>(winners + channel));
        const __mmask16 won = _mm_cmpeq_epi8_mask(all, _mm_set1_epi8(char(index)));
        return _mm512_maskz_mov_ps(won, load(gradient + channel));
    }

    INLINE __m512 load_first_channels(int64_t channel, int64_t count) const {
        const __m128i all = _mm_maskz_loadu_epi8(first16(count), winners + channel);
        const __mmask16 won = _mm_cmpeq_epi8_mask(all, _mm_set1_epi8(char(index)));
        return _mm512_maskz_mov_ps(won, load_first(gradient + channel, count));
    }
};

// The gradient of the input of a max pooling with windows of 2x2.
template <typename T>
class UnpooledInput {
public:
    using Pixel = UnpooledPixel<T>;

    // Height and width are those of the pooling's input, and even.
    UnpooledInput(int64_t height, int64_t width, int64_t channels, const PooledGradient<T>& data)
        : height(height), width(width), channels(channels), data(data), zeros(channels), no_winners(channels) {}

    // As PlainInput's.
    void find_square(int64_t image, int64_t first_row, int64_t first_column, int64_t side, Pixel* pixels) const {
        const auto pixel = [&](int64_t row, int64_t column) { return at(image, row, column); };
        write_square(height, width, first_row, first_column, side, zero(), pixel, pixels);
    }

    Pixel zero() const { return {zeros.data(), no_winners.data(), 0}; }

private:
    Pixel at(int64_t image, int64_t row, int64_t column) const {
        const int64_t window = (image * (height / 2) + row / 2) * (width / 2) + column / 2;
        const int index = int(row % 2 * 2 + column % 2);
        return {data.gradient + window * channels, data.winners + window * channels, index};
    }

    const int64_t height, width, channels;
    const PooledGradient<T> data;
    const std::vector<T> zeros;
    const std::vector<uint8_t> no_winners;
};

}  // namespace torchmill
#endif
