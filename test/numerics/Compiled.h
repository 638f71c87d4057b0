// Checkpoints compiled by kerf-compile and run through the C API: what the tests of whole compiled models share.
// Nothing of LLVM is in here, so that programs which measure memory can use it.
#ifndef KERF_TEST_NUMERICS_COMPILED_H
#define KERF_TEST_NUMERICS_COMPILED_H

#include "kerf/kerf.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kerf::test {

/// The bundled model's checkpoint directory.
inline const std::string bundledCheckpoint = KERF_SOURCE_DIR "/examples/models/kerf-tiny-llama";

/// Every CPU variant that the compiler makes.
inline const char *const allVariants[] = {"avx2", "avx512", "avx512_bf16", "amx"};
/// The variant of GPU libraries that runs on any GPU, and on Kerf's emulator.
inline const char *const gpuVariant = "compute_80";

/// That one; none in builds with sanitizers, in which it takes minutes.
std::vector<const char *> gpuVariants();
/// Those of CPUs and GPUs.
std::vector<const char *> everyVariant();

/// Options by which kerf-compile makes libraries of that variant.
std::vector<std::string> optionsFor(const std::string &variant);

/// Compiles a checkpoint directory with those options, by default for CPUs with all variants, and gives the package's
/// path. What was compiled stays in the build tree until kerf-compile or the checkpoint changes, so test programs and
/// their processes share it. On failure the running test fails with the compiler's messages and the path is empty.
std::string compileCheckpoint(const std::string &checkpoint, const std::string &computeType,
                              const std::vector<std::string> &options = {});

/// An open model that runs one variant.
class CompiledModel {
public:
  /// Opens a package; for a GPU on the driver that KERF_CUDA_DRIVER names, else on Kerf's emulator. On failure `handle`
  /// is null and, unless this CPU lacks the variant, the running test fails.
  CompiledModel(const std::string &package, const std::string &variant);
  ~CompiledModel() { kerf_model_close(handle); }
  CompiledModel(const CompiledModel &) = delete;
  CompiledModel &operator=(const CompiledModel &) = delete;

  /// Why it is not open, if this CPU lacks the variant.
  std::string unsupported;
  /// The facts of the model.
  kerf_model_info info = {};
  /// Null if it could not be opened.
  kerf_model *handle = nullptr;
};

/// One entry of a step: the next tokens of a sequence.
struct StepPiece {
  /// Which.
  kerf_sequence *sequence;
  /// Its next tokens.
  std::span<const int32_t> ids;
  /// Which of its rows get logits.
  kerf_logits logits = KERF_LOGITS_ALL;
};

/// A row of logits, or several.
using LogitRows = std::vector<std::vector<float>>;

/// A planned context, poisoned with NaN.
class CompiledContext {
public:
  /// Plans for steps of `tokens` rows, all with logits, and `sequences` sequences of `context` tokens (0: the model's).
  CompiledContext(const CompiledModel &model, uint32_t tokens, uint32_t sequences, uint32_t context = 0,
                  uint32_t threads = 1);
  ~CompiledContext() { kerf_context_close(handle); }
  CompiledContext(const CompiledContext &) = delete;
  CompiledContext &operator=(const CompiledContext &) = delete;

  /// A new sequence. On failure null, and the running test fails; so in the functions below.
  kerf_sequence *create();
  /// A copy of a sequence.
  kerf_sequence *fork(const kerf_sequence *sequence);
  /// Forgets the tokens from `length` on.
  void truncate(kerf_sequence *sequence, uint32_t length);
  /// Runs a step and gives its rows of logits, in the order of pieces.
  LogitRows step(const std::vector<StepPiece> &pieces);

  /// What the C API calls the context.
  kerf_context *handle = nullptr;

private:
  uint32_t vocabulary;
};

/// Logits of every token of `ids`, run in one step as the only sequence of a context of its own.
LogitRows logitsAlone(const CompiledModel &model, std::span<const int32_t> ids);

/// Whether rows are the same bit for bit, and where they first differ.
std::string firstDifference(const LogitRows &found, const LogitRows &expected);

} // namespace kerf::test
#endif // KERF_TEST_NUMERICS_COMPILED_H
