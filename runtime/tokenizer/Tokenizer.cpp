//===- Tokenizer.cpp - text to token ids and back -------------------------===//
//
// Text passes through: replacement of bytes that are not UTF-8; added tokens looked for as written; normal forms;
// added tokens looked for in normalized text; the steps that cut pieces; byte pair encoding.
//
//===----------------------------------------------------------------------===//
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/Normalize.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"

using namespace kerf::rt;

namespace {

// Far above any vocabulary in use; keeps ids within int32_t.
constexpr uint32_t kMaxTokens = 1u << 22;
// A piece is cut by one step after the other, recursively.
constexpr uint32_t kMaxSteps = 32;
// The text of an added token is walked at every byte that begins one.
constexpr uint32_t kMaxAddedBytes = 4096;

[[noreturn]] void bad(const std::string &message) { throw TokenizerError(TokenizerError::Cause::BadTable, message); }

template <typename Table> const Table &present(const Table *entry, const char *what) {
  if (!entry)
    bad(std::string("each ") + what + " of the tokenizer must be present, got a null one");
  return *entry;
}

} // namespace

Tokenizer::Tokenizer(const schema::Tokenizer &table) : table(table) {
  if (!table.token_bytes() || !table.token_offsets() || !table.model())
    bad("the tokenizer must have token bytes, token offsets and a model");
  if (table.decoder() != schema::DecoderKind::ByteLevel)
    bad("the tokenizer's decoder must be byte-level, got kind " + std::to_string(static_cast<int>(table.decoder())));
  verifyVocabulary();
  specials.resize(table.token_offsets()->size() - 1);
  bpe.emplace(table);
  readAddedTokens();
  readSteps();
  for (const auto *ids : {table.prefix_ids(), table.suffix_ids()})
    for (uint32_t i = 0; ids && i < ids->size(); ++i)
      if (ids->Get(i) >= specials.size())
        bad("each id put around a text must be below " + std::to_string(specials.size()) + ", got " +
            std::to_string(ids->Get(i)));
}

void Tokenizer::verifyVocabulary() const {
  const auto &offsets = *table.token_offsets();
  if (offsets.size() < 2 || offsets.size() - 1 > kMaxTokens)
    bad("the tokenizer must have 1 to " + std::to_string(kMaxTokens) + " tokens, got " +
        std::to_string(int64_t(offsets.size()) - 1));
  if (offsets.Get(0) != 0 || offsets.Get(offsets.size() - 1) != table.token_bytes()->size())
    bad("the tokenizer's token offsets must run from 0 to " + std::to_string(table.token_bytes()->size()) + ", got " +
        std::to_string(offsets.Get(0)) + " to " + std::to_string(offsets.Get(offsets.size() - 1)));
  for (uint32_t i = 0; i + 1 < offsets.size(); ++i)
    if (offsets.Get(i) > offsets.Get(i + 1))
      bad("the tokenizer's token offsets must not fall, got " + std::to_string(offsets.Get(i)) + " and then " +
          std::to_string(offsets.Get(i + 1)));
}

void Tokenizer::readAddedTokens() {
  // Normalized contents depend on the steps.
  if (const auto *normalizers = table.normalizers()) {
    if (normalizers->size() > kMaxSteps)
      bad("the tokenizer must have at most " + std::to_string(kMaxSteps) + " normalizers, got " +
          std::to_string(normalizers->size()));
    for (const schema::NormalizerStep *step : *normalizers)
      if (present(step, "normalizer").form() > schema::NormalForm::MAX)
        bad("a normalizer must be one of NFC, NFD, NFKC, NFKD, got number " +
            std::to_string(static_cast<int>(step->form())));
  }
  if (!table.added_tokens())
    return;
  // Of equal contents the first in the trie counts, and special tokens come before others.
  for (bool special : {true, false})
    for (const schema::AddedToken *entry : *table.added_tokens()) {
      const schema::AddedToken &token = present(entry, "added token");
      if (token.special() != special)
        continue;
      if (token.id() >= specials.size())
        bad("the id of each added token must be below " + std::to_string(specials.size()) + ", got " +
            std::to_string(token.id()));
      std::string_view content = token.content() ? token.content()->string_view() : std::string_view();
      if (content.empty() || content.size() > kMaxAddedBytes || validUtf8Prefix(content) != content.size())
        bad("the content of added token " + std::to_string(token.id()) + " must be 1 to " +
            std::to_string(kMaxAddedBytes) + " bytes of UTF-8");
      if (special)
        specials[token.id()] = true;
      if (!token.normalized()) {
        plainTokens.add(token, content);
        continue;
      }
      std::string text = normalized(content);
      normalizedTokens.add(token, text);
      if (text != content)
        changedTexts[static_cast<int32_t>(token.id())] = text;
    }
}

void Tokenizer::readSteps() {
  if (!table.pre_tokenizers())
    return;
  if (table.pre_tokenizers()->size() > kMaxSteps)
    bad("the tokenizer must have at most " + std::to_string(kMaxSteps) + " splitting steps, got " +
        std::to_string(table.pre_tokenizers()->size()));
  for (const schema::PreTokenizerStep *entry : *table.pre_tokenizers()) {
    const schema::PreTokenizerStep &step = present(entry, "splitting step");
    if (step.kind() > schema::PreTokenizerKind::MAX || step.behavior() > schema::SplitBehavior::MAX)
      bad("a splitting step must be of a known kind and behaviour, got " +
          std::to_string(static_cast<int>(step.kind())) + " and " + std::to_string(static_cast<int>(step.behavior())));
    Step &made = steps.emplace_back(Step{step.kind(), std::nullopt, step.behavior(), step.invert()});
    if (step.kind() != schema::PreTokenizerKind::Split)
      continue;
    if (!step.pattern())
      bad("a splitting step must have a pattern, got none");
    made.pattern.emplace(step.pattern()->string_view());
  }
}

std::string Tokenizer::normalized(std::string_view text) const {
  std::string result(text);
  if (table.normalizers())
    for (const schema::NormalizerStep *step : *table.normalizers())
      result = normalize(result, step->form());
  return result;
}

void Tokenizer::encodePiece(std::string_view piece, size_t step, Scratch &scratch, std::vector<int32_t> &out) const {
  if (step == steps.size()) {
    bpe->encode(piece, scratch.bpe, out);
    return;
  }
  const Step &now = steps[step];
  switch (now.kind) {
  case schema::PreTokenizerKind::Split:
    for (std::string_view part : now.pattern->split(piece, now.behavior, now.invert, scratch.match))
      encodePiece(part, step + 1, scratch, out);
    break;
  case schema::PreTokenizerKind::PrefixSpace:
    if (piece.front() == ' ')
      encodePiece(piece, step + 1, scratch, out);
    else
      encodePiece(" " + std::string(piece), step + 1, scratch, out);
    break;
  }
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool addSpecial, bool parseSpecial) const {
  std::string replaced;
  if (validUtf8Prefix(text) != text.size()) {
    appendReplaced(text, /*last=*/true, replaced);
    text = replaced;
  }
  std::vector<int32_t> ids;
  auto around = [&](const flatbuffers::Vector<uint32_t> *extra) {
    if (addSpecial && extra)
      ids.insert(ids.end(), extra->begin(), extra->end());
  };
  Scratch scratch;
  around(table.prefix_ids());
  for (const AddedTokens::Part &plain : plainTokens.split(text, parseSpecial)) {
    if (plain.token) {
      ids.push_back(static_cast<int32_t>(plain.token->id()));
      continue;
    }
    std::string changed;
    std::string_view between = plain.text;
    if (table.normalizers() && table.normalizers()->size())
      between = changed = normalized(plain.text);
    for (const AddedTokens::Part &part : normalizedTokens.split(between, parseSpecial)) {
      if (part.token)
        ids.push_back(static_cast<int32_t>(part.token->id()));
      else
        encodePiece(part.text, 0, scratch, ids);
    }
  }
  around(table.suffix_ids());
  return ids;
}

std::string_view Tokenizer::tokenBytes(int32_t id) const {
  if (id < 0 || id >= size())
    throw TokenizerError(TokenizerError::Cause::BadArgument,
                         "a token id must be in 0 to " + std::to_string(size() - 1) + ", got " + std::to_string(id));
  if (!changedTexts.empty())
    if (auto changed = changedTexts.find(id); changed != changedTexts.end())
      return changed->second;
  uint32_t begin = table.token_offsets()->Get(id), end = table.token_offsets()->Get(id + 1);
  return {reinterpret_cast<const char *>(table.token_bytes()->data()) + begin, end - begin};
}

bool Tokenizer::isSpecial(int32_t id) const {
  tokenBytes(id);
  return specials[id];
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skipSpecial) const {
  std::string bytes;
  for (int32_t id : ids)
    if (std::string_view token = tokenBytes(id); !skipSpecial || !specials[id])
      bytes.append(token);
  if (validUtf8Prefix(bytes) == bytes.size())
    return bytes;
  std::string text;
  appendReplaced(bytes, /*last=*/true, text);
  return text;
}

std::string StreamingDecoder::put(int32_t id) {
  std::string_view bytes = tokenizer.tokenBytes(id);
  if (skipSpecial && tokenizer.isSpecial(id))
    return {};
  pending.append(bytes);
  std::string text;
  pending.erase(0, appendReplaced(pending, /*last=*/false, text));
  return text;
}

std::string StreamingDecoder::flush() {
  std::string text;
  appendReplaced(pending, /*last=*/true, text);
  pending.clear();
  return text;
}
