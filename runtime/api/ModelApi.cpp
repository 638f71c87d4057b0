// kerf_model_*, tokenizing and versions.
#include "runtime/api/Options.h"
#include "runtime/loader/Model.h"

using namespace kerf::rt;

namespace {

kerf_code openModel(const char *path, const kerf_library *library, bool sibling, const kerf_model_options *options,
                    kerf_model **out, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(out, "out");
    *out = nullptr;
    needArgument(path, "path");
    if (!sibling)
      needArgument(library, "library");
    const kerf_model_options read = readStruct(options, "kerf_model_options");
    *out = new kerf_model{std::make_shared<const Model>(path, library, read)};
  });
}

} // namespace

const char *kerf_version(void) { return KERF_VERSION_STRING; }

uint32_t kerf_abi_version(void) { return KERF_ABI_VERSION; }

const char *kerf_code_name(kerf_code code) {
  switch (code) {
  case KERF_OK:
    return "KERF_OK";
  case KERF_BAD_ARGUMENT:
    return "KERF_BAD_ARGUMENT";
  case KERF_BAD_ARTIFACT:
    return "KERF_BAD_ARTIFACT";
  case KERF_IO:
    return "KERF_IO";
  case KERF_OUT_OF_MEMORY:
    return "KERF_OUT_OF_MEMORY";
  case KERF_OUT_OF_PAGES:
    return "KERF_OUT_OF_PAGES";
  case KERF_UNSUPPORTED_CPU:
    return "KERF_UNSUPPORTED_CPU";
  case KERF_CANCELLED:
    return "KERF_CANCELLED";
  case KERF_FAILED:
    return "KERF_FAILED";
  case KERF_DEVICE_FAILED:
    return "KERF_DEVICE_FAILED";
  }
  return "unknown code";
}

kerf_code kerf_model_open(const char *path, const kerf_library *library, const kerf_model_options *options,
                          kerf_model **out, kerf_error *error) {
  return openModel(path, library, false, options, out, error);
}

kerf_code kerf_model_open_files(const char *path, const kerf_model_options *options, kerf_model **out,
                                kerf_error *error) {
  return openModel(path, nullptr, true, options, out, error);
}

void kerf_model_close(kerf_model *model) { delete model; }

kerf_code kerf_model_get_info(const kerf_model *model, kerf_model_info *info, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(model, "model");
    const Model &m = *model->impl;
    const kerf::schema::Manifest &manifest = m.package().manifest();
    kerf_model_info value = {};
    value.abi_version = m.library().abi_version;
    value.name = manifest.model_name()->c_str();
    value.architecture = manifest.architecture()->c_str();
    value.target = manifest.target()->c_str();
    value.compiler_version = manifest.compiler_version()->c_str();
    value.compiler_flags = textOr(manifest.compiler_flags(), "");
    value.variant = m.device().variant();
    value.device = m.device().name().c_str();
    value.chat_template = textOr(manifest.chat_template(), "");
    value.vocabulary = manifest.vocabulary();
    value.context = manifest.context();
    value.hidden = manifest.hidden();
    value.layers = manifest.layers();
    value.variant_count = variantCount(m.library());
    value.weight_count = m.library().weight_count;
    value.group_count = m.library().group_count;
    value.has_tokenizer = m.tokenizer() != nullptr;
    value.weight_bytes = m.package().weightBytes();
    value.file_bytes = m.package().fileBytes();
    for (const kerf_cache_group &group : m.terms().groups)
      value.cache_bytes_per_token += (group.page_bytes * group.planes + group.page_size - 1) / group.page_size;
    value.build_id = m.library().build_id;
    for (const kerf_program &program : programsOf(m.library()))
      for (const kerf_result &result : resultsOf(program)) {
        value.generates |= result.kind == KERF_RESULT_LOGITS;
        if (result.kind == KERF_RESULT_VECTORS)
          value.vector = result.columns;
      }
    writeStruct(info, value, "kerf_model_info");
  });
}

const char *kerf_model_variant(const kerf_model *model, uint32_t index) {
  return model && index < variantCount(model->impl->library()) ? variantName(model->impl->library(), index) : nullptr;
}

int kerf_model_variant_runs(const kerf_model *model, uint32_t index) {
  return model && index < variantCount(model->impl->library()) && model->impl->device().runs(index);
}

size_t kerf_model_end_tokens(const kerf_model *model, int32_t *ids, size_t capacity) {
  if (!model)
    return 0;
  const std::vector<int32_t> &ends = model->impl->endTokens();
  if (ids)
    std::copy_n(ends.begin(), std::min(capacity, ends.size()), ids);
  return ends.size();
}

kerf_code kerf_model_verify(const kerf_model *model, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(model, "model");
    model->impl->package().verifyWeights();
  });
}

kerf_code kerf_model_certificate(const kerf_model *model, uint32_t threads, const kerf_plan_options *options,
                                 kerf_plan_report *report, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(model, "model");
    const kerf_plan_options read = readStruct(options, "kerf_plan_options");
    const Ceilings ceilings = resolveCeilings(model->impl->terms(), threads, read);
    writeStruct(report, model->impl->certificate(ceilings, read.memory_limit), "kerf_plan_report");
  });
}

kerf_code kerf_tokenize(const kerf_model *model, const char *text, size_t bytes, uint32_t flags, int32_t *ids,
                        size_t capacity, size_t *count, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(model, "model");
    needArgument(count, "count");
    *count = 0;
    if (bytes)
      needArgument(text, "text");
    if (capacity)
      needArgument(ids, "ids");
    const std::vector<int32_t> all = model->impl->encode({text ? text : "", bytes}, flags);
    std::copy_n(all.begin(), std::min(capacity, all.size()), ids);
    *count = all.size();
  });
}

kerf_code kerf_detokenize(const kerf_model *model, const int32_t *ids, size_t count, uint32_t flags, char *text,
                          size_t capacity, size_t *bytes, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(model, "model");
    needArgument(bytes, "bytes");
    *bytes = 0;
    if (count)
      needArgument(ids, "ids");
    if (capacity)
      needArgument(text, "text");
    const std::string all = model->impl->decode({ids, count}, flags);
    std::copy_n(all.begin(), std::min(capacity, all.size()), text);
    *bytes = all.size();
  });
}

kerf_code kerf_token_bytes(const kerf_model *model, int32_t id, char *out, size_t capacity, size_t *bytes,
                           kerf_error *error) {
  return guarded(error, [&] {
    needArgument(model, "model");
    needArgument(bytes, "bytes");
    *bytes = 0;
    if (capacity)
      needArgument(out, "out");
    const std::string_view all = model->impl->tokenBytes(id);
    std::copy_n(all.begin(), std::min(capacity, all.size()), out);
    *bytes = all.size();
  });
}
