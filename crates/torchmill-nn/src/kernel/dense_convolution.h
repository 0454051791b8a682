// The sizes of a convolution that our kernels compute.
#pragma once
#include <cstdint>

namespace torchmill {

// A convolution with stride 1, without dilation or groups. Images and outputs are dense and in channels-last layout.
struct DenseConvolution {
    int64_t images, height, width, in_channels;
    int64_t out_height, out_width, out_channels;
    int64_t kernel_height, kernel_width;
    // Rows above and below, columns on the left and on the right. Smaller than the kernel.
    int64_t padding_height, padding_width;
};

// A view of a weight [out, in, row, column]. Strides are in elements and may be negative.
template <typename T>
struct WeightView {
    const T* data;
    int64_t out_stride, in_stride, row_stride, column_stride;
};

}  // namespace torchmill
