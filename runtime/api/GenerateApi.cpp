// kerf_generate and what belongs to it.
#include "runtime/api/Options.h"
#include "runtime/generate/Generate.h"

#include <cstdlib>
#include <cstring>

using namespace kerf::rt;

const char *kerf_finish_name(kerf_finish finish) {
  switch (finish) {
  case KERF_FINISH_END:
    return "end";
  case KERF_FINISH_STOP:
    return "stop";
  case KERF_FINISH_LENGTH:
    return "length";
  case KERF_FINISH_CANCELLED:
    return "cancelled";
  }
  return "unknown";
}

kerf_code kerf_generate_options_init(const kerf_model *model, kerf_generate_options *options, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(model, "model");
    kerf_generate_options value = {};
    const kerf::schema::Generation *generation = model->impl->package().manifest().generation();
    if (generation && generation->do_sample()) {
      value.temperature = generation->temperature();
      value.top_k = uint32_t(std::max(0, generation->top_k()));
      value.top_p = generation->top_p();
    }
    writeStruct(options, value, "kerf_generate_options");
  });
}

kerf_code kerf_generate(kerf_context *context, const kerf_generate_options *options, kerf_generate_result *result,
                        kerf_error *error) {
  return guarded(error, [&] {
    needArgument(context, "context");
    needArgument(options, "options");
    kerf_generate_result value = {};
    if (result) // an unset struct_size is refused before anything runs
      writeStruct(result, value, "kerf_generate_result");
    Generated made = generate(context->impl, readStruct(options, "kerf_generate_options"));
    if (!result)
      return;
    value.finish = made.finish;
    value.text_bytes = made.text.size();
    value.id_count = uint32_t(made.ids.size());
    value.prompt_tokens = made.promptTokens;
    value.prompt_ns = made.promptNs;
    value.decode_ns = made.decodeNs;
    value.first_ns = made.firstNs;
    value.decode_steps = made.decodeSteps;
    value.text = static_cast<char *>(std::malloc(made.text.size() + 1));
    value.ids = static_cast<int32_t *>(std::malloc(made.ids.size() * sizeof(int32_t) + 1));
    if (!value.text || !value.ids) {
      std::free(value.text);
      std::free(value.ids);
      throw std::bad_alloc();
    }
    std::memcpy(value.text, made.text.c_str(), made.text.size() + 1);
    std::copy(made.ids.begin(), made.ids.end(), value.ids);
    writeStruct(result, value, "kerf_generate_result");
  });
}

void kerf_generate_result_free(kerf_generate_result *result) {
  if (!result)
    return;
  std::free(result->text);
  std::free(result->ids);
  const uint32_t size = result->struct_size;
  std::memset(result, 0, std::min<size_t>(size, sizeof *result));
  result->struct_size = size;
}
