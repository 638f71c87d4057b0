//===- Cubin.h - counts the instructions of a cubin -------------*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_NVPTX_CUBIN_H
#define KERF_TEST_CODEGEN_NVPTX_CUBIN_H

#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"

#include <map>
#include <string>

namespace kerf::test {

/// Instructions that stand in a function. Loads and stores of global memory by the binary logarithm of a thread's
/// bytes, from 0 to 4.
struct InstructionCounts {
  /// All but padding.
  unsigned all = 0;
  /// HMMA, LDSM, LDGSTS.
  unsigned matrixProducts = 0, matrixLoads = 0, asynchronousCopies = 0;
  /// LDG, STG.
  unsigned loads[5] = {}, stores[5] = {};
  /// LDS and STS of one byte.
  unsigned sharedBytes = 0;
};

/// Counts by function. Fails where the bytes are no cubin, or one of another encoding than that of compute capability
/// 8.0 to 9.0.
llvm::Expected<std::map<std::string, InstructionCounts>> countInstructions(llvm::StringRef cubin);

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_NVPTX_CUBIN_H
