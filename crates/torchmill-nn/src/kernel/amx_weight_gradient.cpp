// The gradient of a convolution's weight, with AMX.
//
// dW[o, i, j, c] is the sum over all pixels p of gradient[p, o] * x[p + offset(i, j), c]. If the images have a border of
// zeros and lie one after another in one long row of pixels, the offset is the same for every pixel. Each element of the
// kernel is then one product of matrices: the transposed gradients times the shifted images. oneDNN computes these
// gradients row by row of an image. If rows are short, most of a tile of 32 pixels stays empty.
//
// A tile of A has a row of 32 pixels for each of 16 output channels. A tile of B has a row for each of 16 pairs of pixels:
// 16 input channels, with the two pixels of each channel next to each other.
#include "amx_weight_gradient.h"

#include "amx_pixels.h"
#include "amx_tiles.h"

#ifdef AMX_IS_SUPPORTED
#include <algorithm>
#include <vector>

namespace torchmill {
namespace {

constexpr int64_t STEP = 32;  // the pixels of a tile
// The pixels that are rearranged at a time. Both sides of a product of 32 by 32 channels then fit in the first cache.
constexpr int64_t PIXELS = 256;
constexpr int64_t STEPS = PIXELS / STEP;

struct alignas(TILE_ROW) Row {
    uint8_t bytes[TILE_ROW];
};

// Pointers to the channels of successive pixels; null for a pixel of the border.
using Found = std::vector<const uint16_t*>;

// The first `count` of 32 channels.
__mmask32 first_channels(int64_t count) { return count >= 32 ? ~__mmask32(0) : (__mmask32(1) << count) - 1; }

// 32 channels of a pixel from `channel`; zeros for those that are not in `mask` and for the border.
FOR_AMX inline __m512i load(const uint16_t* pixel, int64_t channel, __mmask32 mask) {
    return pixel ? _mm512_maskz_loadu_epi16(mask, pixel + channel) : _mm512_setzero_si512();
}

// 32 channels of two pixels, with the two pixels of each channel next to each other.
struct Pair {
    __m512i first16, last16;
};
FOR_AMX inline Pair interleave(__m512i a, __m512i b) {
    const __m512i low = _mm512_unpacklo_epi16(a, b);
    const __m512i high = _mm512_unpackhi_epi16(a, b);
    // Unpacking works within 128 bits: `low` has the channels 0-3, 8-11, ..., `high` has 4-7, 12-15, ...
    const __m512i first = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0);
    const __m512i last = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
    return {_mm512_permutex2var_epi64(low, first, high), _mm512_permutex2var_epi64(low, last, high)};
}

// 32 channels as two halves of 16: tiles of A, or rows of B.
struct Halves {
    Row *first16, *last16;
};

// Writes tiles of A: 32 output channels from `channel` of whole steps of pixels.
FOR_AMX void arrange_gradients(const Found& pixels, int64_t channel, __mmask32 mask, Halves tiles) {
    const int64_t steps = int64_t(pixels.size()) / STEP;
    for (int64_t step = 0; step < steps; ++step) {
        __m512i first[16], last[16];
        for (int i = 0; i < 16; ++i) {
            const uint16_t* const* pixel = pixels.data() + step * STEP + 2 * i;
            const Pair pair = interleave(load(pixel[0], channel, mask), load(pixel[1], channel, mask));
            first[i] = pair.first16;
            last[i] = pair.last16;
        }
        transpose(first);
        transpose(last);
        for (int i = 0; i < 16; ++i) {
            _mm512_store_si512(tiles.first16 + step * TILE_ROWS + i, first[i]);
            _mm512_store_si512(tiles.last16 + step * TILE_ROWS + i, last[i]);
        }
    }
}

// Writes rows of B: 32 input channels from `channel` of `count` pairs of pixels, the first of which begins at `start`.
FOR_AMX void arrange_images(
    const Found& pixels, int64_t start, int64_t count, int64_t channel, __mmask32 mask, Halves rows) {
    for (int64_t i = 0; i < count; ++i) {
        const uint16_t* const* pixel = pixels.data() + start + 2 * i;
        const Pair pair = interleave(load(pixel[0], channel, mask), load(pixel[1], channel, mask));
        _mm512_store_si512(rows.first16 + i, pair.first16);
        _mm512_store_si512(rows.last16 + i, pair.last16);
    }
}

// Adds the product of 32 output channels and 32 input channels to four tiles of sums.
FOR_AMX void multiply(Halves gradients, Halves images, int64_t steps, float* sums, bool is_first) {
    finish_writing();
    if (is_first) {
        zero_sums();
    } else {
        load_sums(sums);
    }
    for (int64_t row = 0; row < steps * TILE_ROWS; row += TILE_ROWS) {
        _tile_loadd(4, gradients.first16 + row, TILE_ROW);
        _tile_loadd(6, images.first16 + row, TILE_ROW);
        _tile_loadd(5, gradients.last16 + row, TILE_ROW);
        _tile_loadd(7, images.last16 + row, TILE_ROW);
        _tile_dpbf16ps(0, 4, 6);
        _tile_dpbf16ps(1, 4, 7);
        _tile_dpbf16ps(2, 5, 6);
        _tile_dpbf16ps(3, 5, 7);
    }
    store_sums(sums);
}

// The gradient for some of the output channels and some of the input channels, on one thread.
class Part {
public:
    Part(const DenseConvolution& shape, const uint16_t* x, const uint16_t* gradient, Channels out, Channels in)
        : shape(shape), out(out), in(in) {
        images = input_pixels(shape, x);
        gradients = output_pixels(shape, gradient);
        const int64_t offsets = (shape.kernel_height - 1) * images.outer_width + shape.kernel_width;
        pairs = (PIXELS + offsets) / 2 + 1;
        kernel = shape.kernel_height * shape.kernel_width;
        out_blocks = divide_up(out.end - out.first, AMX_CHANNELS);
        in_blocks = divide_up(in.end - in.first, AMX_CHANNELS);
        gradient_tiles.resize(out_blocks * 2 * STEPS * TILE_ROWS);
        image_rows.resize(in_blocks * 2 * 2 * pairs);
        sums.resize(out_blocks * in_blocks * kernel * 4 * TILE_FLOATS);
    }

    FOR_AMX void sum() {
        const WholeTiles tiles;
        const int64_t all = images.count();
        for (int64_t first = 0; first < all; first += PIXELS) {
            const int64_t steps = divide_up(std::min(PIXELS, all - first), STEP);
            arrange(first, steps);
            multiply_all(steps, first == 0);
        }
    }

    // Rounds the sums to bfloat16.
    FOR_AMX void write(uint16_t* weight_gradient) {
        for (int64_t o = 0; o < out.end - out.first; ++o) {
            for (int64_t k = 0; k < kernel; ++k) {
                uint16_t* const to = weight_gradient + ((out.first + o) * kernel + k) * shape.in_channels + in.first;
                for (int64_t i = 0; i < in.end - in.first; i += 16) {
                    const int64_t tile = o / 16 % 2 * 2 + i / 16 % 2;
                    const float* from = sums_of(o / 32, i / 32, k) + tile * TILE_FLOATS + o % 16 * 16;
                    const __mmask16 mask = __mmask16(first_channels(std::min<int64_t>(in.end - in.first - i, 16)));
                    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from));
                    _mm256_mask_storeu_epi16(to + i, mask, (__m256i)rounded);
                }
            }
        }
    }

private:
    FOR_AMX void arrange(int64_t first, int64_t steps) {
        gradients.find(first, steps * STEP, found);
        for (int64_t block = 0; block < out_blocks; ++block) {
            const int64_t channel = out.first + block * AMX_CHANNELS;
            arrange_gradients(found, channel, first_channels(out.end - channel), tiles_of(block));
        }
        images.find(first + first_offset(shape), 2 * pairs + 1, found);
        for (int64_t block = 0; block < in_blocks; ++block) {
            const int64_t channel = in.first + block * AMX_CHANNELS;
            const __mmask32 mask = first_channels(in.end - channel);
            arrange_images(found, 0, pairs, channel, mask, rows_of(block, false));
            arrange_images(found, 1, pairs, channel, mask, rows_of(block, true));
        }
    }

    FOR_AMX void multiply_all(int64_t steps, bool is_first) {
        for (int64_t o = 0; o < out_blocks; ++o) {
            for (int64_t i = 0; i < in_blocks; ++i) {
                for (int64_t k = 0; k < kernel; ++k) {
                    const int64_t y = k / shape.kernel_width, x = k % shape.kernel_width;
                    const int64_t offset = y * images.outer_width + x;
                    Halves rows = rows_of(i, offset % 2 == 1);
                    rows.first16 += offset / 2;
                    rows.last16 += offset / 2;
                    multiply(tiles_of(o), rows, steps, sums_of(o, i, k), is_first);
                }
            }
        }
    }

    Halves tiles_of(int64_t out_block) {
        Row* const tiles = gradient_tiles.data() + out_block * 2 * STEPS * TILE_ROWS;
        return {tiles, tiles + STEPS * TILE_ROWS};
    }

    // The pairs that begin at even pixels, or those that begin at odd ones.
    Halves rows_of(int64_t in_block, bool odd) {
        Row* const rows = image_rows.data() + (in_block * 2 + odd) * 2 * pairs;
        return {rows, rows + pairs};
    }

    // Four tiles: the first 16 output channels with the first and the last 16 input channels, then the last 16 output
    // channels.
    float* sums_of(int64_t out_block, int64_t in_block, int64_t k) {
        return sums.data() + ((out_block * in_blocks + in_block) * kernel + k) * 4 * TILE_FLOATS;
    }

    const DenseConvolution& shape;
    Channels out, in;
    Pixels<const uint16_t> images, gradients;
    int64_t pairs, kernel, out_blocks, in_blocks;
    Found found;
    std::vector<Row> gradient_tiles, image_rows;
    std::vector<float> sums;
};

}  // namespace

void amx_weight_gradient(
    const DenseConvolution& shape, const uint16_t* x, const uint16_t* gradient, uint16_t* weight_gradient, Channels out,
    Channels in) {
    Part part(shape, x, gradient, out, in);
    part.sum();
    part.write(weight_gradient);
}

}  // namespace torchmill
#else
namespace torchmill {

void amx_weight_gradient(
    const DenseConvolution&, const uint16_t*, const uint16_t*, uint16_t*, Channels, Channels) {}

}  // namespace torchmill
#endif
