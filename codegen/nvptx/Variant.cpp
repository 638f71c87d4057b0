//===- Variant.cpp - the table of GPUs and their schedules ----------------===//
#include "codegen/nvptx/Variant.h"

using namespace kerf::nvptx;

// Shared memory of a tile: stages * (rows + columns) * depth * 2 bytes. sm_80 lets a block have 163 KiB, sm_86 and
// sm_89 99 KiB ("CUDA C++ Programming Guide", technical specifications by compute capability).
static constexpr TileSchedule tiles80[] = {
    {.leastRows = 1, .rows = 64, .columns = 64, .depth = 64, .warpRows = 2, .warpColumns = 2, .stages = 4, .blocks = 2},
    {.leastRows = 193,
     .rows = 128,
     .columns = 128,
     .depth = 32,
     .warpRows = 2,
     .warpColumns = 2,
     .stages = 4,
     .blocks = 2},
};
static constexpr TileSchedule tiles86[] = {
    {.leastRows = 1, .rows = 64, .columns = 64, .depth = 32, .warpRows = 2, .warpColumns = 2, .stages = 4, .blocks = 3},
    {.leastRows = 193,
     .rows = 128,
     .columns = 128,
     .depth = 32,
     .warpRows = 2,
     .warpColumns = 2,
     .stages = 3,
     .blocks = 2},
};
// Two blocks of 256 threads share 65536 registers, and beside these 100 addresses have to fit in 128.
static constexpr StreamSchedule stream = {.mostRows = 32, .warps = 8, .registers = 100};

static constexpr Variant table[] = {
    {.name = "compute_80", .architecture = 80, .cubin = false, .stream = stream, .tiles = tiles80, .attentionTile = 64},
    {.name = "sm_80", .architecture = 80, .cubin = true, .stream = stream, .tiles = tiles80, .attentionTile = 64},
    {.name = "sm_86", .architecture = 86, .cubin = true, .stream = stream, .tiles = tiles86, .attentionTile = 64},
    {.name = "sm_89", .architecture = 89, .cubin = true, .stream = stream, .tiles = tiles86, .attentionTile = 64},
};

llvm::ArrayRef<Variant> kerf::nvptx::variants() { return table; }

Variant kerf::nvptx::makeInvariant(Variant variant) {
  variant.stream.mostRows = 0;
  // The smaller one: it has more blocks where rows are few.
  variant.tiles = variant.tiles.take_front();
  variant.invariant = true;
  return variant;
}

const Variant *kerf::nvptx::findVariant(llvm::StringRef name) {
  for (const Variant &variant : table)
    if (name == variant.name)
      return &variant;
  return nullptr;
}
