//===- Decoder.cpp - contents of tokens to text ---------------------------===//
#include "runtime/tokenizer/Decoder.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"

#include <charconv>
#include <optional>

using namespace kerf::rt;
using kerf::schema::DecoderKind;
using kerf::schema::DecoderStep;
using kerf::schema::DecoderStepKind;

namespace {

constexpr uint32_t kMaxSteps = 32;
// Of a step's texts; those in use have one character.
constexpr uint32_t kMaxBytes = 64;
// How often all replacing steps together may multiply a token; those in use make it shorter.
constexpr size_t kMaxGrowth = 256;

std::string_view view(const flatbuffers::String *text) { return text ? text->string_view() : std::string_view(); }

bool isOneCharacter(std::string_view text) {
  return !text.empty() && readUtf8(text).valid && readUtf8(text).length == text.size();
}

void replace(std::string &text, std::string_view from, std::string_view to) {
  size_t found = text.find(from);
  if (found == std::string::npos)
    return;
  std::string out;
  size_t done = 0;
  for (; found != std::string::npos; found = text.find(from, done)) {
    out.append(text, done, found - done).append(to);
    done = found + from.size();
  }
  text = out.append(text, done);
}

// Spaces that a word tokenizer makes and English does not write, and the negation it takes apart, in this order.
constexpr std::pair<std::string_view, std::string_view> kTypography[] = {
    {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
    {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};

// The byte that "<0x0A>" spells.
std::optional<char> spelledByte(std::string_view content) {
  if (content.size() != 6 || content.substr(0, 3) != "<0x" || content[5] != '>')
    return std::nullopt;
  // `tokenizers` takes a sign for the first digit.
  const char *begin = content.data() + (content[3] == '+' ? 4 : 3), *end = content.data() + 5;
  unsigned value = 0;
  auto [stop, error] = std::from_chars(begin, end, value, 16);
  if (error != std::errc() || stop != end)
    return std::nullopt;
  return static_cast<char>(value);
}

} // namespace

Decoder::Decoder(const schema::Tokenizer &table) : byteLevel(table.decoder() == DecoderKind::ByteLevel) {
  if (table.decoder() > DecoderKind::MAX)
    badTable("the tokenizer's decoder must be of a known kind, got " +
             std::to_string(static_cast<int>(table.decoder())));
  uint32_t count = table.decoder_steps() ? table.decoder_steps()->size() : 0;
  if (count > kMaxSteps || (byteLevel && count))
    badTable("the tokenizer must have at most " + std::to_string(byteLevel ? 0 : kMaxSteps) + " decoding steps, got " +
             std::to_string(count));
  size_t growth = 1;
  for (uint32_t i = 0; i < count; ++i) {
    const DecoderStep *step = table.decoder_steps()->Get(i);
    if (!step || step->kind() > DecoderStepKind::MAX)
      badTable("each decoding step must be of a known kind, got " +
               (step ? std::to_string(static_cast<int>(step->kind())) : "a null one"));
    std::string_view pattern = view(step->pattern()), content = view(step->content());
    if (pattern.size() > kMaxBytes || content.size() > kMaxBytes || validUtf8Prefix(pattern) != pattern.size() ||
        validUtf8Prefix(content) != content.size())
      badTable("the texts of a decoding step must be at most " + std::to_string(kMaxBytes) + " bytes of UTF-8");
    if (stripCount || (byteFallback && step->kind() != DecoderStepKind::Strip))
      badTable("the tokenizer's decoding steps must be in order, got kind " +
               std::to_string(static_cast<int>(step->kind())) + " too late");
    bool oneCharacter = step->kind() == DecoderStepKind::Metaspace || step->kind() == DecoderStepKind::Strip;
    if (oneCharacter ? !isOneCharacter(pattern) : step->kind() == DecoderStepKind::Replace && pattern.empty())
      badTable(std::string("a decoding step must have a pattern of ") +
               (oneCharacter ? "one character" : "at least one character"));
    if (step->kind() == DecoderStepKind::Replace && content.size() > pattern.size())
      growth *= content.size();
    if (growth > kMaxGrowth)
      badTable("decoding steps that replace must together make at most " + std::to_string(kMaxGrowth) +
               " bytes of one, got " + std::to_string(growth));
    if (step->kind() == DecoderStepKind::ByteFallback) {
      byteFallback = true;
    } else if (step->kind() == DecoderStepKind::Strip) {
      strip = pattern;
      stripCount = step->count();
    } else {
      tokenSteps.push_back(step);
    }
  }
}

std::string Decoder::changed(std::string_view content, bool first) const {
  std::string text(content);
  for (const DecoderStep *step : tokenSteps) {
    std::string_view pattern = view(step->pattern());
    switch (step->kind()) {
    case DecoderStepKind::Replace:
      replace(text, pattern, view(step->content()));
      break;
    case DecoderStepKind::Metaspace:
      replace(text, pattern, first && step->flag() ? "" : " ");
      break;
    case DecoderStepKind::WordPiece:
      if (!first && text.compare(0, pattern.size(), pattern) == 0)
        text.erase(0, pattern.size());
      else if (!first)
        text.insert(0, " ");
      for (const auto &[from, to] : kTypography)
        if (step->flag())
          replace(text, from, to);
      break;
    case DecoderStepKind::ByteFallback:
    case DecoderStepKind::Strip:
      break;
    }
  }
  return text;
}

// Text whose place is certain; Strip takes from its head.
void Decoder::emit(State &state, std::string_view text, std::string &out) const {
  while (state.head && !text.empty()) {
    if (state.stripped == stripCount || text.substr(0, strip.size()) != strip) {
      state.head = false;
      break;
    }
    text.remove_prefix(strip.size());
    ++state.stripped;
  }
  out += text;
}

void Decoder::endBytes(State &state, std::string &out) const {
  if (state.pending.empty())
    return;
  std::string text = state.pending;
  if (validUtf8Prefix(text) != text.size()) {
    text.clear();
    for (size_t i = 0; i < state.pending.size(); ++i)
      appendUtf8(0xFFFD, text);
  }
  state.pending.clear();
  emit(state, text, out);
}

void Decoder::put(State &state, std::string_view content, std::string &out) const {
  if (byteLevel) {
    state.pending.append(content);
    state.pending.erase(0, appendReplaced(state.pending, /*last=*/false, out));
    return;
  }
  std::string text = changed(content, state.firstToken);
  state.firstToken = false;
  if (std::optional<char> byte = byteFallback ? spelledByte(text) : std::nullopt) {
    state.pending += *byte;
    return;
  }
  endBytes(state, out);
  emit(state, text, out);
}

void Decoder::finish(State &state, std::string &out) const {
  if (byteLevel)
    appendReplaced(state.pending, /*last=*/true, out);
  else
    endBytes(state, out);
  state = State();
}
