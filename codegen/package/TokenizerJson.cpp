//===- TokenizerJson.cpp - tokenizer.json into the package ----------------===//
#include "codegen/package/TokenizerJson.h"
#include "codegen/package/RegexDialect.h"
#include "runtime/schema/TokenizerHash.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"

#include <array>
#include <bit>

using namespace kerf;
using namespace llvm;
using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using schema::kNoToken;
using simdjson::dom::element;

namespace {

// The largest published files, of 260,000 tokens, have 35 MB; the deepest have 6 levels.
constexpr JsonLimits kLimits = {256u << 20, 32};
// The runtime refuses more.
constexpr int64_t kMaxId = (1 << 22) - 1;
constexpr StringRef kNotUnderstood = "this Kerf cannot tell what it would change";

// The pattern of GPT-2, which ByteLevel applies unless told otherwise.
constexpr StringRef kByteLevelPattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

//===----------------------------------------------------------------------===//
// The byte-level alphabet
//===----------------------------------------------------------------------===//

// GPT-2 writes each byte as one visible character: those visible in Latin-1 stand for themselves, the other 68 are
// U+0100 onwards.
struct Alphabet {
  std::array<uint16_t, 256> characterOf;
  std::array<int16_t, 0x144> byteOf;

  constexpr Alphabet() : characterOf(), byteOf() {
    byteOf.fill(-1);
    uint16_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      bool visible = (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte != 0xAD);
      characterOf[byte] = visible ? byte : next++;
      byteOf[characterOf[byte]] = static_cast<int16_t>(byte);
    }
  }
};
constexpr Alphabet kAlphabet;

// The bytes that `content` (valid UTF-8) spells; nothing if one of its characters stands for no byte.
std::optional<std::string> spelledBytes(StringRef content) {
  std::string bytes;
  for (size_t i = 0; i < content.size(); ++i) {
    unsigned character = static_cast<unsigned char>(content[i]);
    // All of the alphabet takes one or two bytes.
    if (character >= 0xE0)
      return std::nullopt;
    if (character >= 0x80)
      character = (character & 0x1F) << 6 | (static_cast<unsigned char>(content[++i]) & 0x3F);
    if (character >= kAlphabet.byteOf.size() || kAlphabet.byteOf[character] < 0)
      return std::nullopt;
    bytes += static_cast<char>(kAlphabet.byteOf[character]);
  }
  return bytes;
}

std::string characterOfByte(unsigned byte) {
  unsigned character = kAlphabet.characterOf[byte];
  if (character < 0x80)
    return std::string(1, static_cast<char>(character));
  return {static_cast<char>(0xC0 | character >> 6), static_cast<char>(0x80 | (character & 0x3F))};
}

//===----------------------------------------------------------------------===//
// The reader
//===----------------------------------------------------------------------===//

struct Merge {
  uint32_t left, right, rank, result;
};

class Reader {
public:
  Reader(FlatBufferBuilder &builder, const JsonDocument &document, std::vector<IgnoredKey> &ignored)
      : builder(builder), document(document), ignored(ignored) {}

  Expected<Offset<schema::Tokenizer>> run();

private:
  void readModel(ObjectReader model);
  void readVocabulary(ObjectReader vocabulary);
  void readMerges(ObjectReader &model);
  void readMerge(ObjectReader &model, StringRef left, StringRef right, uint32_t rank);
  void readAddedTokens(ObjectReader &top);
  void readNormalizer(ObjectReader step);
  void readPreTokenizer(ObjectReader step);
  void readSplit(ObjectReader &step);
  void readByteLevel(ObjectReader &step);
  void readPostProcessor(ObjectReader step);
  void readTemplate(ObjectReader &step);
  void readDecoder(ObjectReader step);

  // Calls `visit` with a reader of each object of the array at `key`.
  void forEachObject(ObjectReader &reader, StringRef key, function_ref<void(ObjectReader)> visit);
  void addSplit(std::string pattern, schema::SplitBehavior behavior, bool invert);
  Offset<schema::BpeModel> writeModel();
  void setContent(ObjectReader &where, uint32_t id, StringRef content);

  FlatBufferBuilder &builder;
  const JsonDocument &document;
  std::vector<IgnoredKey> &ignored;
  Problems problems;

  // The model's own tokens, and what each id is (added tokens included; null where there is a gap).
  StringMap<uint32_t> idOf;
  std::vector<std::optional<StringRef>> contents;
  size_t contentCount = 0;
  std::vector<Merge> merges;
  bool ignoreMerges = false;
  bool byteLevel = false;
  std::vector<Offset<schema::NormalizerStep>> normalizers;
  std::vector<Offset<schema::PreTokenizerStep>> preTokenizers;
  std::vector<Offset<schema::AddedToken>> addedTokens;
  std::vector<uint32_t> prefix, suffix;
};

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

void Reader::setContent(ObjectReader &where, uint32_t id, StringRef content) {
  if (id >= contents.size())
    contents.resize(id + 1);
  if (contents[id] && *contents[id] != content)
    return where.problem("id " + Twine(id) + " must be one token, got '" + *contents[id] + "' and '" + content + "'");
  if (!contents[id])
    ++contentCount;
  contents[id] = content;
}

//===----------------------------------------------------------------------===//
// Model
//===----------------------------------------------------------------------===//

void Reader::readModel(ObjectReader model) {
  std::string type = model.string("type");
  if (type != "BPE")
    return model.problem("key 'type' must be \"BPE\" (byte-level byte pair encoding), the only model that Kerf has, "
                         "got \"" +
                         Twine(type) + "\"");
  model.allowOnly("dropout", 0.0, "inference has no dropout", "dropout makes token ids random");
  for (StringRef key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (std::string affix = model.stringOr(key, ""); !affix.empty())
      model.wrong(key, "be null or empty: byte-level tokens have no affixes");
  model.allowOnly("byte_fallback", false, "a byte-level vocabulary has every byte",
                  "byte fallback belongs to vocabularies that are not byte-level");
  model.ignore("unk_token", "a byte-level vocabulary has every byte, so nothing is unknown");
  model.ignore("fuse_unk", "a byte-level vocabulary has every byte, so nothing is unknown");
  ignoreMerges = model.booleanOr("ignore_merges", false);
  readVocabulary(model.object("vocab"));
  readMerges(model);
  model.finish(kNotUnderstood);
}

void Reader::readVocabulary(ObjectReader vocabulary) {
  vocabulary.forEach([&](StringRef content, element value) {
    int64_t id;
    if (value.get_int64().get(id) || id < 0 || id > kMaxId)
      return vocabulary.problem("the id of '" + content + "' must be an integer from 0 to " + Twine(kMaxId) + ", got " +
                                describe(value));
    setContent(vocabulary, static_cast<uint32_t>(id), idOf.try_emplace(content, id).first->getKey());
  });
  for (unsigned byte = 0; byte < 256; ++byte) {
    // UTF-8 never has these.
    bool unused = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
    if (!unused && !idOf.contains(characterOfByte(byte)))
      vocabulary.problem("must have a token for each byte, as byte-level vocabularies do, got none for byte " +
                         Twine(byte) + " ('" + characterOfByte(byte) + "')");
  }
}

void Reader::readMerge(ObjectReader &model, StringRef left, StringRef right, uint32_t rank) {
  std::string joined = (left + right).str();
  auto leftId = idOf.find(left), rightId = idOf.find(right), result = idOf.find(joined);
  for (auto [id, content] : {std::pair(leftId, left), {rightId, right}, {result, StringRef(joined)}})
    if (id == idOf.end())
      return model.problem("merge " + Twine(rank) + " must be of tokens in the vocabulary, got '" + content + "'");
  if (left.empty() || right.empty() || !spelledBytes(joined))
    return model.problem("merge " + Twine(rank) + " must be of byte-level characters, got '" + left + "' and '" +
                         right + "'");
  merges.push_back({leftId->second, rightId->second, rank, result->second});
}

void Reader::readMerges(ObjectReader &model) {
  const element *value = model.take("merges");
  simdjson::dom::array items;
  if (!value || value->get_array().get(items))
    return model.wrong("merges", "be an array");
  uint32_t rank = 0;
  for (element item : items) {
    std::string_view left, right;
    simdjson::dom::array pair;
    if (!item.get_string().get(left)) {
      // The older form is a line of merges.txt, head line included.
      StringRef line(left);
      if (line.starts_with("#version"))
        continue;
      auto [first, second] = line.split(' ');
      if (second.empty() || second.contains(' '))
        return model.problem("merge " + Twine(rank) + " must be two tokens and one space, got '" + line + "'");
      readMerge(model, first, second, rank++);
      continue;
    }
    if (item.get_array().get(pair) || pair.size() != 2 || pair.at(0).get_string().get(left) ||
        pair.at(1).get_string().get(right))
      return model.problem("merge " + Twine(rank) + " must be a string or an array of two strings, got " +
                           describe(item));
    readMerge(model, left, right, rank++);
  }
}

// The smallest power of two of slots that `count` entries fill to at most three quarters.
uint32_t slotsFor(size_t count) { return std::bit_ceil(static_cast<uint32_t>(count * 4 / 3 + 1)); }

Offset<schema::BpeModel> Reader::writeModel() {
  std::vector<uint32_t> byteTokens;
  for (unsigned byte = 0; byte < 256; ++byte) {
    auto id = idOf.find(characterOfByte(byte));
    byteTokens.push_back(id == idOf.end() ? kNoToken : id->second);
  }

  // Of two merges of one pair the later counts, as in `tokenizers`.
  DenseMap<std::pair<uint32_t, uint32_t>, size_t> last;
  for (size_t i = 0; i < merges.size(); ++i)
    last[{merges[i].left, merges[i].right}] = i;
  std::vector<schema::MergeSlot> slots(slotsFor(last.size()), schema::MergeSlot(kNoToken, 0, 0, 0));
  for (size_t i = 0; i < merges.size(); ++i) {
    const Merge &merge = merges[i];
    if (last[{merge.left, merge.right}] != i)
      continue;
    size_t slot = schema::mergeHash(merge.left, merge.right) & (slots.size() - 1);
    while (slots[slot].left() != kNoToken)
      slot = (slot + 1) & (slots.size() - 1);
    slots[slot] = schema::MergeSlot(merge.left, merge.right, merge.rank, merge.result);
  }

  std::vector<uint32_t> pieces;
  if (ignoreMerges) {
    pieces.assign(slotsFor(idOf.size()), kNoToken);
    for (uint32_t id = 0; id < contents.size(); ++id) {
      // Added tokens that the model does not have are no pieces, nor is what no bytes can spell.
      if (!contents[id] || contents[id]->empty() || !idOf.contains(*contents[id]))
        continue;
      std::optional<std::string> bytes = spelledBytes(*contents[id]);
      if (!bytes)
        continue;
      size_t slot = schema::pieceHash(*bytes) & (pieces.size() - 1);
      while (pieces[slot] != kNoToken)
        slot = (slot + 1) & (pieces.size() - 1);
      pieces[slot] = id;
    }
  }
  auto byteOffset = builder.CreateVector(byteTokens);
  auto slotOffset = builder.CreateVectorOfStructs(slots);
  auto pieceOffset = ignoreMerges ? builder.CreateVector(pieces) : 0;
  return schema::CreateBpeModel(builder, byteOffset, slotOffset, ignoreMerges, pieceOffset);
}

//===----------------------------------------------------------------------===//
// Added tokens and normalizers
//===----------------------------------------------------------------------===//

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

void Reader::readNormalizer(ObjectReader step) {
  std::string type = step.string("type");
  if (type == "Sequence") {
    forEachObject(step, "normalizers", [&](ObjectReader inner) { readNormalizer(std::move(inner)); });
    return step.finish(kNotUnderstood);
  }
  auto form = StringSwitch<std::optional<schema::NormalForm>>(type)
                  .Case("NFC", schema::NormalForm::NFC)
                  .Case("NFD", schema::NormalForm::NFD)
                  .Case("NFKC", schema::NormalForm::NFKC)
                  .Case("NFKD", schema::NormalForm::NFKD)
                  .Default(std::nullopt);
  if (!form)
    return step.problem("normalizer must be one of NFC, NFD, NFKC, NFKD, Sequence, got \"" + Twine(type) + "\"");
  normalizers.push_back(schema::CreateNormalizerStep(builder, *form));
  step.finish(kNotUnderstood);
}

//===----------------------------------------------------------------------===//
// Pre-tokenizers
//===----------------------------------------------------------------------===//

void Reader::addSplit(std::string pattern, schema::SplitBehavior behavior, bool invert) {
  preTokenizers.push_back(schema::CreatePreTokenizerStep(builder, schema::PreTokenizerKind::Split,
                                                         builder.CreateString(pattern), behavior, invert));
}

void Reader::readSplit(ObjectReader &step) {
  ObjectReader pattern = step.object("pattern");
  std::string name = step.string("behavior");
  auto behavior = StringSwitch<std::optional<schema::SplitBehavior>>(name)
                      .Case("Isolated", schema::SplitBehavior::Isolated)
                      .Case("Removed", schema::SplitBehavior::Removed)
                      .Case("MergedWithPrevious", schema::SplitBehavior::MergedWithPrevious)
                      .Case("MergedWithNext", schema::SplitBehavior::MergedWithNext)
                      .Case("Contiguous", schema::SplitBehavior::Contiguous)
                      .Default(std::nullopt);
  if (!behavior)
    return step.wrong("behavior", "be one of Isolated, Removed, MergedWithPrevious, MergedWithNext, Contiguous");
  bool invert = step.booleanOr("invert", false);
  if (pattern.has("String")) {
    std::string text = pattern.string("String");
    if (text.empty())
      return pattern.wrong("String", "have at least one character");
    addSplit(escapePattern(text), *behavior, invert);
  } else {
    Expected<std::string> translated = translateOnigurumaPattern(pattern.string("Regex"));
    if (!translated)
      return pattern.problem(toString(translated.takeError()));
    addSplit(*translated, *behavior, invert);
  }
  pattern.finish(kNotUnderstood);
}

void Reader::readByteLevel(ObjectReader &step) {
  byteLevel = true;
  if (step.booleanOr("add_prefix_space", true))
    preTokenizers.push_back(schema::CreatePreTokenizerStep(builder, schema::PreTokenizerKind::PrefixSpace));
  if (step.booleanOr("use_regex", true))
    addSplit(cantFail(translateOnigurumaPattern(kByteLevelPattern)), schema::SplitBehavior::Isolated, false);
  step.ignore("trim_offsets", "Kerf gives out ids, not offsets");
}

void Reader::readPreTokenizer(ObjectReader step) {
  std::string type = step.string("type");
  if (byteLevel)
    return step.problem("ByteLevel must be the last pre-tokenizer, got \"" + Twine(type) + "\" after it");
  if (type == "Sequence") {
    forEachObject(step, "pretokenizers", [&](ObjectReader inner) { readPreTokenizer(std::move(inner)); });
  } else if (type == "Split") {
    readSplit(step);
  } else if (type == "ByteLevel") {
    readByteLevel(step);
  } else if (type == "Digits") {
    bool individual = step.booleanOr("individual_digits", false);
    addSplit("\\p{N}", individual ? schema::SplitBehavior::Isolated : schema::SplitBehavior::Contiguous, false);
  } else {
    return step.problem("pre-tokenizer must be one of Split, Digits, ByteLevel, Sequence, got \"" + Twine(type) + "\"");
  }
  step.finish(kNotUnderstood);
}

//===----------------------------------------------------------------------===//
// Post-processors and the decoder
//===----------------------------------------------------------------------===//

static constexpr StringRef kByteLevelOptions[] = {"add_prefix_space", "trim_offsets", "use_regex"};

void Reader::readTemplate(ObjectReader &step) {
  step.ignore("pair", "Kerf encodes one text at a time");
  StringMap<std::vector<int64_t>> idsOf;
  ObjectReader tokens = step.object("special_tokens");
  tokens.forEach([&](StringRef name, element value) {
    ObjectReader token(tokens.where() + ": " + name, value, problems, ignored);
    token.string("id");
    token.strings("tokens");
    idsOf[name] = token.integerOrList("ids", {0, kMaxId});
    token.finish(kNotUnderstood);
  });
  std::vector<uint32_t> before, after;
  unsigned texts = 0;
  forEachObject(step, "single", [&](ObjectReader item) {
    if (item.has("Sequence")) {
      ObjectReader text = item.object("Sequence");
      if (text.string("id") != "A")
        text.wrong("id", "be \"A\", the one text");
      ++texts;
    } else {
      std::string name = item.object("SpecialToken").string("id");
      auto ids = idsOf.find(name);
      if (ids == idsOf.end() || ids->second.empty())
        return item.problem("must name one of the template's special tokens, got '" + Twine(name) + "'");
      for (int64_t id : ids->second) {
        if (id >= static_cast<int64_t>(contents.size()) || !contents[id])
          return item.problem("must have the id of a token, got " + Twine(id));
        (texts ? after : before).push_back(static_cast<uint32_t>(id));
      }
    }
    item.finish(kNotUnderstood);
  });
  if (texts != 1)
    return step.problem("key 'single' must have the text once, got it " + Twine(texts) + " times");
  prefix.insert(prefix.begin(), before.begin(), before.end());
  suffix.insert(suffix.end(), after.begin(), after.end());
}

void Reader::readPostProcessor(ObjectReader step) {
  std::string type = step.string("type");
  if (type == "Sequence") {
    forEachObject(step, "processors", [&](ObjectReader inner) { readPostProcessor(std::move(inner)); });
  } else if (type == "TemplateProcessing") {
    readTemplate(step);
  } else if (type == "ByteLevel") {
    for (StringRef key : kByteLevelOptions)
      step.ignore(key, "it changes offsets, which Kerf does not give out");
  } else {
    return step.problem("post-processor must be one of TemplateProcessing, ByteLevel, Sequence, got \"" + Twine(type) +
                        "\"");
  }
  step.finish(kNotUnderstood);
}

void Reader::readDecoder(ObjectReader step) {
  std::string type = step.string("type");
  if (type == "Sequence") {
    unsigned count = 0;
    forEachObject(step, "decoders", [&](ObjectReader inner) {
      ++count;
      readDecoder(std::move(inner));
    });
    if (count != 1)
      step.problem("decoder must be ByteLevel alone, got " + Twine(count) + " decoders");
  } else if (type == "ByteLevel") {
    for (StringRef key : kByteLevelOptions)
      step.ignore(key, "decoding joins the bytes of tokens whatever it says");
  } else {
    return step.problem("decoder must be ByteLevel, got \"" + Twine(type) + "\"");
  }
  step.finish(kNotUnderstood);
}

//===----------------------------------------------------------------------===//
// The whole
//===----------------------------------------------------------------------===//

Expected<Offset<schema::Tokenizer>> Reader::run() {
  ObjectReader top(document.name(), document.root(), problems, ignored);
  if (std::string version = top.stringOr("version", "1.0"); version != "1.0")
    top.wrong("version", "be \"1.0\"");
  top.ignore("truncation", "the caller bounds its prompts");
  top.ignore("padding", "Kerf pads nothing");
  readModel(top.object("model"));
  readAddedTokens(top);
  if (top.take("normalizer"))
    readNormalizer(top.object("normalizer"));
  if (top.take("pre_tokenizer"))
    readPreTokenizer(top.object("pre_tokenizer"));
  if (!byteLevel)
    top.problem("key 'pre_tokenizer' must have a ByteLevel step, the only kind of vocabulary that Kerf has, got none");
  if (top.take("post_processor"))
    readPostProcessor(top.object("post_processor"));
  readDecoder(top.object("decoder"));
  top.finish(kNotUnderstood);
  // An id far from the others would make a table of gaps.
  if (contents.size() > 4 * contentCount + 1024)
    top.problem("ids must be dense, got " + Twine(contentCount) + " tokens with ids up to " +
                Twine(contents.size() - 1));
  if (Error error = problems.take())
    return std::move(error);

  std::vector<uint8_t> bytes;
  std::vector<uint32_t> offsets = {0};
  for (const std::optional<StringRef> &content : contents) {
    if (content) {
      std::string spelled = spelledBytes(*content).value_or(content->str());
      bytes.insert(bytes.end(), spelled.begin(), spelled.end());
    }
    offsets.push_back(static_cast<uint32_t>(bytes.size()));
  }
  auto byteOffset = builder.CreateVector(bytes);
  auto offsetOffset = builder.CreateVector(offsets);
  auto normalizerOffset = builder.CreateVector(normalizers);
  auto preTokenizerOffset = builder.CreateVector(preTokenizers);
  auto modelOffset = writeModel();
  auto addedOffset = builder.CreateVector(addedTokens);
  auto prefixOffset = builder.CreateVector(prefix);
  auto suffixOffset = builder.CreateVector(suffix);
  return schema::CreateTokenizer(builder, byteOffset, offsetOffset, normalizerOffset, preTokenizerOffset, modelOffset,
                                 addedOffset, prefixOffset, suffixOffset, schema::DecoderKind::ByteLevel);
}

} // namespace

Expected<Offset<schema::Tokenizer>> kerf::buildTokenizerFromText(FlatBufferBuilder &builder, StringRef name,
                                                                 StringRef text, std::vector<IgnoredKey> &ignored) {
  Expected<JsonDocument> document = JsonDocument::parse(name, text, kLimits);
  if (!document)
    return document.takeError();
  return Reader(builder, *document, ignored).run();
}

Expected<Offset<schema::Tokenizer>> kerf::buildTokenizer(FlatBufferBuilder &builder, StringRef path,
                                                         std::vector<IgnoredKey> &ignored) {
  Expected<JsonDocument> document = JsonDocument::readFile(path, kLimits);
  if (!document)
    return document.takeError();
  return Reader(builder, *document, ignored).run();
}
