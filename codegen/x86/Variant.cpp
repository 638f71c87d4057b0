//===- Variant.cpp - the table of CPU variants ----------------------------===//
#include "codegen/x86/Variant.h"

#include "kerf/abi.h"

using namespace kerf::x86;

// Registers bound the blocking: rows * blocks * (16 / lanes) accumulators, the weights of one step, and one broadcast.
static const Variant table[] = {
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
     .linearF32 = {Dot::Fma, /*rows=*/6, /*blocks=*/1, /*panelBlocks=*/4, /*taskRows=*/96, /*prefetchBytes=*/1024},
     .linearBf16 = {Dot::Fma, /*rows=*/5, /*blocks=*/1, /*panelBlocks=*/4, /*taskRows=*/80, /*prefetchBytes=*/1024}},
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
     .linearF32 = {Dot::Fma, /*rows=*/6, /*blocks=*/4, /*panelBlocks=*/4, /*taskRows=*/96, /*prefetchBytes=*/1024},
     .linearBf16 = {Dot::Bf16Pairs, /*rows=*/6, /*blocks=*/4, /*panelBlocks=*/4, /*taskRows=*/96,
                    /*prefetchBytes=*/1024}},
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
     .linearF32 = {Dot::Fma, /*rows=*/6, /*blocks=*/4, /*panelBlocks=*/4, /*taskRows=*/96, /*prefetchBytes=*/1024},
     .linearBf16 = {Dot::Bf16Tiles, /*rows=*/32, /*blocks=*/2, /*panelBlocks=*/4, /*taskRows=*/128,
                    /*prefetchBytes=*/1024}},
};

llvm::ArrayRef<Variant> kerf::x86::variants() { return table; }

const Variant *kerf::x86::findVariant(llvm::StringRef name) {
  for (const Variant &variant : table)
    if (name == variant.name)
      return &variant;
  return nullptr;
}
