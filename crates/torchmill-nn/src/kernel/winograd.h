// Convolutions with kernels of 3x3 and 5x5, by Winograd's algorithm. T is the element type: float, or uint16_t for bfloat16.
#pragma once
#include <cstdint>

#include "dense_convolution.h"

namespace torchmill {

// Whether the processor has the instructions: AVX512 with BF16.
bool winograd_is_usable();

// Computes a convolution's output [images, out_height, out_width, out_channels]; `bias` may be null. The kernel is 3x3 or
// 5x5, and the channels are multiples of 32. One of the weight's channel strides is 1. The sums are in float32, in an order
// that depends only on the sizes.
template <typename T>
void winograd_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y);

// Computes the gradient of the weight, [out_channels, 3, 3, in_channels]. The kernel is 3x3, and the channels are multiples
// of 32. The sums are in float32, in an order that depends only on the sizes.
template <typename T>
void winograd_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to);

}  // namespace torchmill
