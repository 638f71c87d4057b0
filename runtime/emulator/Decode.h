/// From PTX as written to what runs.
#ifndef KERF_RUNTIME_EMULATOR_DECODE_H
#define KERF_RUNTIME_EMULATOR_DECODE_H

#include "runtime/emulator/Warp.h"

namespace kerf::emulator {

/// Where the module's variables in global and constant memory lie.
using Addresses = std::unordered_map<std::string_view, uint64_t>;

/// Decodes one kernel. Throws PtxError for an instruction that the table does not hold, by its name.
Kernel decode(const PtxModule &module, const PtxKernel &kernel, const Addresses &addresses);

} // namespace kerf::emulator

#endif
