//===- Element.h - element types of kernel operands -------------*- C++ -*-===//
#ifndef KERF_CODEGEN_KERNELS_ELEMENT_H
#define KERF_CODEGEN_KERNELS_ELEMENT_H

#include <cstdint>

namespace kerf::kernels {

/// Element types that kernels read and write.
enum class Element { F32, BF16, F16 };

/// Bytes of one element.
constexpr int64_t bytesOf(Element element) { return element == Element::F32 ? 4 : 2; }

/// "f32", "bf16" or "f16".
constexpr const char *nameOf(Element element) {
  return element == Element::F32 ? "f32" : element == Element::BF16 ? "bf16" : "f16";
}

} // namespace kerf::kernels

#endif // KERF_CODEGEN_KERNELS_ELEMENT_H
