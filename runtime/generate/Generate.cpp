#include "runtime/generate/Generate.h"

#include "runtime/generate/Sampler.h"
#include "runtime/generate/StopMatcher.h"
#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

namespace kerf::rt {
namespace {

uint64_t now() {
  using namespace std::chrono;
  return uint64_t(duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

// The sequence of a generation: the caller's, taken back to its length on failure, or one of its own, closed at the
// end.
class Target {
public:
  Target(Context &context, kerf_sequence *given)
      : context_(context), given_(given != nullptr),
        sequence_(given ? check(context, given) : context.createSequence()), length_(sequence_->length) {}
  ~Target() {
    if (!given_)
      context_.closeSequence(*sequence_);
    else if (!kept_)
      context_.truncateSequence(*sequence_, length_);
  }
  Target(const Target &) = delete;
  Target &operator=(const Target &) = delete;
  kerf_sequence *get() const { return sequence_; }
  void keep() { kept_ = true; }

private:
  static kerf_sequence *check(Context &context, kerf_sequence *given) {
    std::vector<kerf_sequence> &all = context.needPlan().sequences;
    if (std::less<>()(given, all.data()) || !std::less<>()(given, all.data() + all.size()) || !given->open)
      fail(KERF_BAD_ARGUMENT, "the sequence must be an open one of this context");
    return given;
  }

  Context &context_;
  bool given_, kept_ = false;
  kerf_sequence *sequence_;
  uint32_t length_;
};

// Text on its way to the caller: decoded, cut at stop strings.
class TextOut {
public:
  TextOut(const Model &model, const kerf_generate_options &options, Generated &result)
      : options_(options), result_(result), stops_(stopStrings(options)) {
    if (options.stop_count)
      model.needTokenizer("stop strings");
    if (model.tokenizer()) {
      decoder_.emplace(*model.tokenizer(), !options.keep_special);
      textIds_ = model.tokenizer()->size();
    }
  }

  // False when the caller has had enough.
  bool put(int32_t id) {
    give(stops_.put(id < textIds_ ? decoder_->put(id) : ""));
    return !enough_;
  }
  bool stopped() const { return stops_.stopped(); }
  // At the end: a character that was never finished, and text that was no stop string after all.
  void flush() {
    if (stops_.stopped())
      return;
    std::string rest = stops_.put(decoder_ ? decoder_->flush() : "");
    if (!stops_.stopped())
      rest += stops_.flush();
    if (!rest.empty())
      give(rest);
  }

private:
  static std::vector<std::string> stopStrings(const kerf_generate_options &options) {
    std::vector<std::string> stops;
    if (options.stop_count && !options.stops)
      fail(KERF_BAD_ARGUMENT, "stops must not be NULL when stop_count is ", options.stop_count);
    for (uint32_t i = 0; i < options.stop_count; ++i) {
      if (!options.stops[i])
        fail(KERF_BAD_ARGUMENT, "stop string ", i, " must not be NULL");
      stops.push_back(options.stops[i]);
    }
    return stops;
  }
  void give(const std::string &text) {
    result_.text += text;
    if (options_.on_text && !enough_)
      enough_ = options_.on_text(options_.user, text.data(), text.size()) != 0;
  }

  const kerf_generate_options &options_;
  Generated &result_;
  StopMatcher stops_;
  std::optional<StreamingDecoder> decoder_;
  int32_t textIds_ = 0; // rows of the vocabulary past the tokenizer's are padding without text
  bool enough_ = false; // the callback said so
};

std::vector<int32_t> promptIds(const Model &model, const kerf_generate_options &options) {
  if ((options.prompt != nullptr) == (options.prompt_ids != nullptr))
    fail(KERF_BAD_ARGUMENT, "there must be either a prompt or prompt_ids, got ", options.prompt ? "both" : "neither");
  if (options.prompt_ids)
    return {options.prompt_ids, options.prompt_ids + options.prompt_id_count};
  const size_t bytes = options.prompt_bytes ? options.prompt_bytes : std::strlen(options.prompt);
  return model.encode({options.prompt, bytes}, options.prompt_flags);
}

// Draws the token that follows, with the next random number, if there is a `draw`.
struct Draw {
  kerf_sampling sampling;
  Random random;
};
void run(Context &context, kerf_sequence *sequence, const int32_t *ids, uint32_t count, Draw *draw) {
  if (draw)
    draw->sampling.random = draw->random.next();
  const kerf_step_entry entry = {sequence, ids, count, uint32_t(draw ? KERF_LOGITS_LAST : KERF_LOGITS_NONE),
                                 draw ? &draw->sampling : nullptr};
  context.step({sizeof(kerf_step), sizeof(kerf_step_entry), 1, &entry});
}

void runPrompt(Context &context, kerf_sequence *sequence, const std::vector<int32_t> &prompt, Draw &draw) {
  const Ceilings &ceilings = context.needPlan().ceilings;
  if (prompt.empty())
    fail(KERF_BAD_ARGUMENT, "the prompt must have at least one token, got none");
  if (prompt.size() > ceilings.context - sequence->length)
    fail(KERF_BAD_ARGUMENT, "the prompt must fit the planned context of ", ceilings.context, ", got ", prompt.size(),
         " tokens after ", sequence->length);
  for (size_t at = 0; at < prompt.size();) {
    const uint32_t piece = uint32_t(std::min<size_t>(ceilings.tokens, prompt.size() - at));
    run(context, sequence, prompt.data() + at, piece, at + piece == prompt.size() ? &draw : nullptr);
    at += piece;
  }
}

// Token after token until something ends it. The one that follows the prompt is drawn.
kerf_finish decode(Context &context, kerf_sequence *sequence, const kerf_generate_options &options, Draw &draw,
                   TextOut &out, uint64_t begin, Generated &result) {
  const std::vector<int32_t> &ends = context.model().endTokens();
  for (;;) {
    const int32_t id = context.token(0);
    if (id < 0)
      fail(KERF_FAILED, "the logits hold no number");
    result.ids.push_back(id);
    if (result.ids.size() == 1)
      result.firstNs = now() - begin;
    if (!options.ignore_end && std::binary_search(ends.begin(), ends.end(), id))
      return KERF_FINISH_END;
    if (!out.put(id))
      return KERF_FINISH_CANCELLED;
    if (out.stopped())
      return KERF_FINISH_STOP;
    if (result.ids.size() == options.max_tokens || sequence->length == context.needPlan().ceilings.context)
      return KERF_FINISH_LENGTH;
    if (context.cancelled())
      return KERF_FINISH_CANCELLED;
    const uint64_t start = now();
    run(context, sequence, &id, 1, &draw);
    result.decodeNs += now() - start;
    ++result.decodeSteps;
  }
}

} // namespace

Generated generate(Context &context, const kerf_generate_options &options) {
  Context::CancelScope scope(context);
  const uint64_t begin = now();
  Generated result;
  const Model &model = context.model();
  context.needPlan();
  TextOut out(model, options, result);
  Draw draw = {{options.temperature, options.top_p, options.top_k, 0, 0}, Random(options.seed)};
  checkSampling(draw.sampling);
  const std::vector<int32_t> prompt = promptIds(model, options);
  result.promptTokens = uint32_t(prompt.size());
  Target target(context, options.sequence);
  try {
    runPrompt(context, target.get(), prompt, draw);
    result.promptNs = now() - begin;
    result.finish = decode(context, target.get(), options, draw, out, begin, result);
  } catch (const Error &error) {
    if (error.code() != KERF_CANCELLED)
      throw;
    result.finish = KERF_FINISH_CANCELLED;
  }
  out.flush();
  target.keep();
  return result;
}

} // namespace kerf::rt
