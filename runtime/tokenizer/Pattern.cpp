//===- Pattern.cpp - cutting text with a regular expression ---------------===//
#define PCRE2_CODE_UNIT_WIDTH 8
#include "runtime/tokenizer/Pattern.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"

#include <pcre2.h>

#include <algorithm>
#include <new>
#include <string>

using namespace kerf::rt;
using kerf::schema::SplitBehavior;

namespace {

// A pattern of a real tokenizer has a few hundred bytes.
constexpr size_t kMaxPatternBytes = 64 << 10;
// Steps that every place where a match could begin may take. PCRE2 counts them for each place anew, so that a search
// over a text of n bytes may take n times as many.
constexpr uint32_t kPlaceSteps = 1000;
// What needs more, such as a long run of spaces, shares this many steps and so many for each byte of the text: a
// pattern that is linear passes on any text, one that backtracks exponentially does not.
constexpr uint64_t kMoreSteps = 1'000'000, kMoreStepsPerByte = 64;
constexpr size_t kJitStackStart = 32 << 10, kJitStackMost = 4 << 20;
// The interpreter, which takes over where that stack is too small, may use this much heap. In KiB.
constexpr uint32_t kMatchHeapKiB = 256 << 10;

std::string messageOf(int code) {
  PCRE2_UCHAR text[256];
  if (pcre2_get_error_message(code, text, sizeof(text)) < 0)
    return "error " + std::to_string(code);
  return reinterpret_cast<char *>(text);
}

template <typename T> T *orBadAlloc(T *pointer) {
  if (!pointer)
    throw std::bad_alloc();
  return pointer;
}

} // namespace

struct MatchScratch::State {
  std::unique_ptr<pcre2_match_data, decltype(&pcre2_match_data_free)> data{
      orBadAlloc(pcre2_match_data_create(1, nullptr)), pcre2_match_data_free};
  std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> context{
      orBadAlloc(pcre2_match_context_create(nullptr)), pcre2_match_context_free};
  std::unique_ptr<pcre2_jit_stack, decltype(&pcre2_jit_stack_free)> stack{
      pcre2_jit_stack_create(kJitStackStart, kJitStackMost, nullptr), pcre2_jit_stack_free};
  // Steps beyond those of each place that are left.
  uint64_t steps = kMoreSteps;
};

MatchScratch::MatchScratch() : state(std::make_unique<State>()) {
  pcre2_set_heap_limit(state->context.get(), kMatchHeapKiB);
  // Without a stack of its own, compiled code uses the 32 KiB that PCRE2 takes from the thread's.
  if (state->stack)
    pcre2_jit_stack_assign(state->context.get(), nullptr, state->stack.get());
}

MatchScratch::~MatchScratch() = default;

struct Pattern::Code {
  std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)> compiled{nullptr, pcre2_code_free};
};

Pattern::Pattern(std::string_view pattern) : code(std::make_unique<Code>()) {
  if (pattern.size() > kMaxPatternBytes)
    throw TokenizerError(TokenizerError::Cause::BadTable, "a split pattern must have at most " +
                                                              std::to_string(kMaxPatternBytes) + " bytes, got " +
                                                              std::to_string(pattern.size()));
  std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context{
      orBadAlloc(pcre2_compile_context_create(nullptr)), pcre2_compile_context_free};
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  constexpr uint32_t kOptions = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_USE_OFFSET_LIMIT;
  int error = 0;
  PCRE2_SIZE offset = 0;
  code->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(), kOptions, &error,
                                     &offset, context.get()));
  if (!code->compiled)
    throw TokenizerError(TokenizerError::Cause::BadTable, "a split pattern must be a valid regular expression, got '" +
                                                              std::string(pattern.substr(0, 80)) + "': " +
                                                              messageOf(error) + " at byte " + std::to_string(offset));
  // Where there is no JIT, the interpreter gives the same matches.
  pcre2_jit_compile(code->compiled.get(), PCRE2_JIT_COMPLETE);
}

Pattern::~Pattern() = default;
Pattern::Pattern(Pattern &&) noexcept = default;
Pattern &Pattern::operator=(Pattern &&) noexcept = default;

// The first match that begins at `from` or later, as pcre2_match gives it: a count of groups, or an error.
int Pattern::find(std::string_view text, size_t from, MatchScratch &scratch) const {
  MatchScratch::State &state = *scratch.state;
  // The first match that begins in [from, last].
  auto search = [&](size_t from, size_t last, uint32_t steps, uint32_t options) {
    pcre2_set_match_limit(state.context.get(), steps);
    pcre2_set_offset_limit(state.context.get(), last);
    return pcre2_match(code->compiled.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), from,
                       PCRE2_NO_UTF_CHECK | options, state.data.get(), state.context.get());
  };
  auto needsMore = [](int rc) { return rc == PCRE2_ERROR_MATCHLIMIT || rc == PCRE2_ERROR_JIT_STACKLIMIT; };
  if (int rc = search(from, PCRE2_UNSET, kPlaceSteps, 0); !needsMore(rc))
    return rc;
  // Some place needs more than all may have. Places before it are gone through once more, to find it.
  for (size_t place = from;; place += readUtf8(text.substr(place)).length) {
    uint32_t options = 0;
    int rc = search(place, place, kPlaceSteps, options);
    for (uint64_t steps = 4 * kPlaceSteps; needsMore(rc); steps *= 4) {
      if (steps > state.steps || steps > UINT32_MAX)
        return PCRE2_ERROR_MATCHLIMIT;
      state.steps -= steps;
      // The interpreter needs no stack.
      options |= rc == PCRE2_ERROR_JIT_STACKLIMIT ? PCRE2_NO_JIT : 0;
      rc = search(place, place, static_cast<uint32_t>(steps), options);
    }
    if (rc != PCRE2_ERROR_NOMATCH || place == text.size())
      return rc;
  }
}

std::vector<Pattern::Part> Pattern::parts(std::string_view text, MatchScratch &scratch) const {
  std::vector<Part> parts;
  scratch.state->steps += kMoreStepsPerByte * text.size();
  // Where the search goes on, and where the last match ended.
  size_t from = 0, done = 0;
  bool matched = false;
  while (from <= text.size()) {
    const int rc = find(text, from, scratch);
    if (rc == PCRE2_ERROR_NOMATCH)
      break;
    if (rc < 0)
      throw TokenizerError(TokenizerError::Cause::Limit,
                           "splitting a text of " + std::to_string(text.size()) +
                               " bytes must stay within the matching limits, got: " + messageOf(rc));
    const PCRE2_SIZE *range = pcre2_get_ovector_pointer(scratch.state->data.get());
    size_t begin = range[0], end = range[1];
    // A \K that a lookaround reaches through a subroutine call can do this.
    if (begin < done || end < begin || end < from)
      throw TokenizerError(TokenizerError::Cause::BadTable, "a split pattern must match forwards");
    if (begin == end && matched && begin == done) {
      if (from == text.size())
        break;
      from += readUtf8(text.substr(from)).length;
      continue;
    }
    if (done != begin)
      parts.push_back({done, begin, false});
    parts.push_back({begin, end, true});
    from = done = end;
    matched = true;
  }
  if (done != text.size())
    parts.push_back({done, text.size(), false});
  return parts;
}

std::vector<std::string_view> Pattern::split(std::string_view text, SplitBehavior behavior, bool invert,
                                             MatchScratch &scratch) const {
  std::vector<Part> all = parts(text, scratch);
  if (invert)
    for (Part &part : all)
      part.match = !part.match;

  std::vector<std::string_view> pieces;
  pieces.reserve(all.size());
  auto push = [&](size_t begin, size_t end) {
    if (begin != end)
      pieces.push_back(text.substr(begin, end - begin));
  };
  size_t count = all.size();
  switch (behavior) {
  case SplitBehavior::Isolated:
    for (const Part &part : all)
      push(part.begin, part.end);
    break;
  case SplitBehavior::Removed:
    for (const Part &part : all)
      if (!part.match)
        push(part.begin, part.end);
    break;
  case SplitBehavior::Contiguous:
    for (size_t i = 0; i < count;) {
      size_t first = i++;
      while (i < count && all[i].match == all[first].match)
        ++i;
      push(all[first].begin, all[i - 1].end);
    }
    break;
  case SplitBehavior::MergedWithPrevious:
    // Only the first of several matches in a row joins the gap before them.
    for (size_t i = 0; i < count; ++i) {
      size_t first = i;
      if (!all[i].match && i + 1 < count && all[i + 1].match)
        ++i;
      push(all[first].begin, all[i].end);
    }
    break;
  case SplitBehavior::MergedWithNext:
    // Only the last of several matches in a row joins the gap after them.
    for (size_t i = 0; i < count; ++i) {
      size_t first = i;
      if (all[i].match && i + 1 < count && !all[i + 1].match)
        ++i;
      push(all[first].begin, all[i].end);
    }
    break;
  }
  return pieces;
}
