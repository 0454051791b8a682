// What the kernels for Intel's AMX share. AMX_IS_SUPPORTED is defined if the compiler knows AMX.
//
// A tile has 16 rows of 64 bytes. To add A B to C in bfloat16, a tile of A has a row of 32 elements for each of 16 rows of
// C. A tile of B has a row for each of 16 pairs of these elements: 16 columns of C, with the two elements of each column
// next to each other (Intel, "Architecture Instruction Set Extensions Programming Reference", TDPBF16PS).
#pragma once
#include <cstdint>

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

// Transposes a matrix of 16x16 32-bit elements.
FOR_AMX inline void transpose(__m512i* r) {
    __m512i t[16];
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
    for (int i = 0; i < 4; ++i) {
        t[i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0x88);
        t[4 + i] = _mm512_shuffle_i32x4(r[i], r[4 + i], 0xdd);
        t[8 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0x88);
        t[12 + i] = _mm512_shuffle_i32x4(r[8 + i], r[12 + i], 0xdd);
    }
    for (int i = 0; i < 4; ++i) {
        r[i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0x88);
        r[8 + i] = _mm512_shuffle_i32x4(t[i], t[8 + i], 0xdd);
        r[4 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0x88);
        r[12 + i] = _mm512_shuffle_i32x4(t[4 + i], t[12 + i], 0xdd);
    }
}

}  // namespace torchmill
#else
namespace torchmill {

inline bool amx_is_usable() { return false; }

}  // namespace torchmill
#endif
