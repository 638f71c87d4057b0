//===- TokenizerJson.cpp - tokenizer.json into the package ----------------===//
#include "codegen/package/TokenizerJson.h"
#include "codegen/package/TokenizerReader.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringSwitch.h"

using namespace kerf;
using namespace llvm;
using flatbuffers::Offset;
using simdjson::dom::element;
using Reader = TokenizerReader;

// The largest published files, of 260,000 tokens, have 35 MB; the deepest have 6 levels.
static constexpr JsonLimits kLimits = {256u << 20, 32};

void Reader::forEachObject(ObjectReader &reader, StringRef key, function_ref<void(ObjectReader)> visit) {
  const element *value = reader.take(key);
  simdjson::dom::array items;
  if (!value || value->get_array().get(items))
    return reader.wrong(key, "be an array of objects");
  size_t i = 0;
  for (element item : items) {
    std::string where = (reader.where() + ": " + key + "[" + Twine(i++) + "]").str();
    if (item.is_object())
      visit(ObjectReader(where, item, problems, ignored));
    else
      problems.add(where + ": must be an object, got " + describe(item));
  }
}

void Reader::readAddedTokens(ObjectReader &top) {
  if (!top.take("added_tokens"))
    return;
  StringMap<int64_t> seen;
  forEachObject(top, "added_tokens", [&](ObjectReader token) {
    int64_t id = token.integer("id", {0, kMaxId});
    const element *value = token.take("content");
    std::string_view text;
    if (!value || value->get_string().get(text) || text.empty() || text.size() > 4096)
      return token.wrong("content", "be a string of 1 to 4096 bytes");
    StringRef content(text);
    bool special = token.booleanOr("special", false);
    bool singleWord = token.booleanOr("single_word", false), lstrip = token.booleanOr("lstrip", false);
    bool rstrip = token.booleanOr("rstrip", false), normalized = token.booleanOr("normalized", !special);
    token.finish(kNotUnderstood);
    if (!seen.try_emplace(content, id).second)
      return token.problem("content '" + content + "' must be added once, got it twice");
    auto own = idOf.find(content);
    if (own != idOf.end() && own->second != id)
      return token.problem("'" + content + "' must have the id that the vocabulary gives it, " + Twine(own->second) +
                           ", got " + Twine(id));
    setContent(token, static_cast<uint32_t>(id), content);
    addedTokens.push_back(schema::CreateAddedToken(builder, static_cast<uint32_t>(id),
                                                   builder.CreateString(content.data(), content.size()), singleWord,
                                                   lstrip, rstrip, normalized, special));
  });
}

std::string Reader::character(ObjectReader &reader, StringRef key) {
  std::string text = reader.string(key);
  // JSON is valid UTF-8: one character has one byte that does not continue another.
  if (count_if(text, [](char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }) == 1)
    return text;
  reader.wrong(key, "be one character");
  return "?";
}

schema::Prefix Reader::readPrefix(ObjectReader &step) {
  step.ignore("str_rep", "it is 'replacement' again");
  std::string scheme = step.stringOr("prepend_scheme", "always");
  // What files said before there was "prepend_scheme".
  bool space = step.booleanOr("add_prefix_space", true);
  auto prefix = StringSwitch<std::optional<schema::Prefix>>(scheme)
                    .Case("always", schema::Prefix::All)
                    .Case("first", schema::Prefix::First)
                    .Case("never", schema::Prefix::None)
                    .Default(std::nullopt);
  if (!prefix)
    step.wrong("prepend_scheme", "be one of always, first, never");
  else if (!space && prefix != schema::Prefix::None)
    step.wrong("add_prefix_space", "be true unless 'prepend_scheme' is \"never\"");
  return prefix.value_or(schema::Prefix::None);
}

Expected<Offset<schema::Tokenizer>> Reader::run() {
  ObjectReader top(document.name(), document.root(), problems, ignored);
  if (std::string version = top.stringOr("version", "1.0"); version != "1.0")
    top.wrong("version", "be \"1.0\"");
  top.ignore("truncation", "the caller bounds its prompts");
  top.ignore("padding", "Kerf pads nothing");
  if (top.take("normalizer"))
    readNormalizer(top.object("normalizer"));
  if (top.take("pre_tokenizer"))
    readPreTokenizer(top.object("pre_tokenizer"));
  readModel(top.object("model"));
  readAddedTokens(top);
  if (top.take("post_processor"))
    readPostProcessor(top.object("post_processor"));
  readDecoder(top.object("decoder"));
  if (byteLevel && wordPiece)
    top.problem("key 'pre_tokenizer' must have no ByteLevel step before a WordPiece model");
  if (byteLevel != byteLevelDecoder)
    top.problem(Twine("pre-tokenizer and decoder must both be ByteLevel or neither, got it in the ") +
                (byteLevel ? "pre-tokenizer" : "decoder") + " alone");
  if (prefixesFirst && dropsText)
    top.problem("key 'pre_tokenizer' must not ask for a space before the first piece (\"first\") after a normalizer "
                "that can drop text: Kerf does not know then which piece was first");
  top.finish(kNotUnderstood);
  // An id far from the others would make a table of gaps.
  if (contents.size() > 4 * contentCount + 1024)
    top.problem("ids must be dense, got " + Twine(contentCount) + " tokens with ids up to " +
                Twine(contents.size() - 1));
  if (Error error = problems.take())
    return std::move(error);
  Offset<schema::Tokenizer> table = write();
  if (crowded)
    return importError(document.name() + ": at most " + Twine(schema::kMostFullSlots) +
                       " tokens or merges in a row must collide in a hash table, got more; no vocabulary that was " +
                       "trained does that");
  return table;
}

Offset<schema::Tokenizer> Reader::write() {
  std::vector<uint8_t> bytes;
  std::vector<uint32_t> offsets = {0};
  for (const std::optional<StringRef> &content : contents) {
    if (content) {
      std::string text = written(*content);
      bytes.insert(bytes.end(), text.begin(), text.end());
    }
    offsets.push_back(static_cast<uint32_t>(bytes.size()));
  }
  auto byteOffset = builder.CreateVector(bytes);
  auto offsetOffset = builder.CreateVector(offsets);
  auto normalizerOffset = builder.CreateVector(normalizers);
  auto preTokenizerOffset = builder.CreateVector(preTokenizers);
  auto bpeOffset = wordPiece ? 0 : writeBpe();
  auto addedOffset = builder.CreateVector(addedTokens);
  auto prefixOffset = builder.CreateVector(prefix);
  auto suffixOffset = builder.CreateVector(suffix);
  auto decoderOffset = decoderSteps.empty() ? 0 : builder.CreateVector(decoderSteps);
  auto wordPieceOffset = wordPiece ? writeWordPiece() : 0;
  return schema::CreateTokenizer(builder, byteOffset, offsetOffset, normalizerOffset, preTokenizerOffset, bpeOffset,
                                 addedOffset, prefixOffset, suffixOffset,
                                 byteLevelDecoder ? schema::DecoderKind::ByteLevel : schema::DecoderKind::Steps,
                                 decoderOffset, wordPieceOffset);
}

Expected<Offset<schema::Tokenizer>> kerf::buildTokenizerFromText(flatbuffers::FlatBufferBuilder &builder,
                                                                 StringRef name, StringRef text,
                                                                 std::vector<IgnoredKey> &ignored) {
  Expected<JsonDocument> document = JsonDocument::parse(name, text, kLimits);
  if (!document)
    return document.takeError();
  return TokenizerReader(builder, *document, ignored).run();
}

Expected<Offset<schema::Tokenizer>> kerf::buildTokenizer(flatbuffers::FlatBufferBuilder &builder, StringRef path,
                                                         std::vector<IgnoredKey> &ignored) {
  Expected<JsonDocument> document = JsonDocument::readFile(path, kLimits);
  if (!document)
    return document.takeError();
  return TokenizerReader(builder, *document, ignored).run();
}
