// The gradient of a convolution's weight in bfloat16, computed with Intel's AMX.
#pragma once
#include <cstdint>

#include "dense_convolution.h"

namespace torchmill {

// A range of channels.
struct Channels {
    int64_t first, end;
};

// Channels are divided among threads in multiples of this.
constexpr int64_t AMX_CHANNELS = 32;

// Computes the weight's gradient [out_channels, kernel height, kernel width, in_channels] for a range of output channels
// and a range of input channels. Ranges begin at multiples of AMX_CHANNELS. The sums are in float32 and in the order of
// the images, whatever the ranges.
void amx_weight_gradient(
    const DenseConvolution& shape, const uint16_t* x, const uint16_t* gradient, uint16_t* weight_gradient, Channels out,
    Channels in);

}  // namespace torchmill
