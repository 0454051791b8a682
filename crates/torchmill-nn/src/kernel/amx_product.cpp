// Products of float32 matrices, with AMX.
//
// Each float32 number is split into three bfloat16 numbers (amx_tiles.h). AMX takes numbers below 2^-126 as zeros, so numbers
// below 2^-110 lose digits, and infinite numbers give NaN.
//
// A convolution is a sum of such products, one for each element of its kernel: if the images have a border of zeros and
// lie one after another in one long row of pixels, each product's left side is the same matrix of pixels, from another row
// on. Rows that belong to the border are computed, too, and left out.
#include "amx_product.h"

#include "amx_pixels.h"
#include "amx_tiles.h"

#ifdef AMX_IS_SUPPORTED
#include <ATen/Parallel.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace torchmill {
namespace {

constexpr int64_t PARTS = 3;
constexpr int64_t DEPTH = 32;  // the elements of a tile's row
// A panel is 32 rows of the left side, or 32 columns of the right side: two tiles.
constexpr int64_t PANEL = 32;
constexpr int64_t STEP_BFLOATS = PARTS * 2 * TILE_BFLOATS;
constexpr int64_t SUMS = 4 * TILE_FLOATS;
// What a thread works on at a time, so that both sides stay in the second cache: a chunk of the steps, for rows of the left
// side of this size, in bytes.
constexpr int64_t PRODUCT_CHUNK = 24;
constexpr int64_t CONVOLUTION_CHUNK = 48;
constexpr int64_t LEFT_BYTES = 1 << 20;

// Elements in whole cache lines, not set.
class Lines {
public:
    explicit Lines(int64_t count = 0) : lines(new Line[divide_up(count, DEPTH)]) {}
    uint16_t* data() const { return lines[0].elements; }

private:
    struct alignas(64) Line {
        uint16_t elements[DEPTH];
    };
    std::unique_ptr<Line[]> lines;
};

// One side of the sums: a depth of elements for each of several taps.
struct Depth {
    int64_t taps, depth;

    int64_t steps_of_tap() const { return divide_up(depth, DEPTH); }
    int64_t steps() const { return taps * steps_of_tap(); }
};

// The right side as tiles of B, [panels, steps, parts, 2 tiles].
class Right {
public:
    // The element at `tap`, `k` and `column` is at data + tap_offset(tap) + k * depth_stride + column * column_stride. One
    // of the strides is 1. Memory is read along it, because jumps are slow.
    template <typename TapOffset>
    FOR_AMX void arrange(
        const float* data, const Depth& d, int64_t columns, int64_t depth_stride, int64_t column_stride,
        const TapOffset& tap_offset) {
        steps = d.steps();
        tiles = Lines(divide_up(columns, PANEL) * steps * STEP_BFLOATS);
        const auto arrange_tile = [&](int64_t step, int64_t tile) FOR_AMX {
            const int64_t k = step % d.steps_of_tap() * DEPTH, column = tile * 16;
            const float* from = data + tap_offset(step / d.steps_of_tap()) + k * depth_stride + column * column_stride;
            const int64_t depth = std::min(d.depth - k, DEPTH);
            uint16_t* const to = at(tile / 2, step) + tile % 2 * TILE_BFLOATS;
            if (column_stride == 1) {
                rows(from, depth_stride, depth, columns - column, to);
            } else {
                transposed(from, column_stride, depth, columns - column, to);
            }
        };
        const int64_t count = divide_up(columns, 16);
        if (column_stride == 1) {
            at::parallel_for(0, steps, 1, [&](int64_t step, int64_t end) {
                for (; step < end; ++step) {
                    for (int64_t tile = 0; tile < count; ++tile) arrange_tile(step, tile);
                }
            });
        } else {
            at::parallel_for(0, count, 1, [&](int64_t tile, int64_t end) {
                for (; tile < end; ++tile) {
                    for (int64_t step = 0; step < steps; ++step) arrange_tile(step, tile);
                }
            });
        }
    }

    uint16_t* at(int64_t panel, int64_t step) {
        return tiles.data() + (panel * steps + step) * STEP_BFLOATS;
    }

private:
    // From rows of columns.
    FOR_AMX static void rows(const float* from, int64_t stride, int64_t depth, int64_t columns, uint16_t* to) {
        const __mmask16 mask = first16(columns);
        for (int64_t pair = 0; pair < 16; ++pair) {
            const __mmask16 even = 2 * pair < depth ? mask : 0, odd = 2 * pair + 1 < depth ? mask : 0;
            __m512 low = _mm512_maskz_loadu_ps(even, from + 2 * pair * stride);
            __m512 high = _mm512_maskz_loadu_ps(odd, from + (2 * pair + 1) * stride);
            for (int64_t part = 0; part < PARTS; ++part) {
                const __m512i first = take_part(low), second = _mm512_slli_epi32(take_part(high), 16);
                _mm512_store_si512(to + part * 2 * TILE_BFLOATS + pair * 32, _mm512_or_si512(first, second));
            }
        }
    }

    // From columns of successive elements.
    FOR_AMX static void transposed(const float* from, int64_t stride, int64_t depth, int64_t columns, uint16_t* to) {
        __m512i lines[PARTS][16];
        for (int64_t column = 0; column < 16; ++column) {
            const bool exists = column < columns;
            __m512 low = _mm512_maskz_loadu_ps(exists ? first16(depth) : 0, from + column * stride);
            __m512 high = _mm512_maskz_loadu_ps(exists ? first16(depth - 16) : 0, from + column * stride + 16);
            for (int64_t part = 0; part < PARTS; ++part) {
                const __m512i half = _mm512_castsi256_si512(_mm512_cvtepi32_epi16(take_part(low)));
                lines[part][column] = _mm512_inserti64x4(half, _mm512_cvtepi32_epi16(take_part(high)), 1);
            }
        }
        for (int64_t part = 0; part < PARTS; ++part) {
            transpose(lines[part]);
            for (int64_t i = 0; i < 16; ++i) {
                _mm512_store_si512(to + part * 2 * TILE_BFLOATS + i * 32, lines[part][i]);
            }
        }
    }

    Lines tiles;
    int64_t steps = 0;
};

// Rows of the left side, split into parts.
class Left {
public:
    // Tiles of A, [panels, steps, parts, 2 tiles]: memory is read in order.
    static Left tiles(int64_t rows, int64_t depth) {
        const int64_t panel = divide_up(depth, DEPTH) * STEP_BFLOATS;
        return Left(divide_up(rows, PANEL) * panel, PANEL, panel, DEPTH, STEP_BFLOATS, 2 * TILE_BFLOATS);
    }

    // [parts, rows, pitch]: a tile may begin at any row. The pitch is an odd number of cache lines, so that the rows of a
    // tile lie in different sets of the first cache.
    static Left planes(int64_t rows, int64_t depth) {
        const int64_t pitch = pitch_of(depth);
        return Left(PARTS * rows * pitch, rows, 0, pitch, DEPTH, rows * pitch);
    }
    static int64_t pitch_of(int64_t depth) { return (divide_up(depth, DEPTH) | 1) * DEPTH; }

    // From rows of successive elements; zeros for a null pointer.
    FOR_AMX void take_row(int64_t row, const float* from, int64_t depth) {
        for (int64_t k = 0; k < divide_up(depth, DEPTH) * DEPTH; k += 16) {
            const __mmask16 mask = from == nullptr ? 0 : first16(depth - k);
            store(row, k, _mm512_maskz_loadu_ps(mask, from + k));
        }
    }

    // `rows` rows from columns of successive elements, of which `count` exist.
    FOR_AMX void take_columns(int64_t rows, const float* from, int64_t stride, int64_t depth, int64_t count) {
        for (int64_t k = 0; k < divide_up(depth, DEPTH) * DEPTH; k += 16) {
            for (int64_t row = 0; row < rows; row += 16) {
                const __mmask16 mask = first16(count - row);
                __m512i block[16];
                for (int64_t i = 0; i < 16; ++i) {
                    const __mmask16 exists = k + i < depth ? mask : 0;
                    block[i] = _mm512_castps_si512(_mm512_maskz_loadu_ps(exists, from + (k + i) * stride + row));
                }
                transpose(block);
                for (int64_t i = 0; i < 16; ++i) store(row + i, k, _mm512_castsi512_ps(block[i]));
            }
        }
    }

    const uint16_t* at(int64_t row, int64_t k) const { return lines.data() + position(row, k); }

    // The distances, in elements, between rows, between 32 elements of a row, and between parts.
    const int64_t pitch, step, plane;

private:
    Left(int64_t size, int64_t group, int64_t group_size, int64_t pitch, int64_t step, int64_t plane)
        : pitch(pitch), step(step), plane(plane), group(group), group_size(group_size), lines(size) {}

    int64_t position(int64_t row, int64_t k) const {
        return row / group * group_size + row % group * pitch + k / DEPTH * step + k % DEPTH;
    }

    FOR_AMX void store(int64_t row, int64_t k, __m512 elements) {
        uint16_t* const to = lines.data() + position(row, k);
        for (int64_t part = 0; part < PARTS; ++part) {
            _mm256_store_si256(
                reinterpret_cast<__m256i*>(to + part * plane), _mm512_cvtepi32_epi16(take_part(elements)));
        }
    }

    // Rows that lie one after another.
    int64_t group, group_size;
    Lines lines;
};

// Adds the products of 32 rows and 32 columns to four tiles of sums. The rows of step i begin at left + offsets[i]. Asks for
// `lines` cache lines of the next columns, because the third cache is slow.
FOR_AMX void multiply(
    const uint16_t* left, const Left& layout, const int64_t* offsets, const uint16_t* right, int64_t steps, float* sums,
    bool is_first, const uint16_t* next, int64_t lines) {
    const int64_t stride = layout.pitch * sizeof(uint16_t), below = 16 * layout.pitch, plane = layout.plane;
    finish_writing();
    if (is_first) {
        zero_sums();
    } else {
        load_sums(sums);
    }
    const int64_t lines_of_step = divide_up(lines, steps);
// Loads a part of the rows or of the columns, and adds the products of those that are loaded.
#define LEFT(part)                              \
    _tile_loadd(4, x + (part) * plane, stride); \
    _tile_loadd(5, x + (part) * plane + below, stride);
#define RIGHT(part)                                              \
    _tile_loadd(6, right + (part) * 2 * TILE_BFLOATS, TILE_ROW); \
    _tile_loadd(7, right + ((part) * 2 + 1) * TILE_BFLOATS, TILE_ROW);
#define ADD                  \
    _tile_dpbf16ps(0, 4, 6); \
    _tile_dpbf16ps(1, 4, 7); \
    _tile_dpbf16ps(2, 5, 6); \
    _tile_dpbf16ps(3, 5, 7);
    for (int64_t step = 0; step < steps; ++step, right += STEP_BFLOATS) {
        const uint16_t* const x = left + offsets[step];
        for (int64_t i = 0; i < lines_of_step; ++i, next += DEPTH) _mm_prefetch(next, _MM_HINT_T1);
        LEFT(0) RIGHT(2) ADD
        RIGHT(1) ADD
        LEFT(1) ADD
        RIGHT(0) ADD
        LEFT(2) ADD
        LEFT(0) ADD
    }
#undef LEFT
#undef RIGHT
#undef ADD
    store_sums(sums);
}

// Writes sums to rows of the product, of which some do not exist.
FOR_AMX void write(const float* sums, float* const* rows, int64_t count, int64_t column, int64_t columns, const float* bias) {
    for (int64_t half = 0; half < 2; ++half, column += 16) {
        const __mmask16 mask = first16(columns - column);
        if (mask == 0) return;
        const __m512 added = bias == nullptr ? _mm512_setzero_ps() : _mm512_maskz_loadu_ps(mask, bias + column);
        for (int64_t row = 0; row < count; ++row) {
            if (rows[row] == nullptr) continue;
            const float* from = sums + (row / 16 * 2 + half) * TILE_FLOATS + row % 16 * 16;
            _mm512_mask_storeu_ps(rows[row] + column, mask, _mm512_add_ps(_mm512_load_ps(from), added));
        }
    }
}

// The products of some rows and some columns, on one thread.
struct Block {
    const Left& left;
    Right& right;
    const std::vector<int64_t>& offsets;  // of each step, in elements
    const std::vector<float*>& rows;      // of the product
    int64_t columns;
    const float* bias;
    int64_t chunk;  // steps

    FOR_AMX void compute(int64_t first_panel, int64_t end_panel) {
        const int64_t row_panels = divide_up(int64_t(rows.size()), PANEL);
        const int64_t steps = int64_t(offsets.size());
        Lines memory(row_panels * (steps > chunk ? end_panel - first_panel : 1) * SUMS * 2);
        float* sums = reinterpret_cast<float*>(memory.data());
        const WholeTiles tiles;
        for (int64_t step = 0; step < steps; step += chunk) {
            const int64_t count = std::min(chunk, steps - step);
            const int64_t lines = divide_up(count * STEP_BFLOATS / DEPTH, row_panels);
            for (int64_t panel = first_panel; panel < end_panel; ++panel) {
                const uint16_t* next = right.at(std::min(panel + 1, end_panel - 1), step);
                for (int64_t i = 0; i < row_panels; ++i, next += lines * DEPTH) {
                    const int64_t place = steps > chunk ? (panel - first_panel) * row_panels + i : i;
                    float* const here = sums + place * SUMS;
                    multiply(
                        left.at(i * PANEL, 0), left, offsets.data() + step, right.at(panel, step), count, here, step == 0,
                        next, lines);
                    if (step + count < steps) continue;
                    const int64_t first = i * PANEL, height = std::min<int64_t>(PANEL, rows.size() - first);
                    write(here, rows.data() + first, height, panel * PANEL, columns, bias);
                }
            }
        }
    }
};

// Calls work(first row panel, end, first column panel, end) for parts of a product of at most `panels` row panels, on
// libtorch's threads.
template <typename Work>
void for_parts(int64_t rows, int64_t columns, int64_t panels, const Work& work) {
    const int64_t row_panels = divide_up(rows, PANEL), column_panels = divide_up(columns, PANEL);
    const int64_t threads = at::get_num_threads();
    int64_t row_parts = divide_up(divide_up(row_panels, panels), threads) * threads;
    row_parts = std::min(row_parts, row_panels);
    const int64_t column_parts = std::min(column_panels, divide_up(threads, row_parts));
    at::parallel_for(0, row_parts * column_parts, 1, [&](int64_t first, int64_t end) {
        for (int64_t part = first; part < end; ++part) {
            const int64_t row = part / column_parts, column = part % column_parts;
            work(
                row_panels * row / row_parts, row_panels * (row + 1) / row_parts, column_panels * column / column_parts,
                column_panels * (column + 1) / column_parts);
        }
    });
}

}  // namespace

void amx_product(const AmxMatrix& a, const AmxMatrix& b, const float* bias, float* product) {
    const Depth depth{1, a.columns};
    Right right;
    right.arrange(b.data, depth, b.columns, b.row_stride, b.column_stride, [](int64_t) { return 0; });
    std::vector<int64_t> offsets;
    for (int64_t step = 0; step < depth.steps(); ++step) offsets.push_back(step * STEP_BFLOATS);
    const int64_t panels = LEFT_BYTES / (std::min(depth.steps(), PRODUCT_CHUNK) * STEP_BFLOATS * 2);
    for_parts(a.rows, b.columns, panels, [&](int64_t first, int64_t end, int64_t first_column, int64_t end_column) {
        Left left = Left::tiles((end - first) * PANEL, a.columns);
        std::vector<float*> rows;
        for (int64_t row = first * PANEL; row < std::min(end * PANEL, a.rows); ++row) {
            rows.push_back(product + row * b.columns);
        }
        const int64_t count = int64_t(rows.size());
        const float* const from = a.data + first * PANEL * a.row_stride;
        if (a.column_stride == 1) {
            for (int64_t i = 0; i < (end - first) * PANEL; ++i) {
                left.take_row(i, i < count ? from + i * a.row_stride : nullptr, a.columns);
            }
        } else {
            left.take_columns((end - first) * PANEL, from, a.column_stride, a.columns, count);
        }
        Block{left, right, offsets, rows, b.columns, bias, PRODUCT_CHUNK}.compute(first_column, end_column);
    });
}

void amx_convolution(
    const DenseConvolution& shape, const float* x, const WeightView<float>& weight, const float* bias, float* y) {
    const Depth depth{shape.kernel_height * shape.kernel_width, shape.in_channels};
    Right right;
    right.arrange(
        weight.data, depth, shape.out_channels, weight.in_stride, weight.out_stride, [&](int64_t tap) {
            return tap / shape.kernel_width * weight.row_stride + tap % shape.kernel_width * weight.column_stride;
        });
    const auto images = input_pixels(shape, x);
    const auto outputs = output_pixels(shape, y);
    const int64_t outer_width = images.outer_width;
    const int64_t window = (shape.kernel_height - 1) * outer_width + shape.kernel_width - 1;
    const int64_t pixels = images.count();
    const int64_t row = Left::pitch_of(shape.in_channels) * PARTS * 2;
    const int64_t panels = std::clamp<int64_t>(LEFT_BYTES / (row * PANEL), 1, 32);
    for_parts(pixels, shape.out_channels, panels, [&](int64_t first, int64_t end, int64_t first_column, int64_t end_column) {
        const int64_t first_pixel = first * PANEL, count = std::min(end * PANEL, pixels) - first_pixel;
        std::vector<const float*> found;
        images.find(first_pixel + first_offset(shape), (end - first) * PANEL + window, found);
        Left left = Left::planes(int64_t(found.size()), shape.in_channels);
        for (int64_t i = 0; i < int64_t(found.size()); ++i) left.take_row(i, found[i], shape.in_channels);
        std::vector<float*> rows;
        outputs.find(first_pixel, count, rows);
        std::vector<int64_t> offsets;
        for (int64_t tap = 0; tap < depth.taps; ++tap) {
            const int64_t pixel = tap / shape.kernel_width * outer_width + tap % shape.kernel_width;
            for (int64_t step = 0; step < depth.steps_of_tap(); ++step) {
                offsets.push_back(pixel * left.pitch + step * left.step);
            }
        }
        Block{left, right, offsets, rows, shape.out_channels, bias, CONVOLUTION_CHUNK}.compute(first_column, end_column);
    });
}

}  // namespace torchmill
#else
namespace torchmill {

void amx_product(const AmxMatrix&, const AmxMatrix&, const float*, float*) {}
void amx_convolution(const DenseConvolution&, const float*, const WeightView<float>&, const float*, float*) {}

}  // namespace torchmill
#endif
