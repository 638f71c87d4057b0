// Decodes what is counted of SASS: an instruction is 128 bits, of which the lowest 9 name the operation, whatever its
// operands, and bits 73 to 75 the size of what it loads or stores. NVIDIA does not publish the encoding; test/codegen/
// nvptx/disassembly.py compares the counts with those of its disassembler.
#include "test/codegen/nvptx/Cubin.h"

#include "llvm/Object/ELFObjectFile.h"
#include "llvm/Support/Endian.h"

using namespace kerf::test;

namespace {

enum Operation : unsigned {
  NOP = 0x118,
  HMMA = 0x03c,
  LDSM = 0x03b,
  LDG = 0x181,
  STG = 0x186,
  LDS = 0x184,
  STS = 0x188,
  LDGSTS = 0x1ae,
};

constexpr size_t instructionBytes = 16;

/// log2 of the bytes of a thread. Sizes are: u8, s8, u16, s16, 32, 64, 128 bits.
unsigned sizeOf(uint64_t high) {
  const unsigned size = high >> 9 & 7;
  return size < 4 ? size / 2 : size - 2;
}

void count(uint64_t low, uint64_t high, InstructionCounts &counts) {
  const unsigned operation = low & 0x1ff;
  counts.all += operation != NOP;
  switch (operation) {
  case HMMA:
    ++counts.matrixProducts;
    break;
  case LDSM:
    ++counts.matrixLoads;
    break;
  case LDGSTS:
    ++counts.asynchronousCopies;
    break;
  case LDG:
    ++counts.loads[std::min(sizeOf(high), 4u)];
    break;
  case STG:
    ++counts.stores[std::min(sizeOf(high), 4u)];
    break;
  case LDS:
  case STS:
    counts.sharedBytes += sizeOf(high) == 0;
    break;
  }
}

} // namespace

llvm::Expected<std::map<std::string, InstructionCounts>> kerf::test::countInstructions(llvm::StringRef cubin) {
  auto file = llvm::object::ELFFile<llvm::object::ELF64LE>::create(cubin);
  if (!file)
    return file.takeError();
  if (file->getHeader().e_machine != llvm::ELF::EM_CUDA)
    return llvm::createStringError("a cubin must be for machine %u, got %u", unsigned(llvm::ELF::EM_CUDA),
                                   unsigned(file->getHeader().e_machine));
  auto sections = file->sections();
  if (!sections)
    return sections.takeError();
  std::map<std::string, InstructionCounts> functions;
  for (const auto &section : *sections) {
    auto name = file->getSectionName(section);
    if (!name)
      return name.takeError();
    if (!name->consume_front(".text."))
      continue;
    auto bytes = file->getSectionContents(section);
    if (!bytes)
      return bytes.takeError();
    if (bytes->size() % instructionBytes)
      return llvm::createStringError("code of %s must be whole instructions, got %zu bytes", name->str().c_str(),
                                     bytes->size());
    InstructionCounts &counts = functions[name->str()];
    for (size_t at = 0; at < bytes->size(); at += instructionBytes)
      count(llvm::support::endian::read64le(&(*bytes)[at]), llvm::support::endian::read64le(&(*bytes)[at + 8]), counts);
  }
  return functions;
}
