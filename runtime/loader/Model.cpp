#include "runtime/loader/Model.h"

#include "runtime/cpu/CpuDevice.h"
#include "runtime/cuda/CudaDevice.h"
#include "runtime/support/Error.h"
#include "runtime/tokenizer/TokenizerError.h"

#include <algorithm>

namespace kerf::rt {
namespace {

[[noreturn]] void rethrow(const TokenizerError &error, const std::string &where) {
  kerf_code code = KERF_FAILED;
  if (error.cause() == TokenizerError::Cause::BadTable)
    code = KERF_BAD_ARTIFACT;
  else if (error.cause() == TokenizerError::Cause::BadArgument)
    code = KERF_BAD_ARGUMENT;
  fail(code, where, error.what());
}

} // namespace

Model::Model(const std::string &path, const kerf_library *library, const kerf_model_options &options)
    : package_(path), library_(library) {
  if (!library_)
    loaded_ = loadSibling(package_, library_);
  checkLibrary(package_, *library_);
  if (options.verify_checksums)
    package_.verifyWeights();

  const schema::Manifest &manifest = package_.manifest();
  terms_ = certificateTerms(package_);
  if (manifest.tokenizer()) {
    try {
      tokenizer_ = std::make_unique<Tokenizer>(*manifest.tokenizer());
    } catch (const TokenizerError &error) {
      rethrow(error, "'" + path + "': tokenizer: ");
    }
  }
  if (manifest.generation() && manifest.generation()->eos())
    endTokens_.assign(manifest.generation()->eos()->begin(), manifest.generation()->eos()->end());
  std::sort(endTokens_.begin(), endTokens_.end());
  endTokens_.erase(std::unique(endTokens_.begin(), endTokens_.end()), endTokens_.end());
  package_.readAhead();
  if (gpuVariantsOf(*library_).count() == 0 && ((options.driver && *options.driver) || options.device))
    fail(KERF_BAD_ARGUMENT, "device and driver are for models that are compiled for GPUs, but '", path,
         "' is for CPUs");
  device_ = gpuVariantsOf(*library_).count() ? cuda::makeCudaDevice(package_, *library_, options)
                                             : makeCpuDevice(package_, *library_, options.variant);
  terms_.attentionTile = device_->attentionTile();
  terms_.kernelStack = device_->kernelStack();
}

kerf_plan_report Model::certificate(const Ceilings &ceilings, uint64_t limit) const {
  kerf_plan_report report = evaluateCertificate(terms_, ceilings);
  const std::optional<uint64_t> own = device_->availableMemory();
  report.available = limit && !own ? limit : availableMemory();
  report.device_available = own && limit ? limit : own.value_or(0);
  return report;
}

uint32_t Model::needProgram(std::string_view name, const char *what) const {
  if (const std::optional<uint32_t> found = findProgram(*library_, name))
    return *found;
  std::string has;
  for (const kerf_program &program : programsOf(*library_))
    has += (has.empty() ? "" : ", ") + std::string(program.name);
  fail(KERF_BAD_ARGUMENT, what, " needs a program '", name, "', but '", package_.path(), "' has only ", has);
}

const Tokenizer &Model::needTokenizer(const char *what) const {
  if (!tokenizer_)
    fail(KERF_BAD_ARGUMENT, what, " must have a tokenizer, but '", package_.path(), "' has none; use ids");
  return *tokenizer_;
}

std::vector<int32_t> Model::encode(std::string_view text, uint32_t flags) const {
  const Tokenizer &tokenizer = needTokenizer("text");
  try {
    return tokenizer.encode(text, !(flags & KERF_NO_FRAME), !(flags & KERF_PLAIN_TEXT));
  } catch (const TokenizerError &error) {
    rethrow(error, "");
  }
}

std::vector<int32_t> Model::encodeMarked(std::string_view text, std::string_view user) const {
  const Tokenizer &tokenizer = needTokenizer("text");
  try {
    return tokenizer.encodeMarked(text, user);
  } catch (const TokenizerError &error) {
    rethrow(error, "");
  }
}

std::string Model::decode(std::span<const int32_t> ids, uint32_t flags) const {
  const Tokenizer &tokenizer = needTokenizer("ids to text");
  try {
    return tokenizer.decode(ids, flags & KERF_SKIP_SPECIAL);
  } catch (const TokenizerError &error) {
    rethrow(error, "");
  }
}

std::string_view Model::tokenBytes(int32_t id) const {
  const Tokenizer &tokenizer = needTokenizer("a token's bytes");
  try {
    return tokenizer.contentOf(id);
  } catch (const TokenizerError &error) {
    rethrow(error, "");
  }
}

} // namespace kerf::rt
