/// A sequence outside its context: its KV pages as bytes, to be kept and continued later by the same compiled model.
///
///     offset  size  field
///          0     8  magic: 89 'K' 'S' 'E' 'Q' 0D 0A 1A
///          8     4  version of this layout
///         12     4  number of KV groups
///         16     8  bytes of the whole
///         24     4  length: tokens of the sequence
///         28    36  name of the variant that computed it, cut to 35 bytes, then zeros
///         64    32  build id of the model
///         96    32  SHA-256 of everything, with zeros here
///        128    16  by group: planes (4), positions in a page (4), bytes of a page (8)
///
/// Then, for each group, its ceil(length / page size) pages in logical order, and of each page all planes. All integers
/// are little endian. A page is stored as the kernels lay it out, which is one layout for all variants; of the last
/// page, positions from `length` on hold zeros, or tokens that this sequence or the one it was forked from has
/// forgotten.
#ifndef KERF_RUNTIME_CONTEXT_SAVEDSEQUENCE_H
#define KERF_RUNTIME_CONTEXT_SAVEDSEQUENCE_H

#include "runtime/context/Context.h"

#include <cstdint>
#include <span>

namespace kerf::rt {

/// Bytes that saveSequence writes.
uint64_t savedBytes(const kerf_sequence &sequence);

/// Writes a sequence to `out`, which has savedBytes(). Allocates nothing.
void saveSequence(const kerf_sequence &sequence, uint8_t *out);

/// Opens a sequence in `context` from what saveSequence wrote. The bytes are not trusted: every field is checked
/// against the model and against their number, and the checksum last. Throws, and then nothing has changed:
/// KERF_BAD_ARTIFACT (damaged, foreign, of another build), KERF_BAD_ARGUMENT (no plan, no room for a sequence, longer
/// than the planned context), KERF_OUT_OF_PAGES. Allocates nothing unless it fails.
kerf_sequence *restoreSequence(Context &context, std::span<const uint8_t> bytes);

} // namespace kerf::rt

#endif
