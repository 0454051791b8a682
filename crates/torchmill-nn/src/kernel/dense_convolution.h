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

    // The convolution of the output's gradient with the rotated kernel, which gives the input's gradient.
    DenseConvolution reversed() const {
        return {
            images,     out_height, out_width,     out_channels, height, width, in_channels, kernel_height,
            kernel_width, kernel_height - 1 - padding_height, kernel_width - 1 - padding_width};
    }
};

// Writes the pixels of a square with this first row, first column and side, row by row: `at(row, column)`, or `outside` for
// those outside an image of this height and width.
template <typename Pixel, typename At>
void write_square(
    int64_t height, int64_t width, int64_t first_row, int64_t first_column, int64_t side, const Pixel& outside, const At& at,
    Pixel* pixels) {
    for (int64_t row = first_row; row < first_row + side; ++row) {
        for (int64_t column = first_column; column < first_column + side; ++column) {
            const bool exists = row >= 0 && row < height && column >= 0 && column < width;
            *pixels++ = exists ? at(row, column) : outside;
        }
    }
}

// Images in channels-last layout. The elements are constant if T is.
template <typename T>
struct Images {
    using Pixel = T*;

    T* data;
    int64_t height, width, channels;

    // Finds the pixels of a square with this first row, first column and side, row by row. `outside` stands for those outside
    // the image.
    void find_square(
        int64_t image, int64_t first_row, int64_t first_column, int64_t side, Pixel outside, Pixel* pixels) const {
        T* const from = data + image * height * width * channels;
        const auto at = [&](int64_t row, int64_t column) { return from + (row * width + column) * channels; };
        write_square(height, width, first_row, first_column, side, outside, at, pixels);
    }
};

// The gradient of a max pooling's output, and for each element the index in its window of the pixel that won. Both are
// dense, in channels-last layout.
template <typename T>
struct PooledGradient {
    const T* gradient;
    const uint8_t* winners;
};

// A view of a weight [out, in, row, column]. Strides are in elements and may be negative.
template <typename T>
struct WeightView {
    const T* data;
    int64_t out_stride, in_stride, row_stride, column_stride;
};

}  // namespace torchmill
