//===- TokenizerModel.cpp - models of tokenizer.json ----------------------===//
#include "codegen/package/TokenizerReader.h"
#include "runtime/schema/TokenizerHash.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringExtras.h"

#include <array>
#include <bit>

using namespace kerf;
using namespace llvm;
using flatbuffers::Offset;
using schema::kNoToken;
using simdjson::dom::element;
using Reader = TokenizerReader;

namespace {

// The runtime refuses more.
constexpr size_t kMaxContinuation = 64;
// Far above any in use; a pair of tokens may be given in many ways, so that the vocabulary does not bound them.
constexpr uint32_t kMaxMerges = 1 << 22;

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

} // namespace

void Reader::readModel(ObjectReader model) {
  // The oldest files name no type, and are told apart by their keys.
  std::string type = model.stringOr("type", model.has("merges")                     ? "BPE"
                                            : model.has("max_input_chars_per_word") ? "WordPiece"
                                                                                    : "none");
  if (type == "BPE")
    readBpe(model);
  else if (type == "WordPiece")
    readWordPiece(model);
  else
    return model.problem("key 'type' must be \"BPE\" or \"WordPiece\", the models that Kerf has, got \"" + Twine(type) +
                         "\"");
  model.finish(kNotUnderstood);
}

void Reader::readBpe(ObjectReader &model) {
  model.allowOnly("dropout", 0.0, "inference has no dropout", "dropout makes token ids random");
  for (StringRef key : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (std::string affix = model.stringOr(key, ""); !affix.empty())
      model.wrong(key, "be null or empty: Kerf's byte pair encoding has no affixes");
  ignoreMerges = model.booleanOr("ignore_merges", false);
  readVocabulary(model.object("vocab"));
  if (byteLevel) {
    model.allowOnly("byte_fallback", false, "a byte-level vocabulary has every byte",
                    "byte fallback belongs to vocabularies that are not byte-level");
    model.ignore("unk_token", "a byte-level vocabulary has every byte, so nothing is unknown");
    model.ignore("fuse_unk", "a byte-level vocabulary has every byte, so nothing is unknown");
    for (unsigned byte = 0; byte < 256; ++byte) {
      // UTF-8 never has these.
      bool unused = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
      if (!unused && !idOf.contains(characterOfByte(byte)))
        model.problem("key 'vocab' must have a token for each byte, as byte-level vocabularies do, got none for byte " +
                      Twine(byte) + " ('" + characterOfByte(byte) + "')");
    }
  } else {
    byteFallback = model.booleanOr("byte_fallback", false);
    fuseUnknown = model.booleanOr("fuse_unk", false);
    if (model.has("unk_token"))
      readUnknown(model);
    if (idOf.empty())
      model.wrong("vocab", "have at least one token");
  }
  readMerges(model);
}

void Reader::readWordPiece(ObjectReader &model) {
  wordPiece = true;
  continuation = model.string("continuing_subword_prefix");
  if (continuation.size() > kMaxContinuation)
    model.wrong("continuing_subword_prefix", "have at most " + Twine(kMaxContinuation) + " bytes");
  longestWord = static_cast<uint32_t>(model.integer("max_input_chars_per_word", {0, UINT32_MAX}));
  readVocabulary(model.object("vocab"));
  readUnknown(model);
}

void Reader::readUnknown(ObjectReader &model) {
  std::string content = model.string("unk_token");
  auto id = idOf.find(content);
  if (id == idOf.end())
    return model.wrong("unk_token", "be a token of the vocabulary");
  unknown = id->second;
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

void Reader::readVocabulary(ObjectReader vocabulary) {
  vocabulary.forEach([&](StringRef content, element value) {
    int64_t id;
    if (value.get_int64().get(id) || id < 0 || id > kMaxId)
      return vocabulary.problem("the id of '" + content + "' must be an integer from 0 to " + Twine(kMaxId) + ", got " +
                                describe(value));
    setContent(vocabulary, static_cast<uint32_t>(id), idOf.try_emplace(content, id).first->getKey());
  });
}

void Reader::readMerge(ObjectReader &model, StringRef left, StringRef right, uint32_t rank) {
  std::string joined = (left + right).str();
  auto leftId = idOf.find(left), rightId = idOf.find(right), result = idOf.find(joined);
  for (auto [id, content] : {std::pair(leftId, left), {rightId, right}, {result, StringRef(joined)}})
    if (id == idOf.end())
      return model.problem("merge " + Twine(rank) + " must be of tokens in the vocabulary, got '" + content + "'");
  if (left.empty() || right.empty())
    return model.problem("merge " + Twine(rank) + " must be of two tokens with at least one character");
  if (byteLevel && !spelledBytes(joined))
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
    if (rank > kMaxMerges)
      return model.problem("key 'merges' must have at most " + Twine(kMaxMerges) + " entries, got more");
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

//===----------------------------------------------------------------------===//
// The tables
//===----------------------------------------------------------------------===//

// The content of a token as the table has it.
std::string Reader::written(StringRef content) const {
  std::optional<std::string> bytes = byteLevel ? spelledBytes(content) : std::nullopt;
  return bytes ? *bytes : content.str();
}

// The smallest power of two of slots that `count` entries fill to at most three quarters.
static uint32_t slotsFor(size_t count) { return std::bit_ceil(static_cast<uint32_t>(count * 4 / 3 + 1)); }

std::vector<uint32_t> Reader::byteTokens() const {
  std::vector<uint32_t> tokens;
  if (!byteLevel && !byteFallback)
    return tokens;
  for (unsigned byte = 0; byte < 256; ++byte) {
    auto id = idOf.find(byteLevel ? characterOfByte(byte) : "<0x" + utohexstr(byte, /*LowerCase=*/false, 2) + ">");
    tokens.push_back(id == idOf.end() ? kNoToken : id->second);
  }
  return tokens;
}

// Where an entry of that hash goes.
template <typename IsEmpty> size_t Reader::emptySlot(size_t slots, uint64_t hash, IsEmpty isEmpty) {
  size_t slot = hash & (slots - 1);
  for (uint32_t passed = 0; !isEmpty(slot); slot = (slot + 1) & (slots - 1))
    if (++passed > schema::kMostFullSlots) {
      crowded = true;
      break;
    }
  return slot;
}

std::vector<uint32_t> Reader::pieceSlots() {
  std::vector<uint32_t> slots(slotsFor(idOf.size()), kNoToken);
  for (uint32_t id = 0; id < contents.size(); ++id) {
    // Added tokens that the model does not have are no pieces, nor is what no bytes can spell.
    if (!contents[id] || contents[id]->empty() || !idOf.contains(*contents[id]) ||
        (byteLevel && !spelledBytes(*contents[id])))
      continue;
    slots[emptySlot(slots.size(), schema::pieceHash(written(*contents[id])),
                    [&](size_t slot) { return slots[slot] == kNoToken; })] = id;
  }
  return slots;
}

Offset<schema::BpeModel> Reader::writeBpe() {
  // Of two merges of one pair the later counts, as in `tokenizers`.
  DenseMap<std::pair<uint32_t, uint32_t>, size_t> last;
  for (size_t i = 0; i < merges.size(); ++i)
    last[{merges[i].left, merges[i].right}] = i;
  std::vector<schema::MergeSlot> slots(slotsFor(last.size()), schema::MergeSlot(kNoToken, 0, 0, 0));
  for (size_t i = 0; i < merges.size(); ++i) {
    const Merge &merge = merges[i];
    if (last[{merge.left, merge.right}] != i)
      continue;
    slots[emptySlot(slots.size(), schema::mergeHash(merge.left, merge.right), [&](size_t slot) {
      return slots[slot].left() == kNoToken;
    })] = schema::MergeSlot(merge.left, merge.right, merge.rank, merge.result);
  }
  auto byteOffset = builder.CreateVector(byteTokens());
  auto slotOffset = builder.CreateVectorOfStructs(slots);
  auto pieceOffset = ignoreMerges || !byteLevel ? builder.CreateVector(pieceSlots()) : 0;
  return schema::CreateBpeModel(builder, byteOffset, slotOffset, ignoreMerges, pieceOffset, !byteLevel, unknown,
                                fuseUnknown);
}

Offset<schema::WordPieceModel> Reader::writeWordPiece() {
  auto pieceOffset = builder.CreateVector(pieceSlots());
  auto prefixOffset = builder.CreateString(continuation);
  return schema::CreateWordPieceModel(builder, pieceOffset, prefixOffset, unknown, longestWord);
}
