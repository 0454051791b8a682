// What the kernels for AVX512 share. AVX512_IS_SUPPORTED is defined if the compiler supports AVX512 and its BF16 extension.
#pragma once
#include <algorithm>
#include <cstdint>
#include <memory>

#include "division.h"

#if defined(__x86_64__) && (defined(__clang__) ? __clang_major__ >= 9 : __GNUC__ >= 10)
#define AVX512_IS_SUPPORTED
#include <immintrin.h>

#define FOR_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#define INLINE FOR_AVX512 inline __attribute__((always_inline))

namespace torchmill {

// The mask of the first `count` of 16 elements: of none if it is negative, and of all if it is larger.
inline __mmask16 first16(int64_t count) { return __mmask16((1 << std::clamp<int64_t>(count, 0, 16)) - 1); }

// Transposes a matrix of 16x16 32-bit elements in place. Each register is a row.
FOR_AVX512 inline void transpose(__m512i* r) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

// The 32-bit elements of a register.
constexpr int64_t LANES = 16;

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

// The first `count` of 16 elements. Loading makes the others zeros, and storing leaves them as they are in memory.
INLINE __m512 load_first(const float* from, int64_t count) { return _mm512_maskz_loadu_ps(first16(count), from); }
INLINE __m512 load_first(const uint16_t* from, int64_t count) {
    const __m256i bits = _mm256_maskz_loadu_epi16(first16(count), from);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}
INLINE void store_first(float* to, __m512 elements, int64_t count) {
    _mm512_mask_storeu_ps(to, first16(count), elements);
}
INLINE void store_first(uint16_t* to, __m512 elements, int64_t count) {
    _mm256_mask_storeu_epi16(to, first16(count), __m256i(_mm512_cvtneps_pbh(elements)));
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

// An uninitialised array of elements of at most 32 bits, aligned to cache lines.
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

}  // namespace torchmill
#endif

namespace torchmill {

// Whether the compiler and the processor have the instructions of FOR_AVX512.
inline bool avx512_is_usable() {
#ifdef AVX512_IS_SUPPORTED
    static const bool usable = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                               __builtin_cpu_supports("avx512bf16");
    return usable;
#else
    return false;
#endif
}

}  // namespace torchmill
