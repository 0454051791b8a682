// Winograd's algorithm (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015) for tiles of 2x2
// outputs.
//
// With a kernel of 3x3, a tile needs 4x4 inputs. Both the inputs and the kernel are transformed to 4x4 elements, which are
// multiplied element by element and added up over the input channels. The sums are transformed to the 2x2 outputs. A tile
// takes 16 multiplications for each pair of an input and an output channel, instead of 36. At each of the 16 positions, the
// sums over the input channels are a product of matrices. The weight's gradient is computed likewise: it is the sum over all
// tiles of products of the transformed inputs and the transformed gradients. winograd_transforms.h has the transforms.
//
// Each thread transforms a block of tiles, multiplies it, and transforms the products back, while the block is in the L2
// cache.
#include "winograd.h"

#include "avx512.h"
#include "division.h"
#include "square_transform.h"
#include "transformed_weight.h"
#include "winograd_transforms.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <vector>

namespace torchmill {
namespace {

// The sides of a kernel and of a tile's input. Both are transformed to SIDE x SIDE elements.
constexpr int SIZE = 3, SIDE = 4;
constexpr int POSITIONS = SIDE * SIDE;

// The part of a product that is kept in registers: ROWS x PANEL.
constexpr int64_t ROWS = 8;
// The target size of a block of transformed inputs, in bytes. A block has at least ROWS tiles.
constexpr int64_t BLOCK_BYTES = 1 << 18;
// A task adds up the weight's gradient for at most this many input channels and as many output channels.
constexpr int64_t TASK_CHANNELS = 64;
// The number of tiles that a task transforms before it multiplies them.
constexpr int64_t TASK_TILES = 64;
// The weight's gradient is divided into at least this many tasks, if there are enough tiles. The number does not depend on
// the number of threads, so the sums do not either.
constexpr int64_t TASKS = 32;

// Matrices of transformed elements, one for each position: [positions, rows, columns].
class Transformed {
public:
    // `rows` is even.
    Transformed(int64_t positions, int64_t rows, int64_t columns)
        : pitch((divide_up(columns, LANES) | 1) * LANES), plane(rows * pitch + LANES), elements(positions * plane) {}

    Operand* at(int64_t position, int64_t row, int64_t column) const {
        return elements.data() + position * plane + row * pitch + column;
    }

    // The distances between rows and between matrices. Both are odd numbers of cache lines, so that lines that are used
    // together lie in different sets of the L1 cache.
    const int64_t pitch, plane;

private:
    Buffer<Operand> elements;
};

// The tiles of all images, in order.
class Tiles {
public:
    explicit Tiles(const DenseConvolution& shape)
        : shape(shape), rows(divide_up(shape.out_height, 2)), columns(divide_up(shape.out_width, 2)) {}

    int64_t count() const { return shape.images * rows * columns; }

    // Finds the square of input pixels that a tile needs. `outside` stands for those outside the image.
    template <typename T>
    void find_inputs(int64_t tile, const T* x, const T* outside, const T** pixels) const {
        const Images<const T> images{x, shape.height, shape.width, shape.in_channels};
        const auto corner = find_corner(tile);
        images.find_square(
            corner.image, corner.row - shape.padding_height, corner.column - shape.padding_width, SIDE, outside, pixels);
    }

    // Finds the 2x2 output pixels of a tile. `outside` stands for those outside the image.
    template <typename T>
    void find_outputs(int64_t tile, T* y, T* outside, T** pixels) const {
        const Images<T> images{y, shape.out_height, shape.out_width, shape.out_channels};
        const auto corner = find_corner(tile);
        images.find_square(corner.image, corner.row, corner.column, 2, outside, pixels);
    }

private:
    struct Corner {
        int64_t image, row, column;
    };
    Corner find_corner(int64_t tile) const {
        return {tile / (rows * columns), tile / columns % rows * 2, tile % columns * 2};
    }

    const DenseConvolution& shape;
    int64_t rows, columns;
};

// A view of the left matrix of a product: element (row, depth) is at data + row * row_stride + depth * depth_stride.
struct Left {
    const Operand* data;
    int64_t row_stride, depth_stride;
};

// Multiplies 8 rows with one panel of 32 columns, `right` [depth, 32]. Adds to `sums` if `adds`, and overwrites
// them if not. Short sums lose fewer digits, so these are added up first.
template <typename T>
FOR_AVX512 void multiply(
    const Left& left, const Operand* right, int64_t right_stride, int64_t depth, float* sums, int64_t sums_stride,
    bool adds) {
    __m512 low[ROWS], high[ROWS];
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) low[i] = high[i] = _mm512_setzero_ps();
    const Operand* rows = left.data;
    for (int64_t k = 0; k < depth; ++k) {
        const __m512i first = _mm512_load_si512(right), second = _mm512_load_si512(right + LANES);
#pragma GCC unroll 8
        for (int i = 0; i < ROWS; ++i) {
            const Operand operand = rows[i * left.row_stride];
            low[i] = multiply_add<T>(operand, first, low[i]);
            high[i] = multiply_add<T>(operand, second, high[i]);
        }
        rows += left.depth_stride;
        right += right_stride;
    }
#pragma GCC unroll 8
    for (int i = 0; i < ROWS; ++i) store_panel(sums + i * sums_stride, low[i], high[i], adds);
}

// Transforms `channels` channels, from `channel` on, to a row of each matrix. `pixels` has those of one tile, or of the
// PACKED<T> tiles whose elements are packed together.
template <auto TRANSFORM, int FROM, Pairs PAIRS, typename T>
FOR_AVX512 void transform(
    const T* const* pixels, int64_t channel, int64_t channels, const Transformed& to, int64_t row) {
    constexpr int64_t CHANNELS_PACKED = PAIRS == Pairs::Channels ? PACKED<T> : 1;
    for (int64_t c = 0; c < channels; c += CHANNELS_PACKED * LANES) {
        Operand* const place = to.at(0, row, c / CHANNELS_PACKED);
        store_transformed<TRANSFORM, FROM, SIDE, PAIRS, T>(pixels, channel + c, place, to.plane);
    }
}

// The transformed weight, [positions, panels, in_channels / PACKED<T>, 32 output channels].
template <typename T>
class TransformedWeight {
public:
    TransformedWeight(const DenseConvolution& shape, const WeightView<T>& weight)
        : depth(shape.in_channels / PACKED<T>), panels(shape.out_channels / PANEL),
          elements(POSITIONS * depth * shape.out_channels) {
        for_kernels(shape, [&](int64_t out, int64_t in) {
            pack_kernels<winograd_kernel, SIZE, SIDE>(weight, out, in, [&](int64_t position) {
                return at(position, out / PANEL) + in / PACKED<T> * PANEL + out % PANEL;
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

// Computes the outputs of blocks of tiles, on one thread.
template <typename T>
class OutputBlock {
public:
    OutputBlock(const DenseConvolution& shape, const Tiles& tiles, const TransformedWeight<T>& weight, int64_t size)
        : shape(shape), tiles(tiles), weight(weight), size(size), inputs(POSITIONS, size, shape.in_channels / PACKED<T>),
          sums(POSITIONS * size * PANEL), zeros(shape.in_channels), outputs(4 * size) {}

    // For tiles `first` to `end`.
    FOR_AVX512 void compute(int64_t first, int64_t end, const T* x, const T* bias, T* y) {
        const int64_t count = end - first, rows = divide_up(count, ROWS) * ROWS;
        const T* pixels[SIDE * SIDE];
        for (int64_t i = 0; i < count; ++i) {
            tiles.find_inputs<T>(first + i, x, zeros.data(), pixels);
            tiles.find_outputs<T>(first + i, y, nullptr, outputs.data() + 4 * i);
            transform<winograd_input, SIDE, Pairs::Channels>(pixels, 0, shape.in_channels, inputs, i);
        }
        std::fill_n(pixels, SIDE * SIDE, zeros.data());
        for (int64_t i = count; i < rows; ++i) {
            transform<winograd_input, SIDE, Pairs::Channels>(pixels, 0, shape.in_channels, inputs, i);
        }
        for (int64_t channel = 0; channel < shape.out_channels; channel += PANEL) {
            for (int64_t position = 0; position < POSITIONS; ++position) {
                for (int64_t i = 0; i < rows; i += ROWS) {
                    multiply<T>(
                        {inputs.at(position, i, 0), inputs.pitch, 1}, weight.at(position, channel / PANEL), PANEL,
                        shape.in_channels / PACKED<T>, sums_at(position, i), PANEL, false);
                }
            }
            for (int64_t i = 0; i < count; ++i) write(i, channel, bias);
        }
    }

private:
    float* sums_at(int64_t position, int64_t tile) const { return sums.data() + (position * size + tile) * PANEL; }

    // Transforms a tile's sums to one panel of channels of its 2x2 pixels.
    FOR_AVX512 void write(int64_t tile, int64_t channel, const T* bias) {
        for (int64_t c = 0; c < PANEL; c += LANES) {
            __m512 m[POSITIONS], y[4];
#pragma GCC unroll 16
            for (int i = 0; i < POSITIONS; ++i) m[i] = _mm512_load_ps(sums_at(i, tile) + c);
            transform_square<winograd_output, SIDE, 2>(m, y);
            const __m512 added = bias == nullptr ? _mm512_setzero_ps() : load(bias + channel + c);
            for (int i = 0; i < 4; ++i) {
                T* const pixel = outputs[4 * tile + i];
                if (pixel != nullptr) store(pixel + channel + c, _mm512_add_ps(y[i], added));
            }
        }
    }

    const DenseConvolution& shape;
    const Tiles& tiles;
    const TransformedWeight<T>& weight;
    const int64_t size;  // tiles
    Transformed inputs;
    Buffer<float> sums;
    std::vector<T> zeros;
    std::vector<T*> outputs;
};

// Adds up the weight's gradient for some of the input's and of the output's channels, on one thread.
template <typename T>
class GradientTask {
    using InputPixels = const T* [PACKED<T>][SIDE * SIDE];
    using OutputPixels = const T* [PACKED<T>][2 * 2];

public:
    GradientTask(const DenseConvolution& shape, const Tiles& tiles)
        : shape(shape), tiles(tiles), inputs(POSITIONS, TASK_TILES / PACKED<T>, TASK_CHANNELS),
          gradients(POSITIONS, TASK_TILES / PACKED<T>, TASK_CHANNELS), sums(POSITIONS * TASK_CHANNELS * TASK_CHANNELS),
          zeros(std::max(shape.in_channels, shape.out_channels)) {}

    // For tiles `first` to `end`, of which there is one at least. Writes to [out, 3, 3, in].
    FOR_AVX512 void compute(
        int64_t first, int64_t end, ChannelRange in, ChannelRange out, const T* x, const T* gradient, float* to) {
        for (int64_t start = first; start < end; start += TASK_TILES) {
            const int64_t depth = divide_up(std::min(TASK_TILES, end - start), PACKED<T>);
            for (int64_t i = 0; i < depth; ++i) {
                transform_tiles(start + i * PACKED<T>, end, i, in, out, x, gradient);
            }
            for (int64_t position = 0; position < POSITIONS; ++position) {
                for (int64_t o = 0; o < out.count; o += PANEL) {
                    for (int64_t c = 0; c < in.count; c += ROWS) {
                        multiply<T>(
                            {inputs.at(position, 0, c), 1, inputs.pitch}, gradients.at(position, 0, o), gradients.pitch,
                            depth, sums_at(position, c, o), TASK_CHANNELS, start > first);
                    }
                }
            }
        }
        const TapGradients taps{sums.data(), TASK_CHANNELS * TASK_CHANNELS, TASK_CHANNELS};
        write_kernel_gradients<winograd_kernel_gradient, SIDE, SIZE>(taps, in, out, to, shape.in_channels);
    }

private:
    float* sums_at(int64_t position, int64_t in, int64_t out) const {
        return sums.data() + (position * TASK_CHANNELS + in) * TASK_CHANNELS + out;
    }

    // Transforms the inputs and the gradients of the tiles that are packed into one row. Tiles from `end` on count as zeros.
    FOR_AVX512 void transform_tiles(
        int64_t tile, int64_t end, int64_t row, ChannelRange in, ChannelRange out, const T* x, const T* gradient) {
        InputPixels input_pixels;
        OutputPixels output_pixels;
        for (int64_t i = 0; i < PACKED<T>; ++i) {
            if (tile + i < end) {
                tiles.find_inputs<T>(tile + i, x, zeros.data(), input_pixels[i]);
                tiles.find_outputs<const T>(tile + i, gradient, zeros.data(), output_pixels[i]);
            } else {
                std::fill(std::begin(input_pixels[i]), std::end(input_pixels[i]), zeros.data());
                std::fill(std::begin(output_pixels[i]), std::end(output_pixels[i]), zeros.data());
            }
        }
        transform<winograd_input, SIDE, Pairs::Pixels>(&input_pixels[0][0], in.first, in.count, inputs, row);
        transform<winograd_output_gradient, 2, Pairs::Pixels>(&output_pixels[0][0], out.first, out.count, gradients, row);
    }

    const DenseConvolution& shape;
    const Tiles& tiles;
    Transformed inputs, gradients;
    Buffer<float> sums;
    std::vector<T> zeros;
};

}  // namespace

template <typename T>
void winograd_convolution(
    const DenseConvolution& shape, const T* x, const WeightView<T>& weight, const T* bias, T* y) {
    const TransformedWeight<T> transformed(shape, weight);
    const Tiles tiles(shape);
    const int64_t tile_bytes = POSITIONS * shape.in_channels * int64_t(sizeof(T));
    const int64_t largest = std::max<int64_t>(1, BLOCK_BYTES / (ROWS * tile_bytes)) * ROWS;
    // Each thread computes this many blocks. They have the same size, so that threads finish together.
    const int64_t threads = at::get_num_threads();
    const int64_t rounds = divide_up(tiles.count(), largest * threads);
    const int64_t size = divide_up(divide_up(tiles.count(), rounds * threads), ROWS) * ROWS;
    at::parallel_for(0, divide_up(tiles.count(), size), 1, [&](int64_t index, int64_t end) {
        OutputBlock<T> block(shape, tiles, transformed, size);
        for (; index < end; ++index) {
            block.compute(index * size, std::min((index + 1) * size, tiles.count()), x, bias, y);
        }
    });
}

template <typename T>
void winograd_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to) {
    const Tiles tiles(shape);
    const int64_t in_chunks = divide_up(shape.in_channels, TASK_CHANNELS);
    const int64_t out_chunks = divide_up(shape.out_channels, TASK_CHANNELS);
    const int64_t chunks = in_chunks * out_chunks;
    const int64_t blocks = divide_up(tiles.count(), TASK_TILES);
    const int64_t parts = std::min(blocks, divide_up(TASKS, chunks));
    const int64_t size = shape.out_channels * SIZE * SIZE * shape.in_channels;
    const Buffer<float> sums(parts * size);
    at::parallel_for(0, parts * chunks, 1, [&](int64_t index, int64_t end) {
        GradientTask<T> task(shape, tiles);
        for (; index < end; ++index) {
            const int64_t part = index / chunks, chunk = index % chunks;
            const int64_t first = blocks * part / parts * TASK_TILES;
            const int64_t last = std::min(blocks * (part + 1) / parts * TASK_TILES, tiles.count());
            const auto in = chunk_channels(chunk / out_chunks, TASK_CHANNELS, shape.in_channels);
            const auto out = chunk_channels(chunk % out_chunks, TASK_CHANNELS, shape.out_channels);
            task.compute(first, last, in, out, x, gradient, sums.data() + part * size);
        }
    });
    add_parts(sums.data(), parts, size, to);
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
void winograd_convolution(const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*) {}

template <typename T>
void winograd_weight_gradient(const DenseConvolution&, const T*, const T*, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

#define FOR_TYPE(T)                                                                                      \
    template void winograd_convolution<T>(                                                               \
        const DenseConvolution&, const T*, const WeightView<T>&, const T*, T*);                          \
    template void winograd_weight_gradient<T>(const DenseConvolution&, const T*, const T*, T*);
FOR_TYPE(float)
FOR_TYPE(uint16_t)
#undef FOR_TYPE

}  // namespace torchmill
