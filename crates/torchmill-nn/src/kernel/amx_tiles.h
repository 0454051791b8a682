// What the kernels for Intel's AMX share. AMX_IS_SUPPORTED is defined if the compiler knows AMX.
//
// A tile has 16 rows of 64 bytes. To add A B to C in bfloat16, a tile of A has a row of 32 elements for each of 16 rows of
// C. A tile of B has a row for each of 16 pairs of these elements: 16 columns of C, with the two elements of each column
// next to each other (Intel, "Architecture Instruction Set Extensions Programming Reference", TDPBF16PS).
#pragma once
#include <algorithm>
#include <cstdint>

#include "avx512.h"
#include "division.h"

#if defined(__x86_64__) && defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)
#define AMX_IS_SUPPORTED
#include <immintrin.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOR_AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))

namespace torchmill {

// Whether Linux lets this process use tiles. It has to ask for them.
inline bool amx_is_usable() {
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;
    static const bool usable = syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
    return usable;
}

constexpr int64_t TILE_ROW = 64;  // bytes
constexpr int64_t TILE_ROWS = 16;
constexpr int64_t TILE_FLOATS = 256;
constexpr int64_t TILE_BFLOATS = 512;

// The operand of LDTILECFG: eight tiles of full size.
struct alignas(64) TileConfig {
    uint8_t palette = 1;
    uint8_t start_row = 0;
    uint8_t reserved[14] = {};
    uint16_t row_bytes[16] = {TILE_ROW, TILE_ROW, TILE_ROW, TILE_ROW, TILE_ROW, TILE_ROW, TILE_ROW, TILE_ROW};
    uint8_t rows[16] = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS};
};

// Uses whole tiles as long as it lives. oneDNN remembers its own setting, so that has to be restored.
class WholeTiles {
public:
    WholeTiles() {
        const TileConfig whole;
        // GCC 12's intrinsics say that these instructions use 8 bytes, so that it leaves out the others.
        asm volatile("sttilecfg %0" : "=m"(before));
        asm volatile("ldtilecfg %0" : : "m"(whole));
    }
    ~WholeTiles() { asm volatile("ldtilecfg %0" : : "m"(before)); }
    WholeTiles(const WholeTiles&) = delete;
    WholeTiles& operator=(const WholeTiles&) = delete;

private:
    TileConfig before;
};

// To be called before tiles are loaded: GCC 12's intrinsics do not say that they read memory.
inline void finish_writing() { asm volatile("" : : : "memory"); }

// Tiles 0 to 3 hold the sums of 32 rows and 32 columns.
FOR_AMX inline void zero_sums() {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
}
FOR_AMX inline void load_sums(const float* sums) {
    _tile_loadd(0, sums, TILE_ROW);
    _tile_loadd(1, sums + TILE_FLOATS, TILE_ROW);
    _tile_loadd(2, sums + 2 * TILE_FLOATS, TILE_ROW);
    _tile_loadd(3, sums + 3 * TILE_FLOATS, TILE_ROW);
}
FOR_AMX inline void store_sums(float* sums) {
    _tile_stored(0, sums, TILE_ROW);
    _tile_stored(1, sums + TILE_FLOATS, TILE_ROW);
    _tile_stored(2, sums + 2 * TILE_FLOATS, TILE_ROW);
    _tile_stored(3, sums + 3 * TILE_FLOATS, TILE_ROW);
}

FOR_AMX inline __m512i high_bits(__m512 floats) { return _mm512_srli_epi32(_mm512_castps_si512(floats), 16); }

// A float32 number is the sum of three bfloat16 numbers with 8 bits each. Of the nine products of two such sums, the three
// smallest are at most 2^-24 of the product, float32's own rounding, and are left out. AMX adds products in float32. Six
// products by AMX are faster than one by AVX512 (G. Henry et al., "Leveraging the bfloat16 Artificial Intelligence
// Datatype For Higher-Precision Computations", 2019).
//
// Takes the largest part from 16 elements: the first 8 bits, as the lower half of 32. What is left is exact.
FOR_AMX inline __m512i take_part(__m512& elements) {
    const __m512i part = high_bits(elements);
    elements = _mm512_sub_ps(elements, _mm512_castsi512_ps(_mm512_slli_epi32(part, 16)));
    return part;
}

}  // namespace torchmill
#else
namespace torchmill {

inline bool amx_is_usable() { return false; }

}  // namespace torchmill
#endif
