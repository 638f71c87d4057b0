/// Windows of a text, and running them through models: what perplexity and compare have in common (docs/quality.md).
#ifndef KERF_TOOLS_KERFRUN_WINDOWS_H
#define KERF_TOOLS_KERFRUN_WINDOWS_H

#include "tools/kerf-run/Statistics.h"
#include "tools/kerf-run/TokenStream.h"
#include "tools/runtime-support/CommandLine.h"
#include "tools/runtime-support/Json.h"

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace kerf::tools {

/// Options of a command that measures models on a text.
struct TextOptions : RunOptions {
  std::string text;
  uint32_t window = 0, stride = 0, maxBatch = 512;
  uint64_t maxTokens = 0;
  bool plain = false;
};

/// Adds --text, which is required, --window, --stride, --max-tokens, --max-batch and --plain.
void addTextOptions(CLI::App &command, TextOptions &options);

/// How a text is cut.
struct Method {
  std::vector<int32_t> begin; ///< tokens before every window
  uint32_t window = 0;        ///< most tokens in a window, `begin` among them
  uint32_t stride = 0;        ///< tokens of the text from one window to the next
};

/// What the options ask for, checked against the model. Throws std::runtime_error.
Method methodOf(const TextOptions &options, const Model &model, const kerf_model_info &info);

/// One line: "sliding windows of 1024 tokens …".
std::string describe(const Method &method, const Model &model);

/// One window: tokens from `firstTarget` on are scored, each from those before it.
struct Window {
  std::vector<int32_t> ids;
  uint32_t firstTarget = 0;
};

/// Cuts the ids of a stream into windows, so that every token of the text is scored once. Without begin tokens the
/// first token of a window has nothing before it; it is not scored if no earlier window did.
class WindowSource {
public:
  /// At most `maxTokens` of the text; 0: all. Both must outlive this.
  WindowSource(TokenStream &stream, const Method &method, uint64_t maxTokens);
  /// False at the end of the text.
  bool next(Window &window);
  /// Tokens of the text in windows so far.
  uint64_t tokens() const { return covered_; }
  /// Bytes of the text in windows so far; before the text's end an estimate, by tokens.
  double bytes() const;

private:
  TokenStream &stream_;
  const Method &method_;
  const uint64_t maxTokens_;
  std::deque<int32_t> ids_;
  uint64_t start_ = 0;   // of the next window, in tokens of the text; ids_ begins there
  uint64_t covered_ = 0; // tokens in windows so far
  uint64_t read_ = 0;    // tokens that the stream gave, also those past maxTokens
  bool ended_ = false;
};

/// One model that runs windows.
struct Runner {
  Model model;
  kerf_model_info info;
  Context context;
  kerf_plan_report report;
  std::vector<Sequence> sequences;
};

/// Rows of logits, one of each model, of the token before `target`.
using Score = std::function<void(std::span<const float *const> logits, int32_t target, size_t index)>;

/// Runs groups of windows through one or several models at once.
class WindowRunner {
public:
  /// Plans the contexts. Every window has at most `window` tokens, a step at most `maxBatch`. Throws
  /// std::runtime_error.
  WindowRunner(std::vector<Runner> &models, const TextOptions &options, uint32_t window);
  /// Windows that run together.
  uint32_t groupSize() const { return groupSize_; }
  /// Runs the windows and calls `score` once for each scored token, on any thread and in any order; `index` counts the
  /// scored tokens of the group in the order of the text. What is scored does not depend on the sizes of steps or
  /// groups. Throws std::runtime_error.
  void run(std::span<const Window> windows, const Score &score);

private:
  struct Piece {
    uint32_t window, begin, count;
    bool logits;
  };
  bool nextStep(std::span<const Window> windows, std::vector<uint32_t> &done, std::vector<Piece> &pieces) const;

  std::vector<Runner> &models_;
  uint32_t maxTokens_, maxRows_, groupSize_, threads_ = 1;
};

/// Takes windows from `source` in groups of what `runner` runs together and hands each to `body`, with the number of
/// its scored tokens.
void forEachGroup(WindowSource &source, const WindowRunner &runner,
                  const std::function<void(std::span<const Window> group, size_t targets)> &body);

/// Throws std::runtime_error unless both have the same vocabulary and put the same tokens before a text; says what
/// differs.
void needSameTokens(const Runner &a, const Runner &b);

/// Throws std::runtime_error when a window's sum shows that a logit was infinite or NaN.
void needFinite(double sum, const std::string &package, uint64_t window);

/// What was read of a text, and how.
struct Coverage {
  const TextOptions &options;
  const Method &method;
  std::string description; ///< of the method
  uint64_t tokens = 0, windows = 0;
  double bytes = 0;

  /// At the end of the text. Throws std::runtime_error when no token was scored.
  void finish(const WindowSource &source, const BlockMean &scored);
  /// From "text" to "blocks".
  void writeFields(JsonWriter &json, const BlockMean &scored) const;
  /// "FILE: 12 bytes, 4 tokens, 3 scored in 1 windows; errors from 1 blocks".
  std::string describe(const BlockMean &scored) const;
};

} // namespace kerf::tools

#endif
