// Transforms of squares of pixels, as Winograd's and Karatsuba's algorithms have them. TRANSFORM is that of one
// dimension: TRANSFORM(from, step, to, to_step), where elements are `step` apart, and results `to_step`.
#pragma once
#include "avx512.h"

#ifdef AVX512_IS_SUPPORTED

namespace torchmill {

// Transforms a square of FROM x FROM to TO x TO: its columns, then the rows. Squares are row-major.
template <auto TRANSFORM, int FROM, int TO>
INLINE void transform_square(const __m512* from, __m512* to) {
    __m512 rows[TO * FROM];
#pragma GCC unroll 8
    for (int j = 0; j < FROM; ++j) TRANSFORM(from + j, FROM, rows + j, FROM);
#pragma GCC unroll 8
    for (int i = 0; i < TO; ++i) TRANSFORM(rows + i * FROM, 1, to + i * TO, 1);
}

// 16 channels of a pixel.
INLINE __m512 load_channels(const float* pixel, int64_t channel) { return load(pixel + channel); }
INLINE __m512 load_channels(const uint16_t* pixel, int64_t channel) { return load(pixel + channel); }
template <typename Pixel>
INLINE __m512 load_channels(const Pixel& pixel, int64_t channel) {
    return pixel.load_channels(channel);
}

// The first `count` of 16 channels of a pixel. The others are zeros.
INLINE __m512 load_first_channels(const float* pixel, int64_t channel, int64_t count) {
    return load_first(pixel + channel, count);
}
INLINE __m512 load_first_channels(const uint16_t* pixel, int64_t channel, int64_t count) {
    return load_first(pixel + channel, count);
}
template <typename Pixel>
INLINE __m512 load_first_channels(const Pixel& pixel, int64_t channel, int64_t count) {
    return pixel.load_first_channels(channel, count);
}

// A pixel whose channels end at `end`.
template <typename Pixel>
struct EndingPixel {
    Pixel pixel;
    int64_t end;

    INLINE __m512 load_channels(int64_t channel) const { return load_first_channels(pixel, channel, end - channel); }
};

// Transforms 16 channels of a square of FROM x FROM pixels to TO x TO elements.
template <auto TRANSFORM, int FROM, int TO, typename Pixel>
INLINE void transform_pixels(const Pixel* pixels, int64_t channel, __m512* to) {
    __m512 x[FROM * FROM];
#pragma GCC unroll 16
    for (int i = 0; i < FROM * FROM; ++i) x[i] = load_channels(pixels[i], channel);
    transform_square<TRANSFORM, FROM, TO>(x, to);
}

// What a pair of bfloat16 elements holds: two channels of a pixel, or the same channel of two pixels.
enum class Pairs { Channels, Pixels };

// Transforms squares of FROM x FROM pixels, packs the results for 16 operands, and stores those for each of the TO x TO
// elements `stride` apart. `pixels` has one square, or with Pairs::Pixels as many as an operand has elements.
template <auto TRANSFORM, int FROM, int TO, Pairs PAIRS, typename T, typename Pixel>
INLINE void store_transformed(const Pixel* pixels, int64_t channel, Operand* to, int64_t stride) {
    constexpr int COUNT = TO * TO;
    __m512 first[COUNT];
    transform_pixels<TRANSFORM, FROM, TO>(pixels, channel, first);
    if constexpr (PACKED<T> == 1) {
#pragma GCC unroll 16
        for (int i = 0; i < COUNT; ++i) _mm512_store_ps(to + i * stride, first[i]);
    } else if constexpr (PAIRS == Pairs::Channels) {
        __m512 second[COUNT];
        transform_pixels<TRANSFORM, FROM, TO>(pixels, channel + LANES, second);
#pragma GCC unroll 16
        for (int i = 0; i < COUNT; ++i) _mm512_store_si512(to + i * stride, join(first[i], second[i]));
    } else {
        __m512 second[COUNT];
        transform_pixels<TRANSFORM, FROM, TO>(pixels + FROM * FROM, channel, second);
#pragma GCC unroll 16
        for (int i = 0; i < COUNT; ++i) _mm512_store_si512(to + i * stride, pair(first[i], second[i]));
    }
}

}  // namespace torchmill
#endif
