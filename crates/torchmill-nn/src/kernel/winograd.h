// Convolutions with kernels of 3x3, by Winograd's algorithm. T is the element type: float, or uint16_t for bfloat16. The
// processor must have the instructions of avx512.h.
//
// There are images and channels. The numbers of channels are multiples of 8. One of a weight's channel strides is 1. The
// sums are in float32, in an order that depends only on the sizes.
#pragma once
#include <cstdint>

#include "dense_convolution.h"

namespace torchmill {

// Computes a convolution's output [images, out_height, out_width, out_channels]; `bias` may be null.
template <typename T>
void winograd_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y);

// Computes a convolution's output after max pooling with windows of 2x2, and for each element the index in its window of the
// pixel that won. Of equal pixels the first wins, and of NaNs the last. `shape` has the output's size before the pooling, which
// is even. In bfloat16, outputs are rounded before the pooling.
template <typename T>
void winograd_conv_pool(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y, uint8_t* winners);

// Computes the input's gradient of a convolution with max pooling: a convolution of the gradient that the pooling passes
// back, [images, height, width, in_channels]. Height and width are even. The output may have one more row and column than
// the convolution gives. Pixels outside the input are zeros.
template <typename T>
void winograd_unpooled_convolution(
    const DenseConvolution& shape, const PooledGradient<T>& x, const WeightView<T>& weight, T* y);

// Computes the gradient of the weight, [out_channels, 3, 3, in_channels].
template <typename T>
void winograd_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to);

// The same of a convolution with max pooling.
template <typename T>
void winograd_pooled_weight_gradient(
    const DenseConvolution& shape, const T* x, const PooledGradient<T>& gradient, T* to);

}  // namespace torchmill
