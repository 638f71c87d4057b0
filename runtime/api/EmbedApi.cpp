// kerf_context_embed.
#include "runtime/api/Options.h"
#include "runtime/embed/Embed.h"

using namespace kerf::rt;

kerf_code kerf_context_embed(kerf_context *context, const kerf_embed_options *options, kerf_embed_result *result,
                             kerf_error *error) {
  return guarded(error, [&] {
    needArgument(context, "context");
    needArgument(options, "options");
    if (result) // an unset struct_size is refused before anything runs
      writeStruct(result, kerf_embed_result{}, "kerf_embed_result");
    const kerf_embed_result value = embed(context->impl, readStruct(options, "kerf_embed_options"));
    if (result)
      writeStruct(result, value, "kerf_embed_result");
  });
}
