// Convolutions of images with a border of zeros, as one long row of pixels.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "dense_convolution.h"

namespace torchmill {

// Images [images, height, width, channels]. The border on the right of a row is also the border on the left of the next,
// and the border below an image is also the one above the next image.
template <typename T>
struct Pixels {
    T* data;
    int64_t images, height, width, channels;
    // An image's height and width with its border.
    int64_t outer_height, outer_width;

    // With the border.
    int64_t count() const { return images * outer_height * outer_width; }

    // Finds the channels of `count` pixels from pixel `first`, which may be before the first image. Those of the border are
    // null.
    void find(int64_t first, int64_t count, std::vector<T*>& found) const {
        found.assign(count, nullptr);
        const int64_t before = std::max<int64_t>(0, -first);
        int64_t x = (first + before) % outer_width;
        int64_t y = (first + before) / outer_width % outer_height;
        int64_t image = (first + before) / (outer_width * outer_height);
        for (int64_t i = before; i < count && image < images; ++i) {
            if (x < width && y < height) found[i] = data + ((image * height + y) * width + x) * channels;
            if (++x < outer_width) continue;
            x = 0;
            if (++y < outer_height) continue;
            y = 0;
            ++image;
        }
    }
};

template <typename T>
Pixels<T> input_pixels(const DenseConvolution& c, T* data) {
    return {data, c.images, c.height, c.width, c.in_channels, c.height + c.padding_height, c.width + c.padding_width};
}

// An output has the place of the pixel at the same row and column.
template <typename T>
Pixels<T> output_pixels(const DenseConvolution& c, T* data) {
    return {data, c.images, c.out_height, c.out_width, c.out_channels, c.height + c.padding_height,
            c.width + c.padding_width};
}

// Where the kernel's first element lies, in pixels from an output's place in the long row.
inline int64_t first_offset(const DenseConvolution& c) {
    return -(c.padding_height * (c.width + c.padding_width) + c.padding_width);
}

}  // namespace torchmill
