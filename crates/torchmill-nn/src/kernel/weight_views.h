// Views of a weight's tensor.
#pragma once
#include "dense_convolution.h"
#include "kernels.h"

namespace torchmill {

template <typename T>
WeightView<T> view(const at::Tensor& weight) {
    return {elements<T>(weight), weight.stride(0), weight.stride(1), weight.stride(2), weight.stride(3)};
}

// The kernel rotated by 180 degrees, with its input and output channels swapped.
template <typename T>
WeightView<T> rotated_view(const at::Tensor& weight) {
    const T* const last = elements<T>(weight) + (weight.size(2) - 1) * weight.stride(2) +
                          (weight.size(3) - 1) * weight.stride(3);
    return {last, weight.stride(1), weight.stride(0), -weight.stride(2), -weight.stride(3)};
}

}  // namespace torchmill
