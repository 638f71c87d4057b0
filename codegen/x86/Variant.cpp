//===- Variant.cpp - the table of CPU variants ----------------------------===//
#include "codegen/x86/Variant.h"

#include "kerf/abi.h"

using namespace kerf::x86;

// Registers bound the blocking: rows * blocks * (16 / lanes) sums, the weights of one step, one broadcast input. An L2
// of 1 MiB bounds kBlock: blocks * 16 columns * kBlock elements are a quarter of it.

// 16 registers of 8 lanes. A column of 16-bit weights is widened to f32 first, like the rows it multiplies.
static constexpr LinearSchedule fma256 = {.dot = Dot::Fma,
                                          .rows = 6,
                                          .blocks = 1,
                                          .gatedRows = 3,
                                          .gatedBlocks = 1,
                                          .thinRows = 4,
                                          .thinBlocks = 1,
                                          .panelBlocks = 4,
                                          .leastColumns = 16,
                                          .taskRows = 96,
                                          .kBlock = 1024,
                                          .kWidened = 256,
                                          .widenBf16 = true,
                                          .prefetchBytes = 1024};

// 32 registers of 16 lanes, f32 rows.
static constexpr LinearSchedule fma512 = {.dot = Dot::Fma,
                                          .rows = 6,
                                          .blocks = 4,
                                          .gatedRows = 6,
                                          .gatedBlocks = 2,
                                          .thinRows = 6,
                                          .thinBlocks = 1,
                                          .panelBlocks = 4,
                                          .leastColumns = 16,
                                          .taskRows = 96,
                                          .kBlock = 1024,
                                          .kWidened = 256,
                                          .widenBf16 = false,
                                          .prefetchBytes = 1024};

// 32 registers of 16 lanes, bf16 rows and weights, both widened to f32.
static constexpr LinearSchedule widened512 = {.dot = Dot::Fma,
                                              .rows = 6,
                                              .blocks = 4,
                                              .gatedRows = 6,
                                              .gatedBlocks = 2,
                                              .thinRows = 4,
                                              .thinBlocks = 1,
                                              .panelBlocks = 4,
                                              .leastColumns = 16,
                                              .taskRows = 96,
                                              .kBlock = 2048,
                                              .kWidened = 256,
                                              .widenBf16 = true,
                                              .prefetchBytes = 1024};

// 32 registers of 16 lanes, pairs of bf16.
static constexpr LinearSchedule pairs512 = {.dot = Dot::Bf16Pairs,
                                            .rows = 6,
                                            .blocks = 4,
                                            .gatedRows = 6,
                                            .gatedBlocks = 2,
                                            .thinRows = 4,
                                            .thinBlocks = 1,
                                            .panelBlocks = 4,
                                            .leastColumns = 16,
                                            .taskRows = 96,
                                            .kBlock = 2048,
                                            .kWidened = 256,
                                            .widenBf16 = false,
                                            .prefetchBytes = 1024};

// 8 tiles: 4 of sums, 2 of rows, 2 of weights.
static constexpr LinearSchedule tiles = {.dot = Dot::Bf16Tiles,
                                         .rows = 32,
                                         .blocks = 2,
                                         .gatedRows = 32,
                                         .gatedBlocks = 1,
                                         .thinRows = 4,
                                         .thinBlocks = 1,
                                         .panelBlocks = 4,
                                         .leastColumns = 16,
                                         .taskRows = 128,
                                         .kBlock = 65536,
                                         .kWidened = 256,
                                         .widenBf16 = false,
                                         .prefetchBytes = 1024};

static constexpr AttentionSchedule attention256 = {.queries = 6, .sums = 12, .chunk = 48};
static constexpr AttentionSchedule attention512 = {.queries = 6, .sums = 24, .chunk = 48};

static constexpr Variant table[] = {
    {.name = "avx2",
     .features = KERF_CPU_AVX2,
     .cpu = "x86-64-v3",
     .tune = "znver3",
     .attributes = "",
     .lanes = 8,
     .registers = 16,
     .masks = false,
     .bf16 = false,
     .amx = false,
     .linearF32 = fma256,
     .linearBf16 = fma256,
     .attention = attention256,
     .attentionTile = 32},
    {.name = "avx512",
     .features = KERF_CPU_AVX2 | KERF_CPU_AVX512,
     .cpu = "x86-64-v4",
     .tune = "cascadelake",
     .attributes = "",
     .lanes = 16,
     .registers = 32,
     .masks = true,
     .bf16 = false,
     .amx = false,
     .linearF32 = fma512,
     .linearBf16 = widened512,
     .attention = attention512,
     .attentionTile = 32},
    {.name = "avx512_bf16",
     .features = KERF_CPU_AVX2 | KERF_CPU_AVX512 | KERF_CPU_AVX512_BF16,
     .cpu = "x86-64-v4",
     .tune = "znver4",
     .attributes = "+avx512bf16",
     .lanes = 16,
     .registers = 32,
     .masks = true,
     .bf16 = true,
     .amx = false,
     .linearF32 = fma512,
     .linearBf16 = pairs512,
     .attention = attention512,
     .attentionTile = 32},
    {.name = "amx",
     .features = KERF_CPU_AVX2 | KERF_CPU_AVX512 | KERF_CPU_AVX512_BF16 | KERF_CPU_AMX_BF16,
     .cpu = "x86-64-v4",
     .tune = "sapphirerapids",
     .attributes = "+avx512bf16,+amx-tile,+amx-bf16",
     .lanes = 16,
     .registers = 32,
     .masks = true,
     .bf16 = true,
     .amx = true,
     .linearF32 = fma512,
     .linearBf16 = tiles,
     .attention = attention512,
     .attentionTile = 32},
};

llvm::ArrayRef<Variant> kerf::x86::variants() { return table; }

const Variant *kerf::x86::findVariant(llvm::StringRef name) {
  for (const Variant &variant : table)
    if (name == variant.name)
      return &variant;
  return nullptr;
}
