//===- Tokenizer.cpp - text to token ids and back -------------------------===//
//
// Text passes through: replacement of bytes that are not UTF-8; added tokens looked for as written; the normalizer;
// added tokens looked for in normalized text; the steps that cut pieces; the model.
//
//===----------------------------------------------------------------------===//
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"

using namespace kerf::rt;

namespace {

// A piece is cut by one step after the other, recursively.
constexpr uint32_t kMaxSteps = 32;
// The text of an added token is walked at every byte that begins one.
constexpr uint32_t kMaxAddedBytes = 4096;
// All of them together, once normalized: each byte takes a node of a trie. Tables may share one content.
constexpr size_t kMaxAddedTotal = 4 << 20;
// The most pieces that all steps together may make of a text. Each step in use makes at most two of a byte.
constexpr uint64_t kMostPiecesPerByte = 128, kMostPieces = 64 << 10;

} // namespace

Tokenizer::Tokenizer(const schema::Tokenizer &table)
    : table(table), vocabulary(table), normalizer(table), decoder(table), specials(vocabulary.size()) {
  if (!table.model() == !table.word_pieces())
    badTable(std::string("the tokenizer must have one model, got ") + (table.model() ? "two" : "none"));
  if (table.model())
    bpe.emplace(vocabulary, *table.model());
  else
    wordPiece.emplace(vocabulary, *table.word_pieces());
  readAddedTokens();
  readSteps();
  for (const auto *ids : {table.prefix_ids(), table.suffix_ids()})
    for (uint32_t i = 0; ids && i < ids->size(); ++i)
      if (ids->Get(i) >= vocabulary.size())
        badTable("each id put around a text must be below " + std::to_string(vocabulary.size()) + ", got " +
                 std::to_string(ids->Get(i)));
}

void Tokenizer::readAddedTokens() {
  if (!table.added_tokens())
    return;
  MatchScratch scratch;
  size_t total = 0;
  // Of equal contents the first in the trie counts, and special tokens come before others.
  for (bool special : {true, false})
    for (const schema::AddedToken *entry : *table.added_tokens()) {
      if (!entry)
        badTable("each added token of the tokenizer must be present, got a null one");
      const schema::AddedToken &token = *entry;
      if (token.special() != special)
        continue;
      if (token.id() >= vocabulary.size())
        badTable("the id of each added token must be below " + std::to_string(vocabulary.size()) + ", got " +
                 std::to_string(token.id()));
      std::string_view content = token.content() ? token.content()->string_view() : std::string_view();
      if (content.empty() || content.size() > kMaxAddedBytes || validUtf8Prefix(content) != content.size())
        badTable("the content of added token " + std::to_string(token.id()) + " must be 1 to " +
                 std::to_string(kMaxAddedBytes) + " bytes of UTF-8");
      if (special)
        specials[token.id()] = true;
      std::string text = token.normalized() ? normalizer(content, scratch) : std::string(content);
      if ((total += text.size()) > kMaxAddedTotal)
        badTable("added tokens must have at most " + std::to_string(kMaxAddedTotal) + " bytes together, got more");
      if (special || !token.normalized())
        markedTokens.add(token, content);
      if (!token.normalized()) {
        plainTokens.add(token, content);
        continue;
      }
      normalizedTokens.add(token, text);
      if (text != content)
        changedTexts[static_cast<int32_t>(token.id())] = text;
    }
}

void Tokenizer::readSteps() {
  if (!table.pre_tokenizers())
    return;
  if (table.pre_tokenizers()->size() > kMaxSteps)
    badTable("the tokenizer must have at most " + std::to_string(kMaxSteps) + " splitting steps, got " +
             std::to_string(table.pre_tokenizers()->size()));
  for (const schema::PreTokenizerStep *step : *table.pre_tokenizers()) {
    if (!step)
      badTable("each splitting step of the tokenizer must be present, got a null one");
    if (step->kind() > schema::PreTokenizerKind::MAX || step->behavior() > schema::SplitBehavior::MAX ||
        step->prefix() > schema::Prefix::MAX)
      badTable("a splitting step must be of a known kind, behaviour and prefix, got " +
               std::to_string(static_cast<int>(step->kind())) + ", " +
               std::to_string(static_cast<int>(step->behavior())) + " and " +
               std::to_string(static_cast<int>(step->prefix())));
    Step &made = steps.emplace_back(Step{step, std::nullopt});
    if (step->kind() == schema::PreTokenizerKind::Split) {
      if (!step->pattern())
        badTable("a splitting step must have a pattern, got none");
      made.pattern.emplace(step->pattern()->string_view());
    } else if (step->kind() == schema::PreTokenizerKind::Metaspace) {
      std::string_view replacement = step->replacement() ? step->replacement()->string_view() : std::string_view();
      if (replacement.empty() || !readUtf8(replacement).valid || readUtf8(replacement).length != replacement.size())
        badTable("the replacement of spaces must be one character, got " + std::to_string(replacement.size()) +
                 " bytes");
    }
  }
}

static std::string withMetaspace(const kerf::schema::PreTokenizerStep &step, std::string_view piece, bool first) {
  std::string_view replacement = step.replacement()->string_view();
  std::string out;
  for (char byte : piece)
    if (byte == ' ')
      out += replacement;
    else
      out += byte;
  bool wanted = step.prefix() == kerf::schema::Prefix::All || (step.prefix() == kerf::schema::Prefix::First && first);
  if (wanted && out.compare(0, replacement.size(), replacement) != 0)
    out.insert(0, replacement);
  return out;
}

// `first` says that the text begins with this piece.
void Tokenizer::encodePiece(std::string_view piece, bool first, size_t step, Scratch &scratch,
                            std::vector<int32_t> &out) const {
  if (scratch.pieces-- == 0)
    throw TokenizerError(TokenizerError::Cause::Limit, "splitting must make at most " +
                                                           std::to_string(kMostPiecesPerByte) +
                                                           " pieces of each byte of a text, got more");
  if (step == steps.size()) {
    if (bpe)
      bpe->encode(piece, scratch.bpe, out);
    else
      wordPiece->encode(piece, out);
    return;
  }
  const schema::PreTokenizerStep &now = *steps[step].table;
  switch (now.kind()) {
  case schema::PreTokenizerKind::Split:
    for (std::string_view part : steps[step].pattern->split(piece, now.behavior(), now.invert(), scratch.match))
      encodePiece(part, first && part.data() == piece.data(), step + 1, scratch, out);
    break;
  case schema::PreTokenizerKind::PrefixSpace:
    if (piece.front() == ' ')
      encodePiece(piece, first, step + 1, scratch, out);
    else
      encodePiece(" " + std::string(piece), first, step + 1, scratch, out);
    break;
  case schema::PreTokenizerKind::Metaspace:
    encodePiece(withMetaspace(now, piece, first), first, step + 1, scratch, out);
    break;
  }
}

size_t Tokenizer::suffixSize() const { return table.suffix_ids() ? table.suffix_ids()->size() : 0; }

// Text between added tokens that are looked for as written. `first` says that the text begins with it.
void Tokenizer::encodePart(std::string_view part, bool first, bool special, Scratch &scratch,
                           std::vector<int32_t> &out) const {
  std::string changed;
  if (!normalizer.empty())
    part = changed = normalizer(part, scratch.match);
  for (const AddedTokens::Part &piece : normalizedTokens.split(part, special)) {
    if (piece.token)
      out.push_back(static_cast<int32_t>(piece.token->id()));
    else
      encodePiece(piece.text, first && piece.text.data() == part.data(), 0, scratch, out);
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
  scratch.pieces = kMostPiecesPerByte * text.size() + kMostPieces;
  around(table.prefix_ids());
  for (const AddedTokens::Part &part : plainTokens.split(text, parseSpecial)) {
    if (part.token)
      ids.push_back(static_cast<int32_t>(part.token->id()));
    else
      encodePart(part.text, part.text.data() == text.data(), parseSpecial, scratch, ids);
  }
  around(table.suffix_ids());
  return ids;
}

std::vector<int32_t> Tokenizer::encodeMarked(std::string_view text, std::string_view user) const {
  std::vector<int32_t> ids;
  Scratch scratch;
  scratch.pieces = kMostPiecesPerByte * text.size() + kMostPieces;
  for (const AddedTokens::Part &part : markedTokens.splitMarked(text, user)) {
    if (part.token)
      ids.push_back(static_cast<int32_t>(part.token->id()));
    else
      encodePart(part.text, part.text.data() == text.data(), /*special=*/false, scratch, ids);
  }
  return ids;
}

std::string_view Tokenizer::contentOf(int32_t id) const {
  if (id < 0 || id >= size())
    throw TokenizerError(TokenizerError::Cause::BadArgument,
                         "a token id must be in 0 to " + std::to_string(size() - 1) + ", got " + std::to_string(id));
  if (!changedTexts.empty())
    if (auto changed = changedTexts.find(id); changed != changedTexts.end())
      return changed->second;
  return vocabulary[static_cast<uint32_t>(id)];
}

bool Tokenizer::isSpecial(int32_t id) const {
  contentOf(id);
  return specials[id];
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skipSpecial) const {
  std::string text;
  Decoder::State state;
  for (int32_t id : ids)
    if (std::string_view content = contentOf(id); !skipSpecial || !specials[id])
      decoder.put(state, content, text);
  decoder.finish(state, text);
  return text;
}

std::string StreamingDecoder::put(int32_t id) {
  std::string_view content = tokenizer.contentOf(id);
  std::string text;
  if (!skipSpecial || !tokenizer.isSpecial(id))
    tokenizer.decoder.put(state, content, text);
  return text;
}

std::string StreamingDecoder::flush() {
  std::string text;
  tokenizer.decoder.finish(state, text);
  return text;
}
