// Convolutions with kernels of 5x5, by Karatsuba's algorithm. T is the element type: float, or uint16_t for bfloat16. The
// processor must have the instructions of avx512.h.
//
// The output channels are multiples of 32. The input channels are as well, and then one of a weight's channel strides is 1.
// Some functions support 1 or 3 input channels, too. The sums are in float32, in an order that depends only on the sizes.
#pragma once
#include <cstdint>

#include "dense_convolution.h"

namespace torchmill {

// Computes a convolution's output [images, out_height, out_width, out_channels]; `bias` may be null.
template <typename T>
void karatsuba_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y);

// Computes a convolution's output after max pooling with windows of 2x2, and for each element the index in its window of the
// pixel that won: of equal pixels the first, and of NaNs the last. `shape` has the output's size before the pooling, which
// is even. In bfloat16, outputs are rounded before the pooling. There may be 1 or 3 input channels.
template <typename T>
void karatsuba_conv_pool(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y, uint8_t* winners);

// Computes the input's gradient of a convolution with max pooling: a convolution of the gradient that the pooling passes
// back, [images, height, width, in_channels]. Height and width are even. The output may have one row and one column more
// than the convolution gives. There the input counts as zeros.
template <typename T>
void karatsuba_unpooled_convolution(
    const DenseConvolution& shape, const PooledGradient<T>& x, const WeightView<T>& weight, T* y);

// Computes the gradient of the weight, [out_channels, 5, 5, in_channels].
template <typename T>
void karatsuba_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to);

// The same of a convolution with max pooling. There may be 1 or 3 input channels.
template <typename T>
void karatsuba_pooled_weight_gradient(
    const DenseConvolution& shape, const T* x, const PooledGradient<T>& gradient, T* to);

}  // namespace torchmill
