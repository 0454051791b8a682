// The transforms of Winograd's algorithm. F(m, r) is the algorithm for m outputs and a kernel of r elements, in one
// dimension.
//
// With a kernel of 5x5, the five elements of each dimension are split into three and two. F(2, 3) takes four
// multiplications, and F(2, 2) takes three. So a tile takes 7x7 = 49 instead of 100. F(2, 5) takes 6x6 = 36, but with the
// usual points it multiplies by 4 and 5, which loses digits.
//
// These transforms only add, subtract and halve. In float32, errors of the output and of the input's gradient are smaller
// than those of a plain convolution, because fewer products are added up. Those of the weight's gradient may be three times
// as large. In bfloat16, transformed elements are rounded before they are multiplied, so errors are two to three times those
// of rounding the result alone. Sums are in float32. An infinite input gives NaN in outputs that depend on it.
#pragma once
#include "avx512.h"

#ifdef AVX512_IS_SUPPORTED

#define INLINE FOR_AVX512 inline __attribute__((always_inline))

namespace torchmill {

// The one-dimensional transforms for a kernel of SIZE elements. Elements are `step` apart, and results `to_step`.
template <int SIZE>
struct Line;

// F(2, 2).
template <>
struct Line<2> {
    static constexpr int POINTS = 3;

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
    static constexpr int POINTS = 4;

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
    // The transposes of `output` and `kernel`.
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

// A kernel of five is the sum of one of three and one of two.
template <>
struct Line<5> {
    using First = Line<3>;
    using Last = Line<2>;
    static constexpr int POINTS = First::POINTS + Last::POINTS;

    INLINE static void input(const __m512* x, int step, __m512* to, int to_step) {
        First::input(x, step, to, to_step);
        Last::input(x + 3 * step, step, to + First::POINTS * to_step, to_step);
    }
    INLINE static void kernel(const __m512* g, int step, __m512* to, int to_step) {
        First::kernel(g, step, to, to_step);
        Last::kernel(g + 3 * step, step, to + First::POINTS * to_step, to_step);
    }
    INLINE static void output(const __m512* m, int step, __m512* to, int to_step) {
        __m512 last[2];
        First::output(m, step, to, to_step);
        Last::output(m + First::POINTS * step, step, last, 1);
        to[0] = _mm512_add_ps(to[0], last[0]);
        to[to_step] = _mm512_add_ps(to[to_step], last[1]);
    }
};

// Transforms a square of FROM x FROM to TO x TO: its columns, then the rows. Squares are row-major.
template <auto LINE, int FROM, int TO>
INLINE void transform_square(const __m512* from, __m512* to) {
    __m512 rows[TO * FROM];
#pragma GCC unroll 8
    for (int j = 0; j < FROM; ++j) LINE(from + j, FROM, rows + j, FROM);
#pragma GCC unroll 8
    for (int i = 0; i < TO; ++i) LINE(rows + i * FROM, 1, to + i * TO, 1);
}

// The two-dimensional transforms.
template <int SIZE>
struct Square {
    using L = Line<SIZE>;
    // The sides of the input of a tile and of what it is transformed to.
    static constexpr int INPUTS = SIZE + 1, POINTS = L::POINTS;
    static constexpr int POSITIONS = POINTS * POINTS;

    INLINE static void input(const __m512* x, __m512* to) { transform_square<L::input, INPUTS, POINTS>(x, to); }
    INLINE static void kernel(const __m512* g, __m512* to) { transform_square<L::kernel, SIZE, POINTS>(g, to); }
    INLINE static void output(const __m512* m, __m512* to) { transform_square<L::output, POINTS, 2>(m, to); }
    INLINE static void output_gradient(const __m512* y, __m512* to) {
        transform_square<L::output_gradient, 2, POINTS>(y, to);
    }
    INLINE static void kernel_gradient(const __m512* u, __m512* to) {
        transform_square<L::kernel_gradient, POINTS, SIZE>(u, to);
    }
};

}  // namespace torchmill
#endif
