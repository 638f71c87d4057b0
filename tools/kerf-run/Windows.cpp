#include "tools/kerf-run/Windows.h"

#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cmath>
#include <thread>

namespace kerf::tools {
namespace {

constexpr uint32_t kDefaultWindow = 1024;
// Logits that one step may leave.
constexpr uint64_t kLogitBytes = 64 << 20;

// Calls body(i) for every i below `count`, on `threads` threads.
void parallelFor(size_t count, uint32_t threads, const std::function<void(size_t)> &body) {
  const size_t share = (count + threads - 1) / threads;
  std::vector<std::jthread> others;
  for (size_t begin = share; begin < count; begin += share)
    others.emplace_back([&, begin] {
      for (size_t i = begin; i < std::min(count, begin + share); ++i)
        body(i);
    });
  for (size_t i = 0; i < std::min(count, share); ++i)
    body(i);
}

} // namespace

void addTextOptions(CLI::App &command, TextOptions &options) {
  command.add_option("--text", options.text, "File with the text; - for standard input")->required();
  command.add_option("-w,--window", options.window,
                     "Most tokens in a window, begin tokens among them; 0: 1024, or the model's context");
  command.add_option("--stride", options.stride,
                     "Tokens from one window to the next, of which it scores those that are new; 0: windows side by "
                     "side");
  command.add_option("-n,--max-tokens", options.maxTokens, "Read no more tokens of the text; 0: all");
  command.add_option("--max-batch", options.maxBatch, "Most tokens in a step; windows that fit run together")
      ->check(CLI::Range(1u, 1u << 20))
      ->capture_default_str();
  command.add_flag("--plain", options.plain, "Special tokens spelled in the text are text");
}

Method methodOf(const TextOptions &options, const Model &model, const kerf_model_info &info) {
  Method method;
  method.begin = beginTokens(model);
  method.window = options.window ? options.window : std::min(kDefaultWindow, info.context);
  const uint32_t least = uint32_t(method.begin.size()) + (method.begin.empty() ? 2 : 1);
  if (method.window < least || method.window > info.context)
    throw std::runtime_error("--window must be " + std::to_string(least) + " to the model's context of " +
                             std::to_string(info.context) + ", got " + std::to_string(method.window));
  const uint32_t body = method.window - uint32_t(method.begin.size());
  method.stride = options.stride ? options.stride : body;
  if (method.stride > body)
    throw std::runtime_error("--stride must be at most the " + std::to_string(body) +
                             " tokens of text in a window, got " + std::to_string(method.stride));
  return method;
}

std::string describe(const Method &method, const Model &model) {
  const uint32_t body = method.window - uint32_t(method.begin.size());
  std::string text = "sliding windows of " + std::to_string(method.window) + " tokens";
  if (!method.begin.empty())
    text += ", each begun with " + detokenize(model, method.begin, 0);
  text += ", stride " + std::to_string(method.stride);
  if (!method.begin.empty())
    return text + "; every token is scored once";
  return text + (method.stride < body ? "; every token but the first is scored once"
                                      : "; every token but the first of a window is scored once");
}

WindowSource::WindowSource(TokenStream &stream, const Method &method, uint64_t maxTokens)
    : stream_(stream), method_(method), maxTokens_(maxTokens) {}

bool WindowSource::next(Window &window) {
  const size_t body = method_.window - method_.begin.size();
  std::vector<int32_t> more;
  while (!ended_ && ids_.size() < body) {
    more.clear();
    ended_ = !stream_.read(more);
    const uint64_t before = read_;
    read_ += more.size();
    if (maxTokens_ && read_ >= maxTokens_) {
      more.resize(maxTokens_ - before);
      ended_ = true;
    }
    ids_.insert(ids_.end(), more.begin(), more.end());
  }
  const uint64_t end = start_ + std::min(body, ids_.size());
  if (end == covered_)
    return false;
  window.ids = method_.begin;
  window.ids.insert(window.ids.end(), ids_.begin(), ids_.begin() + std::ptrdiff_t(end - start_));
  window.firstTarget = uint32_t(method_.begin.size() + (covered_ - start_));
  window.firstTarget = std::max(window.firstTarget, 1u); // the first of all has nothing before it
  covered_ = end;
  const size_t step = std::min<size_t>(method_.stride, ids_.size());
  ids_.erase(ids_.begin(), ids_.begin() + std::ptrdiff_t(step));
  start_ += step;
  return true;
}

double WindowSource::bytes() const { return read_ ? double(stream_.bytes()) * double(covered_) / double(read_) : 0; }

WindowRunner::WindowRunner(std::vector<Runner> &models, const TextOptions &options, uint32_t window)
    : models_(models), maxTokens_(options.maxBatch) {
  // The last token of a window is scored and never run.
  const uint32_t run = window - 1;
  groupSize_ = std::max(1u, maxTokens_ / run);
  maxTokens_ = std::min(maxTokens_, run * groupSize_);
  const uint64_t rowBytes = uint64_t(models.front().info.vocabulary) * sizeof(float);
  maxRows_ = uint32_t(std::clamp<uint64_t>(kLogitBytes / rowBytes, 1, maxTokens_));
  for (Runner &runner : models) {
    kerf_plan_options planned = {};
    planned.struct_size = sizeof planned;
    planned.max_tokens = maxTokens_;
    planned.max_sequences = groupSize_;
    planned.context = run;
    planned.max_logit_rows = maxRows_;
    planned.memory_limit = options.memoryLimit;
    runner.context = makeContext(runner.model, options);
    runner.report = plan(runner.context, planned);
    threads_ = runner.report.threads;
  }
}

// Fills a step: of each window what comes next, first tokens without and then tokens with logits. False when all are
// done.
bool WindowRunner::nextStep(std::span<const Window> windows, std::vector<uint32_t> &done,
                            std::vector<Piece> &pieces) const {
  pieces.clear();
  uint32_t tokens = maxTokens_, rows = maxRows_;
  for (uint32_t w = 0; w < windows.size(); ++w) {
    const uint32_t last = uint32_t(windows[w].ids.size()) - 1, firstRow = windows[w].firstTarget - 1;
    const bool logits = done[w] >= firstRow;
    const uint32_t count = std::min({logits ? last - done[w] : firstRow - done[w], tokens, logits ? rows : tokens});
    if (!count)
      continue;
    pieces.push_back({w, done[w], count, logits});
    done[w] += count;
    tokens -= count;
    rows -= logits ? count : 0;
  }
  return !pieces.empty();
}

void WindowRunner::run(std::span<const Window> windows, const Score &score) {
  std::vector<uint32_t> done(windows.size(), 0), firstIndex;
  uint32_t targets = 0;
  for (const Window &window : windows) {
    firstIndex.push_back(targets);
    targets += uint32_t(window.ids.size()) - window.firstTarget;
  }
  for (Runner &runner : models_) {
    runner.sequences.clear();
    for (size_t w = 0; w < windows.size(); ++w)
      runner.sequences.push_back(makeSequence(runner.context));
  }
  struct Row {
    uint32_t window, target;
  };
  std::vector<Piece> pieces;
  std::vector<Row> rows;
  std::vector<kerf_step_entry> entries;
  while (nextStep(windows, done, pieces)) {
    rows.clear();
    for (const Piece &piece : pieces)
      for (uint32_t i = 0; piece.logits && i < piece.count; ++i)
        rows.push_back({piece.window, piece.begin + i + 1});
    for (Runner &runner : models_) {
      entries.clear();
      for (const Piece &piece : pieces)
        entries.push_back({runner.sequences[piece.window].get(), windows[piece.window].ids.data() + piece.begin,
                           piece.count, uint32_t(piece.logits ? KERF_LOGITS_ALL : KERF_LOGITS_NONE), nullptr});
      const kerf_step step = {sizeof step, sizeof(kerf_step_entry), uint32_t(entries.size()), entries.data()};
      kerf_error error;
      check(kerf_context_step(runner.context.get(), &step, &error), error);
    }
    parallelFor(rows.size(), threads_, [&](size_t r) {
      const Window &window = windows[rows[r].window];
      const float *logits[2] = {};
      for (size_t m = 0; m < models_.size(); ++m)
        logits[m] = kerf_context_logits(models_[m].context.get(), uint32_t(r));
      score({logits, models_.size()}, window.ids[rows[r].target],
            firstIndex[rows[r].window] + rows[r].target - window.firstTarget);
    });
  }
}

void forEachGroup(WindowSource &source, const WindowRunner &runner,
                  const std::function<void(std::span<const Window>, size_t)> &body) {
  for (bool more = true; more;) {
    std::vector<Window> group;
    size_t targets = 0;
    for (Window window; group.size() < runner.groupSize() && (more = source.next(window));) {
      targets += window.ids.size() - window.firstTarget;
      group.push_back(std::move(window));
    }
    if (!group.empty())
      body(group, targets);
  }
}

void needSameTokens(const Runner &a, const Runner &b) {
  const auto refuse = [](const std::string &what, const std::string &first, const std::string &second) {
    throw std::runtime_error(what + " of both models must be the same, got " + first + " and " + second +
                             "; only models with the same tokenizer can be compared");
  };
  if (a.info.vocabulary != b.info.vocabulary)
    refuse("vocabulary", std::to_string(a.info.vocabulary), std::to_string(b.info.vocabulary));
  const auto spelled = [](const Runner &runner, int32_t id) -> std::string {
    size_t bytes = 0;
    // Padding of the vocabulary has no bytes.
    if (kerf_token_bytes(runner.model.get(), id, nullptr, 0, &bytes, nullptr) != KERF_OK)
      return "none";
    return escaped(tokenBytes(runner.model, id)) + (isSpecial(runner.model, id) ? " (special)" : "");
  };
  for (uint32_t id = 0; id < a.info.vocabulary; ++id) {
    const std::string first = spelled(a, int32_t(id)), second = spelled(b, int32_t(id));
    if (first != second)
      refuse("token " + std::to_string(id), first, second);
  }
  const std::vector<int32_t> first = beginTokens(a.model), second = beginTokens(b.model);
  if (first != second)
    refuse("begin tokens", escaped(detokenize(a.model, first, 0)), escaped(detokenize(b.model, second, 0)));
}

void needFinite(double sum, const std::string &package, uint64_t window) {
  if (!std::isfinite(sum))
    throw std::runtime_error("'" + package + "': logits must be finite, got an infinite one or NaN in window " +
                             std::to_string(window));
}

void Coverage::finish(const WindowSource &source, const BlockMean &scored) {
  if (!scored.tokens())
    throw std::runtime_error("'" + options.text + "' must have a token to score, got none; give more text");
  tokens = source.tokens();
  bytes = std::round(source.bytes());
}

void Coverage::writeFields(JsonWriter &json, const BlockMean &scored) const {
  json.value("text", options.text);
  json.value("method", description);
  json.value("window", method.window);
  json.value("stride", method.stride);
  json.value("windows", windows);
  json.value("bytes", bytes);
  json.value("tokens", tokens);
  json.value("scored_tokens", scored.tokens());
  json.value("blocks", scored.blocks());
}

std::string Coverage::describe(const BlockMean &scored) const {
  return options.text + ": " + std::to_string(uint64_t(bytes)) + " bytes, " + std::to_string(tokens) + " tokens, " +
         std::to_string(scored.tokens()) + " scored in " + std::to_string(windows) + " windows; errors from " +
         std::to_string(scored.blocks()) + " blocks";
}

} // namespace kerf::tools
