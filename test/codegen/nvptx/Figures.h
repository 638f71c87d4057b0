//===- Figures.h - what ptxas makes of the GPU kernels ----------*- C++ -*-===//
#ifndef KERF_TEST_CODEGEN_NVPTX_FIGURES_H
#define KERF_TEST_CODEGEN_NVPTX_FIGURES_H

#include <string>
#include <vector>

namespace kerf::test {

/// Names of what the kernels are assembled for: the GPUs that have cubins, then sm_90 from the PTX for newer ones.
std::vector<std::string> assembledArchitectures();

/// What assembling the shipped kernels for one of them gave.
struct Figures {
  /// A line for each function, in the columns of figuresHead().
  std::string table;
  /// What must not be, one to a line: spills, stack, warnings, bytes that are loaded or stored alone.
  std::string faults;
};

/// Assembles all shipped kernels. Ends the program where that fails.
Figures figuresOf(const std::string &ptxas, const std::string &architecture);

/// What the columns are.
std::string figuresHead();

/// Version of the assembler, as in "13.0.88"; empty where it does not tell.
std::string versionOf(const std::string &ptxas);

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_NVPTX_FIGURES_H
