// Convolutions with kernels of 5x5, by Karatsuba's algorithm. T is the element type: float, or uint16_t for bfloat16. The
// processor must have the instructions of avx512.h.
#pragma once
#include <cstdint>

#include "dense_convolution.h"

namespace torchmill {

// Computes a convolution's output [images, out_height, out_width, out_channels]; `bias` may be null. The kernel is 5x5, and
// the channels are multiples of 32. One of the weight's channel strides is 1. The sums are in float32, in an order that
// depends only on the sizes.
template <typename T>
void karatsuba_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y);

// Computes the gradient of the weight, [out_channels, 5, 5, in_channels]. The kernel is 5x5, and the channels are multiples
// of 32. The sums are in float32, in an order that depends only on the sizes.
template <typename T>
void karatsuba_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to);

}  // namespace torchmill
