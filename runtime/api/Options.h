/// Reading and writing of the API's versioned structs.
#ifndef KERF_RUNTIME_API_OPTIONS_H
#define KERF_RUNTIME_API_OPTIONS_H

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace kerf::rt {

/// Throws KERF_BAD_ARGUMENT unless `size`, the struct_size of `what`, can be that of a T of any version: no field is
/// cut.
template <typename T> void checkStructSize(uint32_t size, const char *what) {
  if (size < sizeof(uint32_t) || size % alignof(T) != 0 || size > 4096)
    fail(KERF_BAD_ARGUMENT, "struct_size of ", what, " must be sizeof it, ", sizeof(T), ", got ", size);
}

/// A copy of the caller's struct in this version's size: fields that an older caller does not have are zero, and so is
/// all of it for NULL. Throws KERF_BAD_ARGUMENT when struct_size is unset, or larger than ours with fields set that
/// this version does not know.
template <typename T> T readStruct(const T *given, const char *what) {
  T options = {};
  if (!given)
    return options;
  const uint32_t size = given->struct_size;
  checkStructSize<T>(size, what);
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(given);
  for (size_t i = sizeof(T); i < size; ++i)
    if (bytes[i])
      fail(KERF_BAD_ARGUMENT, what, " must have no field set that version ", KERF_VERSION_STRING,
           " does not know; use a newer Kerf runtime");
  std::memcpy(&options, given, std::min<size_t>(size, sizeof(T)));
  return options;
}

/// Writes as much of `value` as the caller's struct_size says it has room for, and keeps that size there.
template <typename T> void writeStruct(T *out, const T &value, const char *what) {
  if (!out)
    fail(KERF_BAD_ARGUMENT, what, " must not be NULL");
  const uint32_t size = out->struct_size;
  checkStructSize<T>(size, what);
  std::memcpy(out, &value, std::min<size_t>(size, sizeof(T)));
  out->struct_size = size;
}

/// Throws KERF_BAD_ARGUMENT when a pointer that must be given is NULL.
inline void needArgument(const void *pointer, const char *what) {
  if (!pointer)
    fail(KERF_BAD_ARGUMENT, what, " must not be NULL");
}

} // namespace kerf::rt

#endif
