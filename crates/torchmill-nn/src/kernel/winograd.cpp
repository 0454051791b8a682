// The output of a convolution, by Winograd's algorithm (winograd_tiles.h).
//
// Each thread transforms a block of tiles, multiplies it, and transforms the products back, while the block is in the L2
// cache.
#include "winograd.h"

#include "avx512.h"
#include "convolution_inputs.h"
#include "convolution_outputs.h"
#include "division.h"
#include "square_transform.h"
#include "transformed_weight.h"
#include "winograd_tiles.h"
#include "winograd_transforms.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

namespace torchmill {
namespace {

// The target size of a block of transformed inputs, in bytes. A block has at least ROWS tiles.
constexpr int64_t BLOCK_BYTES = 1 << 18;

// The transformed weight, [positions, panels, depth, PANEL]. The depth is in_channels / PACKED<T>, rounded up because 16 input
// channels are packed at a time.
template <typename T>
class TransformedWeight {
public:
    TransformedWeight(const DenseConvolution& shape, const WeightView<T>& weight)
        : depth(divide_up(shape.in_channels, LANES) * LANES / PACKED<T>), panels(divide_up(shape.out_channels, PANEL)),
          elements(POSITIONS * panels * depth * PANEL) {
        for_kernels(shape, [&](ChannelRange out, ChannelRange in) {
            pack_kernels<winograd_kernel, SIZE, SIDE>(weight, out, in, [&](int64_t position) {
                return at(position, out.first / PANEL) + in.first / PACKED<T> * PANEL + out.first % PANEL;
            });
        });
    }

    Operand* at(int64_t position, int64_t panel) const {
        return elements.data() + (position * panels + panel) * depth * PANEL;
    }

private:
    int64_t depth, panels;
    Buffer<Operand> elements;
};

// Computes the outputs of blocks of tiles, on one thread. In and Out are where the input comes from and where the output
// goes.
template <typename T, typename In, typename Out>
class OutputBlock {
public:
    OutputBlock(
        const DenseConvolution& shape, const Tiles& tiles, const TransformedWeight<T>& weight, const In& in,
        const Out& out, const T* bias, int64_t size)
        : shape(shape), tiles(tiles), weight(weight), in(in), out(out), bias(bias), size(size),
          inputs(POSITIONS, size, shape.in_channels / PACKED<T>), sums(POSITIONS * size * PANEL), squares(size) {}

    // For tiles `first` to `end`.
    FOR_AVX512 void compute(int64_t first, int64_t end) {
        const int64_t count = end - first, rows = divide_up(count, ROWS) * ROWS;
        const ChannelRange all{0, shape.in_channels};
        typename In::Pixel pixels[SIDE * SIDE];
        for (int64_t i = 0; i < count; ++i) {
            const auto place = tiles.place(first + i);
            tiles.find_inputs(place, in, pixels);
            squares[i] = out.find_square(place.image, place.row, place.column);
            transform<winograd_input, SIDE, Pairs::Channels, T>(pixels, all, inputs, i);
        }
        std::fill_n(pixels, SIDE * SIDE, in.zero());
        for (int64_t i = count; i < rows; ++i) {
            transform<winograd_input, SIDE, Pairs::Channels, T>(pixels, all, inputs, i);
        }
        for (int64_t channel = 0; channel < shape.out_channels; channel += PANEL) {
            for (int64_t position = 0; position < POSITIONS; ++position) {
                if (!tiles.needs(first, end, position)) continue;
                for (int64_t i = 0; i < rows; i += ROWS) {
                    multiply<T>(
                        {inputs.at(position, i, 0), inputs.pitch, 1}, weight.at(position, channel / PANEL), PANEL,
                        shape.in_channels / PACKED<T>, sums_at(position, i), PANEL, false);
                }
            }
            for (int64_t i = 0; i < count; ++i) write(i, channel);
        }
    }

private:
    float* sums_at(int64_t position, int64_t tile) const { return sums.data() + (position * size + tile) * PANEL; }

    // Transforms a tile's sums to a panel of channels, from `first` on, of its 2x2 pixels.
    FOR_AVX512 void write(int64_t tile, int64_t first) {
        const int64_t count = std::min(PANEL, shape.out_channels - first);
        for (int64_t c = 0; c < count; c += LANES) {
            __m512 m[POSITIONS], y[4];
#pragma GCC unroll 16
            for (int i = 0; i < POSITIONS; ++i) m[i] = _mm512_load_ps(sums_at(i, tile) + c);
            transform_square<winograd_output, SIDE, 2>(m, y);
            const __m512 added = bias == nullptr ? _mm512_setzero_ps() : load_first(bias + first + c, count - c);
            for (int i = 0; i < 4; ++i) y[i] = _mm512_add_ps(y[i], added);
            out.write(squares[tile], first + c, y);
        }
    }

    const DenseConvolution& shape;
    const Tiles& tiles;
    const TransformedWeight<T>& weight;
    const In& in;
    const Out& out;
    const T* const bias;
    const int64_t size;  // tiles
    Transformed inputs;
    Buffer<float> sums;
    std::vector<typename Out::Square> squares;
};

template <typename T, typename In, typename Out>
void convolve(
    const DenseConvolution& shape, const In& in, const WeightView<T>& weight, const T* bias, const Out& out) {
    const TransformedWeight<T> transformed(shape, weight);
    const Tiles tiles(shape);
    const int64_t tile_bytes = POSITIONS * shape.in_channels * int64_t(sizeof(T));
    const int64_t largest = std::max<int64_t>(1, BLOCK_BYTES / (ROWS * tile_bytes)) * ROWS;
    // Each thread computes this many blocks. They have the same size, so that threads finish together.
    const int64_t threads = at::get_num_threads();
    const int64_t rounds = divide_up(tiles.count(), largest * threads);
    const int64_t size = divide_up(divide_up(tiles.count(), rounds * threads), ROWS) * ROWS;
    // The last blocks take less time if they skip positions. So each worker takes every `workers`-th block.
    const int64_t blocks = divide_up(tiles.count(), size), workers = std::min(threads, blocks);
    at::parallel_for(0, workers, 1, [&](int64_t worker, int64_t end) {
        for (; worker < end; ++worker) {
            OutputBlock<T, In, Out> block(shape, tiles, transformed, in, out, bias, size);
            for (int64_t index = worker; index < blocks; index += workers) {
                block.compute(index * size, std::min((index + 1) * size, tiles.count()));
            }
        }
    });
}

}  // namespace

template <typename T>
void winograd_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y) {
    const PlainInput<T> in(shape.height, shape.width, shape.in_channels, x);
    convolve(shape, in, weight, bias, PlainOutput<T>(shape, y));
}

template <typename T>
void winograd_conv_pool(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y, uint8_t* winners) {
    const PlainInput<T> in(shape.height, shape.width, shape.in_channels, x);
    convolve(shape, in, weight, bias, PooledOutput<T>(shape, y, winners));
}

template <typename T>
void winograd_unpooled_convolution(
    const DenseConvolution& shape, const PooledGradient<T>& x, const WeightView<T>& weight, T* y) {
    const UnpooledInput<T> in(shape.height, shape.width, shape.in_channels, x);
    const T* const no_bias = nullptr;
    convolve(shape, in, weight, no_bias, PlainOutput<T>(shape, y));
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
void winograd_convolution(const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*) {}

template <typename T>
void winograd_conv_pool(const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*, uint8_t*) {}

template <typename T>
void winograd_unpooled_convolution(const DenseConvolution&, const PooledGradient<T>&, const WeightView<T>&, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

#define FOR_TYPE(T)                                                                        \
    template void winograd_convolution<T>(                                                 \
        const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*);            \
    template void winograd_conv_pool<T>(                                                   \
        const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*, uint8_t*);  \
    template void winograd_unpooled_convolution<T>(                                        \
        const DenseConvolution&, const PooledGradient<T>&, const WeightView<T>&, T*);
FOR_TYPE(float)
FOR_TYPE(uint16_t)
#undef FOR_TYPE

}  // namespace torchmill
