#include "runtime/emulator/Flow.h"

#include <algorithm>

namespace kerf::emulator {
namespace {

std::vector<Block> blocksOf(std::vector<Instruction> &code, const std::vector<uint32_t> &targets) {
  for (uint32_t target : targets)
    code[target].flags |= Instruction::Leader;
  std::vector<Block> blocks;
  std::vector<unsigned> blockOf(code.size());
  uint32_t begin = 0;
  for (uint32_t i = 0; i < code.size(); ++i) {
    if (i + 1 < code.size() && code[i + 1].flags & Instruction::Leader)
      code[i].flags |= Instruction::EndsBlock;
    blockOf[i] = static_cast<unsigned>(blocks.size());
    if (code[i].flags & Instruction::EndsBlock) {
      blocks.push_back({begin, i + 1, {}, {}});
      begin = i + 1;
    }
  }
  auto link = [&](unsigned a, unsigned b) {
    blocks[a].to.push_back(b);
    blocks[b].from.push_back(a);
  };
  for (unsigned b = 0; b < blocks.size(); ++b) {
    const Instruction &last = code[blocks[b].end - 1];
    if (last.flags & Instruction::Jumps)
      link(b, blockOf[last.target]);
    bool goesOn = !(last.flags & (Instruction::Jumps | Instruction::Leaves)) || last.guard >= 0;
    if (goesOn && b + 1 < blocks.size())
      link(b, b + 1);
  }
  return blocks;
}

} // namespace

std::vector<Block> findJoins(std::vector<Instruction> &code, const std::vector<uint32_t> &targets) {
  std::vector<Block> blocks = blocksOf(code, targets);
  // Backwards from one exit behind all blocks that leave.
  const unsigned exit = static_cast<unsigned>(blocks.size()), none = ~0u;
  blocks.push_back({});
  for (unsigned b = 0; b < exit; ++b)
    if (code[blocks[b].end - 1].flags & Instruction::Leaves) {
      blocks[b].to.push_back(exit);
      blocks[exit].from.push_back(b);
    }
  // Post order of a walk from the exit.
  std::vector<unsigned> number(blocks.size(), none), order;
  std::vector<std::pair<unsigned, size_t>> walk = {{exit, 0}};
  std::vector<bool> seen(blocks.size());
  seen[exit] = true;
  while (!walk.empty()) {
    auto &[b, next] = walk.back();
    if (next < blocks[b].from.size()) {
      unsigned before = blocks[b].from[next++];
      if (!seen[before]) {
        seen[before] = true;
        walk.push_back({before, 0});
      }
    } else {
      number[b] = static_cast<unsigned>(order.size());
      order.push_back(b);
      walk.pop_back();
    }
  }
  std::vector<unsigned> after(blocks.size(), none);
  after[exit] = exit;
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t n = order.size(); n-- > 0;) {
      unsigned b = order[n], join = none;
      if (b == exit)
        continue;
      for (unsigned to : blocks[b].to) {
        if (after[to] == none)
          continue;
        unsigned other = to;
        if (join == none) {
          join = to;
          continue;
        }
        while (join != other)
          if (number[join] < number[other])
            join = after[join];
          else
            other = after[other];
      }
      if (after[b] != join) {
        after[b] = join;
        changed = true;
      }
    }
  }
  for (unsigned b = 0; b < exit; ++b) {
    Instruction &last = code[blocks[b].end - 1];
    if (last.flags & Instruction::Jumps)
      last.join = after[b] == none || after[b] == exit ? kAll : blocks[after[b]].begin;
  }
  blocks.pop_back();
  for (Block &block : blocks)
    std::erase(block.to, exit);
  return blocks;
}

} // namespace kerf::emulator
