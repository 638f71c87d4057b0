//===- Bpe.cpp - byte pair encoding of one piece --------------------------===//
#include "runtime/tokenizer/Bpe.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"

#include <algorithm>
#include <string>

using namespace kerf::rt;
using kerf::schema::kNoToken;
using kerf::schema::MergeSlot;

static constexpr uint32_t kNone = 0xffffffffu;

Bpe::Bpe(const Vocabulary &vocabulary, const schema::BpeModel &model)
    : vocabulary(vocabulary), model(model), pieces(vocabulary, model.whole_pieces()) {
  if ((model.ignore_merges() || model.characters()) == pieces.empty())
    badTable(std::string("the tokenizer's table of pieces must be there just if merges are ignored or symbols are "
                         "characters, got ") +
             (pieces.empty() ? "none" : "one"));
  if (model.characters() && model.unknown() != kNoToken && model.unknown() >= vocabulary.size())
    badTable("the unknown token must be below " + std::to_string(vocabulary.size()) + ", got " +
             std::to_string(model.unknown()));
  verifyBytes();
  verifyMerges();
}

// How a vocabulary of characters spells a byte.
static std::string spelledByte(uint32_t byte) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  return {'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
}

void Bpe::verifyBytes() const {
  uint32_t count = model.byte_tokens() ? model.byte_tokens()->size() : 0;
  if (model.characters() && count == 0)
    return;
  if (count != 256)
    badTable("the tokenizer must name the tokens of 256 bytes, got " + std::to_string(count));
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t token = model.byte_tokens()->Get(byte);
    // 0xC0, 0xC1 and 0xF5 to 0xFF are never part of UTF-8.
    bool unused = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
    if (token == kNoToken && (unused || model.characters()))
      continue;
    std::string self = model.characters() ? spelledByte(byte) : std::string(1, static_cast<char>(byte));
    if (token >= vocabulary.size() || vocabulary[token] != self)
      badTable("the tokenizer must have a token for byte " + std::to_string(byte) + ", got id " +
               std::to_string(token));
  }
}

void Bpe::verifyMerges() const {
  if (!model.merges())
    return;
  verifyTableShape("table of merges", model.merges()->size(),
                   [&](uint32_t i) { return model.merges()->Get(i)->left() != kNoToken; });
  std::vector<uint32_t> ranks;
  for (const MergeSlot *slot : *model.merges()) {
    if (slot->left() == kNoToken)
      continue;
    std::string name = "the merge of ids " + std::to_string(slot->left()) + " and " + std::to_string(slot->right());
    if (slot->left() >= vocabulary.size() || slot->right() >= vocabulary.size() || slot->result() >= vocabulary.size())
      badTable(name + " into " + std::to_string(slot->result()) + " must be of ids below " +
               std::to_string(vocabulary.size()));
    std::string_view left = vocabulary[slot->left()], right = vocabulary[slot->right()],
                     result = vocabulary[slot->result()];
    if (left.empty() || right.empty() || result.size() != left.size() + right.size() ||
        result.substr(0, left.size()) != left || result.substr(left.size()) != right)
      badTable(name + " must give their bytes joined, got id " + std::to_string(slot->result()));
    if (findMerge(slot->left(), slot->right()) != slot)
      badTable(name + " must be found where its hash says, got another slot");
    ranks.push_back(slot->rank());
  }
  std::sort(ranks.begin(), ranks.end());
  auto twice = std::adjacent_find(ranks.begin(), ranks.end());
  if (twice != ranks.end())
    badTable("each merge must have its own rank, got rank " + std::to_string(*twice) + " twice");
}

const MergeSlot *Bpe::findMerge(uint32_t left, uint32_t right) const {
  const auto *merges = model.merges();
  if (!merges || !merges->size())
    return nullptr;
  uint32_t mask = merges->size() - 1;
  for (uint32_t i = static_cast<uint32_t>(schema::mergeHash(left, right)) & mask;; i = (i + 1) & mask) {
    const MergeSlot *slot = merges->Get(i);
    if (slot->left() == kNoToken)
      return nullptr;
    if (slot->left() == left && slot->right() == right)
      return slot;
  }
}

// The heap's top is the candidate of the lowest rank, the leftmost of equals.
static constexpr auto kLater = [](const auto &a, const auto &b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
};

void Bpe::push(Scratch &scratch, uint32_t position) const {
  const Scratch::Symbol &symbol = scratch.symbols[position];
  if (symbol.right == kNone)
    return;
  if (const MergeSlot *merge = findMerge(symbol.token, scratch.symbols[symbol.right].token)) {
    scratch.heap.push_back({merge->rank(), position, merge->result()});
    std::push_heap(scratch.heap.begin(), scratch.heap.end(), kLater);
  }
}

// As in `tokenizers`, an unknown character waits for the next one that has a token of its own: one that falls back to
// bytes comes before it, and runs of unknown characters fuse across such bytes.
void Bpe::splitCharacters(std::string_view piece, std::vector<Scratch::Symbol> &symbols) const {
  bool waiting = false;
  auto add = [&](uint32_t token) { symbols.push_back({token, 0, 0}); };
  for (size_t i = 0, length = 0; i < piece.size(); i += length) {
    length = readUtf8(piece.substr(i)).length;
    std::string_view character = piece.substr(i, length);
    if (uint32_t token = pieces.find(character); token != kNoToken) {
      if (waiting)
        add(model.unknown());
      waiting = false;
      add(token);
      continue;
    }
    auto hasToken = [&](unsigned char byte) { return model.byte_tokens()->Get(byte) != kNoToken; };
    if (model.byte_tokens() && model.byte_tokens()->size() &&
        std::all_of(character.begin(), character.end(), hasToken)) {
      for (unsigned char byte : character)
        add(model.byte_tokens()->Get(byte));
      continue;
    }
    if (model.unknown() == kNoToken)
      continue;
    if (waiting && !model.fuse_unknown())
      add(model.unknown());
    waiting = true;
  }
  if (waiting)
    add(model.unknown());
}

void Bpe::encode(std::string_view piece, Scratch &scratch, std::vector<int32_t> &out) const {
  if (piece.size() >= kNone)
    throw TokenizerError(TokenizerError::Cause::BadArgument,
                         "a piece of text must have less than 4 GiB, got " + std::to_string(piece.size()) + " bytes");
  if (model.ignore_merges()) {
    uint32_t token = pieces.find(piece);
    if (token != kNoToken) {
      out.push_back(static_cast<int32_t>(token));
      return;
    }
  }
  auto &symbols = scratch.symbols;
  auto &heap = scratch.heap;
  symbols.clear();
  heap.clear();
  symbols.reserve(piece.size());
  if (model.characters())
    splitCharacters(piece, symbols);
  else
    for (unsigned char byte : piece)
      symbols.push_back({model.byte_tokens()->Get(byte), 0, 0});
  uint32_t count = static_cast<uint32_t>(symbols.size());
  for (uint32_t i = 0; i < count; ++i) {
    symbols[i].left = i ? i - 1 : kNone;
    symbols[i].right = i + 1 < count ? i + 1 : kNone;
  }
  for (uint32_t i = 0; i < count; ++i)
    push(scratch, i);

  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), kLater);
    Scratch::Candidate best = heap.back();
    heap.pop_back();
    Scratch::Symbol &left = symbols[best.position];
    if (left.token == kNoToken || left.right == kNone)
      continue;
    Scratch::Symbol &right = symbols[left.right];
    const MergeSlot *merge = findMerge(left.token, right.token);
    if (!merge || merge->result() != best.result)
      continue;
    left.token = best.result;
    right.token = kNoToken;
    left.right = right.right;
    if (left.right != kNone)
      symbols[left.right].left = best.position;
    push(scratch, best.position);
    if (left.left != kNone)
      push(scratch, left.left);
  }
  for (uint32_t i = 0; i != kNone && i < count; i = symbols[i].right)
    out.push_back(static_cast<int32_t>(symbols[i].token));
}
