// Winograd's algorithm (A. Lavin, S. Gray, "Fast Algorithms for Convolutional Neural Networks", 2015) for tiles of 2x2
// outputs.
//
// With a kernel of 3x3, a tile needs 4x4 inputs. Both the inputs and the kernel are transformed to 4x4 elements, which are
// multiplied element by element and added up over the input channels. The sums are transformed to the 2x2 outputs. A tile
// takes 16 multiplications for each pair of an input and an output channel, instead of 36. At each of the 16 positions, the
// sums over the input channels are a product of matrices. The weight's gradient is computed likewise: it is the sum over all
// tiles of products of the transformed inputs and the transformed gradients. winograd_transforms.h has the transforms.
//
// The numbers of channels are multiples of 8. The last panel may have lanes without a channel. Their sums are not used.
#pragma once
#include <array>

#include "avx512.h"
#include "dense_convolution.h"
#include "division.h"
#include "square_transform.h"
#include "transformed_weight.h"
#include "winograd_transforms.h"

#ifdef AVX512_IS_SUPPORTED

namespace torchmill {

// The sides of a kernel and of a tile's input. Both are transformed to SIDE x SIDE elements.
constexpr int SIZE = 3, SIDE = 4;
constexpr int POSITIONS = SIDE * SIDE;

// The part of a product that is kept in registers: ROWS x PANEL.
constexpr int64_t ROWS = 8;

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

// The tiles of all images. If a side of the output is odd, the last tiles have one row or one column of outputs. They do not
// need the last row or column of positions. Tiles that need the same positions follow each other, so that whole blocks skip
// the others.
class Tiles {
public:
    explicit Tiles(const DenseConvolution& shape) : shape(shape) {
        const int64_t rows = shape.out_height / 2, odd_rows = shape.out_height % 2;
        const int64_t columns = shape.out_width / 2, odd_columns = shape.out_width % 2;
        groups[0] = {0, 0, 0, rows, columns, SIDE, SIDE};
        groups[1] = {0, 0, columns, rows, odd_columns, SIDE, SIDE - 1};
        groups[2] = {0, rows, 0, odd_rows, columns, SIDE - 1, SIDE};
        groups[3] = {0, rows, columns, odd_rows, odd_columns, SIDE - 1, SIDE - 1};
        for (Group& group : groups) {
            group.first = total;
            total += size(group);
        }
    }

    int64_t count() const { return total; }

    // A tile's image, and its row and column of tiles.
    struct Place {
        int64_t image, row, column;
    };
    Place place(int64_t tile) const {
        int64_t index = GROUPS - 1;
        while (tile < groups[index].first) --index;
        const Group& group = groups[index];
        const int64_t in_group = tile - group.first;
        const int64_t in_image = in_group % (group.rows * group.columns);
        return {
            in_group / (group.rows * group.columns), group.row + in_image / group.columns,
            group.column + in_image % group.columns};
    }

    // Whether any of the tiles `first` to `end` needs a position.
    bool needs(int64_t first, int64_t end, int64_t position) const {
        for (const Group& group : groups) {
            const bool overlaps = group.first < end && first < group.first + size(group);
            if (overlaps && position / SIDE < group.row_positions && position % SIDE < group.column_positions) return true;
        }
        return false;
    }

    // Finds the square of input pixels that a tile needs.
    template <typename In>
    void find_inputs(const Place& tile, const In& in, typename In::Pixel* pixels) const {
        in.find_square(
            tile.image, 2 * tile.row - shape.padding_height, 2 * tile.column - shape.padding_width, SIDE, pixels);
    }

private:
    // A rectangle of tiles in each image, which need the same positions.
    struct Group {
        int64_t first, row, column, rows, columns;
        int64_t row_positions, column_positions;
    };
    static constexpr int GROUPS = 4;

    int64_t size(const Group& group) const { return shape.images * group.rows * group.columns; }

    const DenseConvolution& shape;
    std::array<Group, GROUPS> groups;
    int64_t total = 0;
};

// A view of the left matrix of a product: element (row, depth) is at data + row * row_stride + depth * depth_stride.
struct Left {
    const Operand* data;
    int64_t row_stride, depth_stride;
};

// Multiplies 8 rows with one panel of 32 columns, `right` [depth, 32]. Adds to `sums` if `adds`, and overwrites
// them if not. Short sums lose fewer digits, so these are added up first.
template <typename T>
FOR_AVX512 inline void multiply(
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

// Transforms some channels to a row of each matrix. `pixels` are the pixels of one tile, or of the PACKED<T> tiles that are
// packed together.
template <auto TRANSFORM, int FROM, Pairs PAIRS, typename T, typename Pixel>
FOR_AVX512 inline void transform(const Pixel* pixels, ChannelRange channels, const Transformed& to, int64_t row) {
    constexpr int64_t CHANNELS_PACKED = PAIRS == Pairs::Channels ? PACKED<T> : 1;
    constexpr int64_t STEP = CHANNELS_PACKED * LANES;
    int64_t c = 0;
    for (; c + STEP <= channels.count; c += STEP) {
        store_transformed<TRANSFORM, FROM, SIDE, PAIRS, T>(
            pixels, channels.first + c, to.at(0, row, c / CHANNELS_PACKED), to.plane);
    }
    if (c < channels.count) {
        constexpr int COUNT = (PAIRS == Pairs::Pixels ? PACKED<T> : 1) * FROM * FROM;
        EndingPixel<Pixel> ending[COUNT];
        for (int i = 0; i < COUNT; ++i) ending[i] = {pixels[i], channels.first + channels.count};
        store_transformed<TRANSFORM, FROM, SIDE, PAIRS, T>(
            ending, channels.first + c, to.at(0, row, c / CHANNELS_PACKED), to.plane);
    }
}

}  // namespace torchmill
#endif
