//===- Generation.cpp - defaults of generation in the package -------------===//
#include "codegen/package/Generation.h"

#include "dialects/import/TransformerConfig.h"

using namespace kerf;
using llvm::StringRef;

static llvm::Expected<int32_t> tokenId(StringRef key, int64_t id, int64_t vocabulary) {
  if (id < 0 || id >= vocabulary)
    return importError("generation_config.json: " + key + " must be below the vocabulary of " +
                       llvm::Twine(vocabulary) + ", got " + llvm::Twine(id));
  return int32_t(id);
}

llvm::Error kerf::readGeneration(const Checkpoint &checkpoint, int64_t vocabulary, schema::GenerationT &out,
                                 std::vector<IgnoredKey> &ignored) {
  GenerationDefaults stated = checkpoint.generation().value_or(GenerationDefaults());
  std::vector<IgnoredKey> reported; // the importer has told them
  llvm::Expected<TransformerConfig> config = readTransformerConfig(checkpoint.config(), reported);
  if (!config)
    return config.takeError();
  if (!stated.bos)
    stated.bos = config->bos;
  if (stated.eos.empty())
    stated.eos = config->eos;
  if (!stated.pad)
    stated.pad = config->pad;

  if (stated.bos) {
    llvm::Expected<int32_t> id = tokenId("bos_token_id", *stated.bos, vocabulary);
    if (!id)
      return id.takeError();
    out.bos.push_back(*id);
  }
  for (int64_t eos : stated.eos) {
    llvm::Expected<int32_t> id = tokenId("eos_token_id", eos, vocabulary);
    if (!id)
      return id.takeError();
    out.eos.push_back(*id);
  }
  // Nothing at run time pads; some checkpoints name an id outside their vocabulary.
  if (stated.pad && *stated.pad >= 0 && *stated.pad < vocabulary)
    out.pad = int32_t(*stated.pad);
  out.do_sample = stated.sample;
  out.temperature = float(stated.temperature.value_or(1));
  out.top_k = int32_t(stated.topK.value_or(0));
  out.top_p = float(stated.topP.value_or(1));
  if (stated.minP.value_or(0) != 0)
    ignored.push_back({"generation_config.json: min_p", "a package has no default for it; pass it when generating"});
  if (stated.repetitionPenalty.value_or(1) != 1)
    ignored.push_back(
        {"generation_config.json: repetition_penalty", "a package has no default for it; pass it when generating"});
  if (stated.maxLength)
    ignored.push_back({"generation_config.json: max_length", "the caller says how long a text may be"});
  if (stated.maxNewTokens)
    ignored.push_back({"generation_config.json: max_new_tokens", "the caller says how long a text may be"});
  return llvm::Error::success();
}
