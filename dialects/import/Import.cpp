//===- Import.cpp - from a checkpoint to a module -------------------------===//

#include "dialects/import/Import.h"

#include "dialects/import/TransformerBuilder.h"
#include "dialects/kerf/KerfDialect.h"
#include "kerf/names.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;
using namespace kerf;

std::string kerf::modelNameOf(StringRef directory) {
  // "." and a trailing slash have no last component of their own.
  SmallString<256> path;
  if (llvm::sys::fs::real_path(directory, path))
    path = directory;
  std::string name = llvm::sys::path::filename(path).str();
  StringRef snapshots = llvm::sys::path::parent_path(path);
  StringRef repository = llvm::sys::path::filename(llvm::sys::path::parent_path(snapshots));
  // models--<owner>--<name>/snapshots/<revision>
  if (llvm::sys::path::filename(snapshots) == "snapshots" && repository.starts_with("models--"))
    name = repository.rsplit("--").second.str();
  name.resize(std::min<size_t>(name.size(), KERF_MODEL_NAME_MAX));
  for (auto [position, c] : llvm::enumerate(name))
    if (!llvm::isAlnum(c) && c != '_' && (position == 0 || (c != '.' && c != '-')))
      c = '_';
  return name.empty() ? "model" : name;
}

/// Whether all weights that linears read are BF16, or which is the first that is not.
struct LinearWeights {
  const TensorInfo *other = nullptr;
  int64_t others = 0, total = 0;
};

static LinearWeights inspectLinearWeights(const TransformerConfig &config, const Checkpoint &checkpoint) {
  LinearWeights result;
  for (const ExpectedTensor &expected : expectedTensors(config)) {
    if (!expected.multiplied)
      continue;
    const TensorInfo *info = checkpoint.find(expected.name)->info;
    ++result.total;
    if (info->dtype == DType::BF16)
      continue;
    if (!result.others++)
      result.other = info;
  }
  return result;
}

static llvm::Expected<FloatType> chooseComputeType(MLIRContext &context, const TransformerConfig &config,
                                                   const Checkpoint &checkpoint, const ImportOptions &options) {
  FloatType f32 = Float32Type::get(&context), bf16 = BFloat16Type::get(&context);
  if (options.computeType == DType::F32)
    return f32;
  if (options.computeType && options.computeType != DType::BF16)
    return importError("the compute type must be f32 or bf16, got " + name(*options.computeType));
  LinearWeights weights = inspectLinearWeights(config, checkpoint);
  if (!weights.others)
    return bf16;
  std::string which = (Twine(weights.others) + " of " + Twine(weights.total) + " weights that linears read are not, " +
                       "'" + weights.other->name + "' is " + weights.other->dtypeName)
                          .str();
  if (options.computeType)
    return importError(checkpoint.directory() + ": weights must be BF16 to compute in bf16, but " + which +
                       "; compute in f32 instead");
  if (weights.others < weights.total)
    emitWarning(NameLoc::get(StringAttr::get(&context, checkpoint.directory())))
        << "computes in f32: weights must be BF16 to compute in bf16, but " << which;
  return f32;
}

/// How an encoder makes vectors, by the user's choice or by the checkpoint's files. Nothing for a decoder.
static llvm::Expected<SentenceConfig> chooseSentence(const TransformerConfig &config, const Checkpoint &checkpoint,
                                                     const ImportOptions &options, std::vector<IgnoredKey> &ignored) {
  if (!config.encoder) {
    if (options.pooling || options.normalize)
      return importError(checkpoint.directory() + ": pooling and normalization must not be chosen for " +
                         config.architecture + ", which gives logits");
    return SentenceConfig();
  }
  auto stated = readSentenceConfig(checkpoint, config.hidden, ignored);
  if (!stated)
    return stated.takeError();
  if (!*stated && !options.pooling)
    return importError(checkpoint.directory() +
                       ": must hold modules.json, as sentence-transformers writes it, to say " +
                       "how a text becomes one vector, got none; choose with --pooling=mean, first, last or max");
  SentenceConfig sentence = stated->value_or(SentenceConfig());
  sentence.pooling = options.pooling.value_or(sentence.pooling);
  sentence.normalize = options.normalize.value_or(sentence.normalize);
  return sentence;
}

llvm::Expected<OwningOpRef<ModuleOp>> kerf::importCheckpoint(MLIRContext &context, const Checkpoint &checkpoint,
                                                             const ImportOptions &options,
                                                             std::vector<IgnoredKey> &ignored) {
  llvm::append_range(ignored, checkpoint.ignored());
  llvm::Expected<TransformerConfig> config = readTransformerConfig(checkpoint.config(), ignored);
  if (!config)
    return config.takeError();
  resolvePrefix(*config, checkpoint);
  if (llvm::Error error = verifyTensors(*config, checkpoint, ignored))
    return std::move(error);

  std::string name = options.name.empty() ? modelNameOf(checkpoint.directory()) : options.name;
  if (name.find('\0') != std::string::npos || !kerf_model_name_valid(name.c_str()))
    return importError("the model name must be 1 to " + Twine(KERF_MODEL_NAME_MAX) +
                       " letters, digits, '.', '_' and '-' and begin with a letter, digit or '_', got '" + name + "'");
  llvm::Expected<SentenceConfig> sentence = chooseSentence(*config, checkpoint, options, ignored);
  if (!sentence)
    return sentence.takeError();
  int64_t stated = std::min(sentence->maxTokens.value_or(config->maxPositions), config->maxPositions);
  int64_t longest = options.context.value_or(stated);
  if (longest < 1 || longest > config->maxPositions)
    return importError("the context must be from 1 to the " + Twine(config->maxPositions) +
                       " tokens (max_position_embeddings) that the checkpoint was made for, got " + Twine(longest));
  llvm::Expected<FloatType> computeType = chooseComputeType(context, *config, checkpoint, options);
  if (!computeType)
    return computeType.takeError();

  context.loadDialect<KerfDialect, func::FuncDialect, tensor::TensorDialect>();
  auto module = buildTransformer(context, *config, checkpoint, {name, longest, *computeType, *sentence});
  if (module && failed(verify(**module)))
    return importError("the module built from " + checkpoint.directory() + " is not valid; this is a bug of Kerf");
  return module;
}
