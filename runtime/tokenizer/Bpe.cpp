//===- Bpe.cpp - byte pair encoding of one piece --------------------------===//
#include "runtime/tokenizer/Bpe.h"
#include "runtime/schema/TokenizerHash.h"
#include "runtime/tokenizer/TokenizerError.h"

#include <algorithm>
#include <string>

using namespace kerf::rt;
using kerf::schema::kNoToken;
using kerf::schema::MergeSlot;

static constexpr uint32_t kNone = 0xffffffffu;

[[noreturn]] static void bad(const std::string &message) {
  throw TokenizerError(TokenizerError::Cause::BadTable, message);
}

// An open-addressed table must be a power of two and have an empty slot, or a search would not end.
static void verifyTableShape(const char *name, uint32_t slots, uint32_t used) {
  if (slots & (slots - 1))
    bad(std::string("the tokenizer's ") + name + " must have a power of two of slots, got " + std::to_string(slots));
  if (slots && used == slots)
    bad(std::string("the tokenizer's ") + name + " must have an empty slot, got " + std::to_string(slots) +
        " full ones");
}

Bpe::Bpe(const schema::Tokenizer &table)
    : table(table), model(*table.model()), tokens(table.token_offsets()->size() - 1) {
  verifyBytes();
  verifyMerges();
  verifyPieces();
}

std::string_view Bpe::bytesOf(uint32_t token) const {
  uint32_t begin = table.token_offsets()->Get(token), end = table.token_offsets()->Get(token + 1);
  return {reinterpret_cast<const char *>(table.token_bytes()->data()) + begin, end - begin};
}

void Bpe::verifyBytes() const {
  uint32_t count = model.byte_tokens() ? model.byte_tokens()->size() : 0;
  if (count != 256)
    bad("the tokenizer must name the tokens of 256 bytes, got " + std::to_string(count));
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t token = model.byte_tokens()->Get(byte);
    // 0xC0, 0xC1 and 0xF5 to 0xFF are never part of UTF-8.
    bool unused = byte == 0xC0 || byte == 0xC1 || byte >= 0xF5;
    if (token == kNoToken && unused)
      continue;
    char self = static_cast<char>(byte);
    if (token >= tokens || bytesOf(token) != std::string_view(&self, 1))
      bad("the tokenizer must have a token for byte " + std::to_string(byte) + ", got id " + std::to_string(token));
  }
}

void Bpe::verifyMerges() const {
  if (!model.merges())
    return;
  uint32_t slots = model.merges()->size(), used = 0;
  for (const MergeSlot *slot : *model.merges())
    used += slot->left() != kNoToken;
  verifyTableShape("table of merges", slots, used);
  std::vector<uint32_t> ranks;
  ranks.reserve(used);
  for (const MergeSlot *slot : *model.merges()) {
    if (slot->left() == kNoToken)
      continue;
    std::string name = "the merge of ids " + std::to_string(slot->left()) + " and " + std::to_string(slot->right());
    if (slot->left() >= tokens || slot->right() >= tokens || slot->result() >= tokens)
      bad(name + " into " + std::to_string(slot->result()) + " must be of ids below " + std::to_string(tokens));
    std::string_view left = bytesOf(slot->left()), right = bytesOf(slot->right()), result = bytesOf(slot->result());
    if (left.empty() || right.empty() || result.size() != left.size() + right.size() ||
        result.substr(0, left.size()) != left || result.substr(left.size()) != right)
      bad(name + " must give their bytes joined, got id " + std::to_string(slot->result()));
    if (findMerge(slot->left(), slot->right()) != slot)
      bad(name + " must be found where its hash says, got another slot");
    ranks.push_back(slot->rank());
  }
  std::sort(ranks.begin(), ranks.end());
  auto twice = std::adjacent_find(ranks.begin(), ranks.end());
  if (twice != ranks.end())
    bad("each merge must have its own rank, got rank " + std::to_string(*twice) + " twice");
}

void Bpe::verifyPieces() const {
  uint32_t slots = model.whole_pieces() ? model.whole_pieces()->size() : 0, used = 0;
  if (model.ignore_merges() != (slots != 0))
    bad("the tokenizer's table of pieces must be there just if merges are ignored, got " + std::to_string(slots) +
        " slots");
  for (uint32_t i = 0; i < slots; ++i)
    used += model.whole_pieces()->Get(i) != kNoToken;
  verifyTableShape("table of pieces", slots, used);
  for (uint32_t i = 0; i < slots; ++i) {
    uint32_t token = model.whole_pieces()->Get(i);
    if (token == kNoToken)
      continue;
    if (token >= tokens || bytesOf(token).empty() || findPiece(bytesOf(token)) != token)
      bad("the tokenizer's table of pieces must lead to id " + std::to_string(token) + " by its bytes");
  }
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

uint32_t Bpe::findPiece(std::string_view bytes) const {
  const auto &pieces = *model.whole_pieces();
  uint32_t mask = pieces.size() - 1;
  for (uint32_t i = static_cast<uint32_t>(schema::pieceHash(bytes)) & mask;; i = (i + 1) & mask) {
    uint32_t token = pieces.Get(i);
    // An id out of range is refused by verifyPieces, which may meet it here first.
    if (token >= tokens || bytesOf(token) == bytes)
      return token;
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

void Bpe::encode(std::string_view piece, Scratch &scratch, std::vector<int32_t> &out) const {
  if (piece.size() >= kNone)
    throw TokenizerError(TokenizerError::Cause::BadArgument,
                         "a piece of text must have less than 4 GiB, got " + std::to_string(piece.size()) + " bytes");
  if (model.ignore_merges()) {
    uint32_t token = findPiece(piece);
    if (token != kNoToken) {
      out.push_back(static_cast<int32_t>(token));
      return;
    }
  }
  auto &symbols = scratch.symbols;
  auto &heap = scratch.heap;
  symbols.clear();
  heap.clear();
  uint32_t count = static_cast<uint32_t>(piece.size());
  symbols.reserve(count);
  for (uint32_t i = 0; i < count; ++i)
    symbols.push_back({model.byte_tokens()->Get(static_cast<unsigned char>(piece[i])), i ? i - 1 : kNone,
                       i + 1 < count ? i + 1 : kNone});
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
