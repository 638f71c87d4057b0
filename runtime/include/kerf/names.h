/// The names that tie the three files of a compiled model together: shared by the compiler that writes them and the
/// runtime that opens them.
///
/// A model called NAME is compiled to `NAME.kerf`, `libNAME.so` and `NAME.h`, side by side. The library exports
/// exactly one symbol, the constant
///
///     const kerf_library kerf_<ident>_library;
///
/// where <ident> is NAME with every byte that is not an ASCII letter or digit replaced by `_`. NAME is the
/// manifest's `model_name`, so renaming the files on disk (both of them) leaves the symbol as it was. `NAME.h` includes
/// kerf/kerf.h and declares that constant; a C program passes its address to kerf_model_open.
#ifndef KERF_NAMES_H
#define KERF_NAMES_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/// The longest model name, in bytes without the final zero.
#define KERF_MODEL_NAME_MAX 128

/// Room for any symbol or identifier made from a model name.
#define KERF_SYMBOL_MAX (KERF_MODEL_NAME_MAX + 32)

/// File name parts: `NAME` KERF_PACKAGE_SUFFIX and KERF_LIBRARY_PREFIX `NAME` KERF_LIBRARY_SUFFIX.
#define KERF_PACKAGE_SUFFIX ".kerf"
#define KERF_LIBRARY_PREFIX "lib"
#define KERF_LIBRARY_SUFFIX ".so"
#define KERF_HEADER_SUFFIX ".h"

/// Whether a model name can be a file name part and make a symbol: 1 … KERF_MODEL_NAME_MAX bytes of ASCII letters,
/// digits, `.`, `_` and `-`, not starting with `.` or `-`. Any thread.
static inline int kerf_model_name_valid(const char *name) {
  size_t i = 0;
  if (!name || name[0] == '.' || name[0] == '-')
    return 0;
  for (; name[i]; ++i) {
    const char c = name[i];
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
          c == '-'))
      return 0;
  }
  return i >= 1 && i <= KERF_MODEL_NAME_MAX;
}

/// Writes <ident> of a model name. Returns its length, or 0 and an empty `out` when the name is not valid. Any
/// thread.
static inline size_t kerf_model_identifier(const char *name, char out[KERF_SYMBOL_MAX]) {
  size_t i = 0;
  out[0] = '\0';
  if (!kerf_model_name_valid(name))
    return 0;
  for (; name[i]; ++i) {
    const char c = name[i];
    const int plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    out[i] = plain ? c : '_';
  }
  out[i] = '\0';
  return i;
}

/// Writes the exported symbol `kerf_<ident>_library`. Returns its length, or 0 and an empty `out` when the name is
/// not valid. Any thread.
static inline size_t kerf_library_symbol(const char *name, char out[KERF_SYMBOL_MAX]) {
  static const char prefix[] = "kerf_", suffix[] = "_library";
  char ident[KERF_SYMBOL_MAX];
  const size_t length = kerf_model_identifier(name, ident);
  size_t at = 0, i;
  out[0] = '\0';
  if (length == 0)
    return 0;
  for (i = 0; prefix[i]; ++i)
    out[at++] = prefix[i];
  for (i = 0; i < length; ++i)
    out[at++] = ident[i];
  for (i = 0; suffix[i]; ++i)
    out[at++] = suffix[i];
  out[at] = '\0';
  return at;
}

#ifdef __cplusplus
}
#endif
#endif
