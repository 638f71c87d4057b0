/// Ctrl-C while a context works.
#ifndef KERF_TOOLS_RUNTIMESUPPORT_INTERRUPT_H
#define KERF_TOOLS_RUNTIMESUPPORT_INTERRUPT_H

#include "tools/runtime-support/Handles.h"

namespace kerf::tools {

/// While one of these lives, the first Ctrl-C cancels what `context` does and the second ends the program. Only one at
/// a time.
class CancelOnInterrupt {
public:
  explicit CancelOnInterrupt(const Context &context);
  ~CancelOnInterrupt();
  CancelOnInterrupt(const CancelOnInterrupt &) = delete;
  CancelOnInterrupt &operator=(const CancelOnInterrupt &) = delete;
};

} // namespace kerf::tools

#endif
