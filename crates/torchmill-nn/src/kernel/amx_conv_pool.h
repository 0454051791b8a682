// A convolution of few input channels with 2x2 max pooling after it, computed with Intel's AMX.
#pragma once
#include <cstdint>

namespace torchmill {

// A convolution with stride 1, without dilation or groups, and pooling with windows of 2x2 and stride 2. Images and
// outputs are dense, in channels-last layout. T is their element type: float, or uint16_t for bfloat16.
struct ConvPoolShape {
    int64_t images, height, width, in_channels, out_channels;
    int64_t kernel_height, kernel_width;
    // Rows above and below, columns on the left and on the right. Smaller than the kernel.
    int64_t padding_height, padding_width;

    int64_t pooled_height() const { return (height + 2 * padding_height - kernel_height + 1) / 2; }
    int64_t pooled_width() const { return (width + 2 * padding_width - kernel_width + 1) / 2; }
    // The numbers of elements of an image, of a pooled output, and of the weight.
    int64_t image_size() const { return height * width * in_channels; }
    int64_t output_size() const { return pooled_height() * pooled_width() * out_channels; }
    int64_t weight_size() const { return out_channels * kernel_height * kernel_width * in_channels; }
};

// Whether the kernel supports these sizes: it is for the first layer of a network.
template <typename T>
bool amx_conv_pool_supports(const ConvPoolShape& shape);

// Computes the pooled outputs of images `first` to `end`, and for each the index in its window of the pixel that won: of
// equal pixels the first, and of NaNs the last. `bias` may be null.
template <typename T>
void amx_conv_pool(
    const ConvPoolShape& shape, int64_t first, int64_t end, const T* x, const T* weight, const T* bias, T* y,
    uint8_t* winners);

// The gradients of weight and bias are sums over all images. Each part of this many images has sums of its own. They are
// added in order, so that the gradients do not depend on the number of threads.
constexpr int64_t CONV_POOL_PART = 8;

// The number of float32 sums of a part.
int64_t amx_conv_pool_sums(const ConvPoolShape& shape);

// Computes the sums of images `first` to `end`.
template <typename T>
void amx_conv_pool_gradient(
    const ConvPoolShape& shape, int64_t first, int64_t end, const T* x, const T* gradient, const uint8_t* winners,
    float* sums);

// Adds the sums of all parts. `bias_gradient` may be null.
template <typename T>
void amx_conv_pool_finish(
    const ConvPoolShape& shape, int64_t parts, const float* sums, T* weight_gradient, T* bias_gradient);

}  // namespace torchmill
