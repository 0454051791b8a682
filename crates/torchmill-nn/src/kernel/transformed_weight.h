// Winograd's and Karatsuba's algorithms transform a kernel of SIZE x SIZE elements to SIDE x SIDE elements, its taps, and
// the gradients of the taps back. TRANSFORM is the transform in one dimension.
#pragma once
#include <ATen/Parallel.h>

#include "avx512.h"
#include "dense_convolution.h"
#include "square_transform.h"

#ifdef AVX512_IS_SUPPORTED

namespace torchmill {

// The output channels that are computed together.
constexpr int64_t PANEL = 2 * LANES;

// A range of channels.
struct ChannelRange {
    int64_t first, count;
};

// The channels of chunk `index`, if a chunk has `size`.
inline ChannelRange chunk_channels(int64_t index, int64_t size, int64_t channels) {
    const int64_t first = index * size;
    return {first, std::min(size, channels - first)};
}

// Writes the sums of a panel, or adds them to those in memory.
INLINE void store_panel(float* to, __m512 low, __m512 high, bool adds) {
    if (adds) {
        low = _mm512_add_ps(low, _mm512_load_ps(to));
        high = _mm512_add_ps(high, _mm512_load_ps(to + LANES));
    }
    _mm512_store_ps(to, low);
    _mm512_store_ps(to + LANES, high);
}

// Transforms `count` of 16 kernels. The elements of one are at `from`, and those of the others follow it.
template <auto TRANSFORM, int SIZE, int SIDE, typename T>
INLINE void transform_kernels(const WeightView<T>& weight, const T* from, int64_t count, __m512* to) {
    __m512 kernels[SIZE * SIZE];
    for (int i = 0; i < SIZE; ++i) {
        for (int j = 0; j < SIZE; ++j) {
            kernels[SIZE * i + j] = load_first(from + i * weight.row_stride + j * weight.column_stride, count);
        }
    }
    transform_square<TRANSFORM, SIZE, SIDE>(kernels, to);
}

// Transforms the kernels of at most 16 output channels and at most 16 input channels, and packs them. Kernels of missing
// channels are zeros. `place(tap)` is where the operands of a tap for these channels begin, [16 / PACKED<T>, PANEL].
template <auto TRANSFORM, int SIZE, int SIDE, typename T, typename Place>
FOR_AVX512 inline void pack_kernels(
    const WeightView<T>& weight, ChannelRange out, ChannelRange in, const Place& place) {
    constexpr int COUNT = SIDE * SIDE;
    const T* const from = weight.data + out.first * weight.out_stride + in.first * weight.in_stride;
    // Reads along the channels whose stride is 1.
    const bool is_transposed = weight.out_stride != 1;
    const int64_t stride = is_transposed ? weight.out_stride : weight.in_stride;
    const int64_t count = is_transposed ? out.count : in.count;
    const int64_t along = is_transposed ? in.count : out.count;
    __m512 kernels[LANES][COUNT];
    for (int64_t i = 0; i < count; ++i) {
        transform_kernels<TRANSFORM, SIZE, SIDE>(weight, from + i * stride, along, kernels[i]);
    }
    for (int64_t i = count; i < LANES; ++i) std::fill_n(kernels[i], COUNT, _mm512_setzero_ps());
    for (int tap = 0; tap < COUNT; ++tap) {
        __m512i rows[LANES];
        for (int64_t i = 0; i < LANES; ++i) rows[i] = _mm512_castps_si512(kernels[i][tap]);
        if (is_transposed) transpose(rows);
        Operand* const to = place(tap);
        for (int64_t i = 0; i < LANES / PACKED<T>; ++i) {
            __m512i packed = rows[i];
            if constexpr (PACKED<T> == 2) {
                packed = pair(_mm512_castsi512_ps(rows[2 * i]), _mm512_castsi512_ps(rows[2 * i + 1]));
            }
            _mm512_store_si512(to + i * PANEL, packed);
        }
    }
}

// Calls `pack(out, in)` for each range of at most 16 output channels and at most 16 input channels of a weight, on all
// threads. Each thread has at least two calls, because starting a thread takes about as long as one.
template <typename Pack>
void for_kernels(const DenseConvolution& shape, const Pack& pack) {
    const int64_t in_chunks = divide_up(shape.in_channels, LANES), out_chunks = divide_up(shape.out_channels, LANES);
    at::parallel_for(0, out_chunks * in_chunks, 2, [&](int64_t index, int64_t end) {
        for (; index < end; ++index) {
            pack(
                chunk_channels(index / in_chunks, LANES, shape.out_channels),
                chunk_channels(index % in_chunks, LANES, shape.in_channels));
        }
    });
}

// The gradients of taps: those for an input channel and consecutive output channels are at
// data + tap * tap_stride + input channel * channel_stride.
struct TapGradients {
    const float* data;
    int64_t tap_stride, channel_stride;
};

// Transforms gradients of taps, for 16 input and 16 output channels, to gradients of kernels. Writes those of the first
// `in_count` input channels and the first `out_count` output channels, or of all 16 if there are more, to [out_count, SIZE,
// SIZE, in_channels].
template <auto TRANSFORM, int SIDE, int SIZE>
FOR_AVX512 inline void write_kernel_block(
    const TapGradients& from, int64_t in_count, int64_t out_count, float* to, int64_t in_channels) {
    constexpr int COUNT = SIDE * SIDE, ELEMENTS = SIZE * SIZE;
    __m512i elements[ELEMENTS][LANES];
    for (int64_t i = 0; i < LANES; ++i) {
        __m512 taps[COUNT], kernels[ELEMENTS];
        for (int64_t tap = 0; tap < COUNT; ++tap) {
            taps[tap] = _mm512_load_ps(from.data + tap * from.tap_stride + i * from.channel_stride);
        }
        transform_square<TRANSFORM, SIDE, SIZE>(taps, kernels);
        for (int j = 0; j < ELEMENTS; ++j) elements[j][i] = _mm512_castps_si512(kernels[j]);
    }
    for (int64_t j = 0; j < ELEMENTS; ++j) {
        transpose(elements[j]);
        for (int64_t i = 0; i < std::min(LANES, out_count); ++i) {
            store_first(to + (i * ELEMENTS + j) * in_channels, _mm512_castsi512_ps(elements[j][i]), in_count);
        }
    }
}

// Transforms the gradients of the taps of these channels to those of kernels, and writes them to
// [out_channels, SIZE, SIZE, in_channels]. `from` has room for multiples of 16 channels.
template <auto TRANSFORM, int SIDE, int SIZE>
void write_kernel_gradients(
    const TapGradients& from, ChannelRange in, ChannelRange out, float* to, int64_t in_channels) {
    for (int64_t o = 0; o < out.count; o += LANES) {
        for (int64_t c = 0; c < in.count; c += LANES) {
            float* const kernels = to + (out.first + o) * SIZE * SIZE * in_channels + in.first + c;
            const TapGradients taps{from.data + c * from.channel_stride + o, from.tap_stride, from.channel_stride};
            write_kernel_block<TRANSFORM, SIDE, SIZE>(taps, in.count - c, out.count - o, kernels, in_channels);
        }
    }
}

// Adds up elements `first` to `end` of the parts, `size` elements each, in order.
template <typename T>
FOR_AVX512 inline void add_range(
    const float* parts, int64_t count, int64_t size, int64_t first, int64_t end, T* to) {
    for (int64_t i = first; i < end; i += LANES) {
        __m512 sum = load(parts + i);
        for (int64_t part = 1; part < count; ++part) sum = _mm512_add_ps(sum, load(parts + part * size + i));
        store(to + i, sum);
    }
}

// Adds up `count` parts of a gradient, `size` elements each, in order.
template <typename T>
void add_parts(const float* parts, int64_t count, int64_t size, T* to) {
    constexpr int64_t LEAST_LINES = 2048;
    at::parallel_for(0, size / LANES, LEAST_LINES, [&](int64_t first, int64_t end) {
        add_range(parts, count, size, first * LANES, end * LANES, to);
    });
}

}  // namespace torchmill
#endif
