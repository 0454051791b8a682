// The weight's gradient of a convolution, by Winograd's algorithm (winograd_tiles.h).
//
// Each task transforms some tiles of the input and of the output's gradient, and adds their products to its sums. A pair of
// bfloat16 elements holds the same element of two tiles.
#include "avx512.h"
#include "convolution_inputs.h"
#include "division.h"
#include "square_transform.h"
#include "transformed_weight.h"
#include "winograd.h"
#include "winograd_tiles.h"
#include "winograd_transforms.h"

#ifdef AVX512_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>

namespace torchmill {
namespace {

// A task adds up the gradient for at most this many input channels and as many output channels.
constexpr int64_t TASK_CHANNELS = 128;
// The number of tiles that a task transforms before it multiplies them.
constexpr int64_t TASK_TILES = 64;
// The gradient is divided into at least this many tasks, if there are enough tiles. The number does not depend on the number
// of threads, so the sums do not either.
constexpr int64_t TASKS = 32;

// Adds up the gradient for some of the input's and of the output's channels, on one thread. Gradients is where the output's
// gradient comes from.
template <typename T, typename Gradients>
class GradientTask {
    using Inputs = PlainInput<T>;

public:
    GradientTask(const DenseConvolution& shape, const Tiles& tiles, const Inputs& x, const Gradients& gradient)
        : shape(shape), tiles(tiles), x(x), gradient(gradient),
          sums_rows(divide_up(std::min(shape.in_channels, TASK_CHANNELS), LANES) * LANES),
          sums_pitch(divide_up(std::min(shape.out_channels, TASK_CHANNELS), PANEL) * PANEL),
          inputs(POSITIONS, TASK_TILES / PACKED<T>, sums_rows), gradients(POSITIONS, TASK_TILES / PACKED<T>, sums_pitch),
          sums(POSITIONS * sums_rows * sums_pitch) {}

    // Begins a gradient with zeros.
    void begin() { std::fill_n(sums.data(), POSITIONS * sums_rows * sums_pitch, 0.0f); }

    // Adds the gradient of the tiles `first` to `end`, of which there are TASK_TILES at most.
    FOR_AVX512 void add(int64_t first, int64_t end, ChannelRange in, ChannelRange out) {
        const int64_t depth = divide_up(end - first, PACKED<T>);
        for (int64_t i = 0; i < depth; ++i) transform_tiles(first + i * PACKED<T>, end, i, in, out);
        for (int64_t position = 0; position < POSITIONS; ++position) {
            if (!tiles.needs(first, end, position)) continue;
            for (int64_t o = 0; o < out.count; o += PANEL) {
                for (int64_t c = 0; c < in.count; c += ROWS) {
                    multiply<T>(
                        {inputs.at(position, 0, c), 1, inputs.pitch}, gradients.at(position, 0, o), gradients.pitch,
                        depth, sums_at(position, c, o), sums_pitch, true);
                }
            }
        }
    }

    // Writes the gradients of the kernels to [out_channels, 3, 3, in_channels].
    void write(ChannelRange in, ChannelRange out, float* to) const {
        const TapGradients taps{sums.data(), sums_rows * sums_pitch, sums_pitch};
        write_kernel_gradients<winograd_kernel_gradient, SIDE, SIZE>(taps, in, out, to, shape.in_channels);
    }

private:
    float* sums_at(int64_t position, int64_t in, int64_t out) const {
        return sums.data() + (position * sums_rows + in) * sums_pitch + out;
    }

    // Transforms the inputs and the gradients of the tiles that are packed into one row. Tiles from `end` on count as zeros.
    FOR_AVX512 void transform_tiles(int64_t tile, int64_t end, int64_t row, ChannelRange in, ChannelRange out) {
        typename Inputs::Pixel input_pixels[PACKED<T>][SIDE * SIDE];
        typename Gradients::Pixel gradient_pixels[PACKED<T>][4];
        for (int64_t i = 0; i < PACKED<T>; ++i) {
            if (tile + i < end) {
                const auto place = tiles.place(tile + i);
                tiles.find_inputs(place, x, input_pixels[i]);
                gradient.find_square(place.image, 2 * place.row, 2 * place.column, 2, gradient_pixels[i]);
            } else {
                std::fill_n(input_pixels[i], SIDE * SIDE, x.zero());
                std::fill_n(gradient_pixels[i], 4, gradient.zero());
            }
        }
        transform<winograd_input, SIDE, Pairs::Pixels, T>(&input_pixels[0][0], in, inputs, row);
        transform<winograd_output_gradient, 2, Pairs::Pixels, T>(&gradient_pixels[0][0], out, gradients, row);
    }

    const DenseConvolution& shape;
    const Tiles& tiles;
    const Inputs& x;
    const Gradients& gradient;
    // The sums are [positions, sums_rows, sums_pitch], with a row for each input channel.
    const int64_t sums_rows, sums_pitch;
    Transformed inputs, gradients;
    Buffer<float> sums;
};

template <typename T, typename Gradients>
void add_up(const DenseConvolution& shape, const T* x, const Gradients& gradient, T* to) {
    const PlainInput<T> inputs(shape.height, shape.width, shape.in_channels, x);
    const Tiles tiles(shape);
    const int64_t in_chunks = divide_up(shape.in_channels, TASK_CHANNELS);
    const int64_t out_chunks = divide_up(shape.out_channels, TASK_CHANNELS);
    const int64_t chunks = in_chunks * out_chunks;
    const int64_t blocks = divide_up(tiles.count(), TASK_TILES);
    const int64_t parts = std::min(blocks, divide_up(TASKS, chunks));
    const int64_t size = shape.out_channels * SIZE * SIZE * shape.in_channels;
    const Buffer<float> sums(parts * size);
    at::parallel_for(0, parts * chunks, 1, [&](int64_t index, int64_t end) {
        GradientTask<T, Gradients> task(shape, tiles, inputs, gradient);
        for (; index < end; ++index) {
            const int64_t part = index / chunks, chunk = index % chunks;
            const auto in = chunk_channels(chunk / out_chunks, TASK_CHANNELS, shape.in_channels);
            const auto out = chunk_channels(chunk % out_chunks, TASK_CHANNELS, shape.out_channels);
            task.begin();
            // The last blocks take less time if they skip positions. So each part has every `parts`-th block.
            for (int64_t block = part; block < blocks; block += parts) {
                task.add(block * TASK_TILES, std::min((block + 1) * TASK_TILES, tiles.count()), in, out);
            }
            task.write(in, out, sums.data() + part * size);
        }
    });
    add_parts(sums.data(), parts, size, to);
}

}  // namespace

template <typename T>
void winograd_weight_gradient(const DenseConvolution& shape, const T* x, const T* gradient, T* to) {
    const PlainInput<T> gradients(shape.out_height, shape.out_width, shape.out_channels, gradient);
    add_up(shape, x, gradients, to);
}

template <typename T>
void winograd_pooled_weight_gradient(
    const DenseConvolution& shape, const T* x, const PooledGradient<T>& gradient, T* to) {
    const UnpooledInput<T> gradients(shape.out_height, shape.out_width, shape.out_channels, gradient);
    add_up(shape, x, gradients, to);
}

}  // namespace torchmill
#else
namespace torchmill {

template <typename T>
void winograd_weight_gradient(const DenseConvolution&, const T*, const T*, T*) {}

template <typename T>
void winograd_pooled_weight_gradient(const DenseConvolution&, const T*, const PooledGradient<T>&, T*) {}

}  // namespace torchmill
#endif

namespace torchmill {

#define FOR_TYPE(T)                                                                               \
    template void winograd_weight_gradient<T>(const DenseConvolution&, const T*, const T*, T*);   \
    template void winograd_pooled_weight_gradient<T>(                                             \
        const DenseConvolution&, const T*, const PooledGradient<T>&, T*);
FOR_TYPE(float)
FOR_TYPE(uint16_t)
#undef FOR_TYPE

}  // namespace torchmill
