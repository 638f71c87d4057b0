// Parameters of the tests that run for every CPU variant.
#ifndef KERF_TEST_CODEGEN_X86_VARIANTS_H
#define KERF_TEST_CODEGEN_X86_VARIANTS_H

#include "codegen/x86/Variant.h"

#include <vector>

namespace kerf::test {

/// The name of each variant.
inline std::vector<const char *> variantNames() {
  std::vector<const char *> names;
  for (const x86::Variant &variant : x86::variants())
    names.push_back(variant.name);
  return names;
}

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_X86_VARIANTS_H
