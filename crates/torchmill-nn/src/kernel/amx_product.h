// Products of float32 matrices and float32 convolutions, computed with Intel's AMX.
#pragma once
#include <cstdint>

#include "dense_convolution.h"

namespace torchmill {

// A matrix [rows, columns] with strides in elements. One of the strides is 1.
struct AmxMatrix {
    const float* data;
    int64_t rows, columns;
    int64_t row_stride, column_stride;
};

// Computes a @ b + bias, [a.rows, b.columns], dense; `bias` may be null. The sums are in float32, in an order that depends
// only on the sizes.
void amx_product(const AmxMatrix& a, const AmxMatrix& b, const float* bias, float* product);

// Computes a convolution's output [images, out_height, out_width, out_channels]; `bias` may be null. One of the weight's
// channel strides is 1.
void amx_convolution(
    const DenseConvolution& shape, const float* x, const WeightView<float>& weight, const float* bias, float* y);

}  // namespace torchmill
