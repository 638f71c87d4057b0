/// The embedding path: texts in, vectors out.
#ifndef KERF_RUNTIME_EMBED_EMBED_H
#define KERF_RUNTIME_EMBED_EMBED_H

#include "runtime/context/Context.h"

namespace kerf::rt {

/// Runs kerf_context_embed; throws Error.
kerf_embed_result embed(Context &context, const kerf_embed_options &options);

} // namespace kerf::rt

#endif
