// Prints what the ptxas on PATH makes of the GPU kernels: the table of test/codegen/nvptx/figures/VERSION.txt.
#include "test/codegen/nvptx/Figures.h"
#include "codegen/nvptx/Lower.h"

#include <cstdio>

int main() {
  const auto ptxas = kerf::nvptx::findPtxas();
  if (!ptxas) {
    std::fputs("kerf-kernel-figures: ptxas must be on PATH\n", stderr);
    return 1;
  }
  std::fputs(kerf::test::figuresHead().c_str(), stdout);
  bool clean = true;
  for (const std::string &architecture : kerf::test::assembledArchitectures()) {
    const kerf::test::Figures figures = kerf::test::figuresOf(*ptxas, architecture);
    std::fputs(figures.table.c_str(), stdout);
    std::fputs(figures.faults.c_str(), stderr);
    clean = clean && figures.faults.empty();
  }
  return clean ? 0 : 1;
}
