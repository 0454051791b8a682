// The transforms of Winograd's algorithm F(2, 3) in one dimension, for two outputs and a kernel of three elements. It takes
// four multiplications. Elements are `step` apart, and results `to_step`.
//
// These transforms only add, subtract and halve. In float32, errors of the output and of the input's gradient are smaller
// than those of a plain convolution, because fewer products are added up. With few images, those of the weight's gradient
// may be twice as large. In bfloat16, transformed elements are rounded before they are multiplied. With random data, errors
// are two to three times those of rounding the result alone. They are larger where products cancel. Sums are in float32. An
// infinite or NaN input gives NaN in all outputs of the tiles that read it.
#pragma once
#include "avx512.h"

#ifdef AVX512_IS_SUPPORTED

namespace torchmill {

INLINE void winograd_input(const __m512* x, int step, __m512* to, int to_step) {
    to[0] = _mm512_sub_ps(x[0], x[2 * step]);
    to[to_step] = _mm512_add_ps(x[step], x[2 * step]);
    to[2 * to_step] = _mm512_sub_ps(x[2 * step], x[step]);
    to[3 * to_step] = _mm512_sub_ps(x[step], x[3 * step]);
}
INLINE void winograd_kernel(const __m512* g, int step, __m512* to, int to_step) {
    const __m512 half = _mm512_set1_ps(0.5f);
    const __m512 outer = _mm512_add_ps(g[0], g[2 * step]);
    to[0] = g[0];
    to[to_step] = _mm512_mul_ps(_mm512_add_ps(outer, g[step]), half);
    to[2 * to_step] = _mm512_mul_ps(_mm512_sub_ps(outer, g[step]), half);
    to[3 * to_step] = g[2 * step];
}
INLINE void winograd_output(const __m512* m, int step, __m512* to, int to_step) {
    to[0] = _mm512_add_ps(_mm512_add_ps(m[0], m[step]), m[2 * step]);
    to[to_step] = _mm512_sub_ps(_mm512_sub_ps(m[step], m[2 * step]), m[3 * step]);
}

// The transposes of `winograd_output` and `winograd_kernel`.
INLINE void winograd_output_gradient(const __m512* y, int step, __m512* to, int to_step) {
    to[0] = y[0];
    to[to_step] = _mm512_add_ps(y[0], y[step]);
    to[2 * to_step] = _mm512_sub_ps(y[0], y[step]);
    to[3 * to_step] = _mm512_sub_ps(_mm512_setzero_ps(), y[step]);
}
INLINE void winograd_kernel_gradient(const __m512* u, int step, __m512* to, int to_step) {
    const __m512 half = _mm512_set1_ps(0.5f);
    const __m512 sum = _mm512_mul_ps(_mm512_add_ps(u[step], u[2 * step]), half);
    to[0] = _mm512_add_ps(u[0], sum);
    to[to_step] = _mm512_mul_ps(_mm512_sub_ps(u[step], u[2 * step]), half);
    to[2 * to_step] = _mm512_add_ps(sum, u[3 * step]);
}

}  // namespace torchmill
#endif
