//===- WordPiece.cpp - longest pieces first -------------------------------===//
#include "runtime/tokenizer/WordPiece.h"
#include "runtime/tokenizer/TokenizerError.h"

#include <algorithm>
#include <string>

using namespace kerf::rt;
using kerf::schema::kNoToken;

// What stands before a continuation; two bytes in every published file.
static constexpr uint32_t kMaxPrefixBytes = 64;
// Bytes of a piece: a word takes its length times that of the longest.
static constexpr uint32_t kMaxPieceBytes = 4096;

WordPiece::WordPiece(const Vocabulary &vocabulary, const schema::WordPieceModel &model)
    : model(model), pieces(vocabulary, model.pieces()) {
  if (pieces.empty())
    badTable("the tokenizer's table of pieces must be there, got none");
  if (!model.prefix() || model.prefix()->size() > kMaxPrefixBytes)
    badTable("the tokenizer's prefix of continuations must have at most " + std::to_string(kMaxPrefixBytes) + " bytes");
  if (pieces.longest() > kMaxPieceBytes)
    badTable("the pieces of words must have at most " + std::to_string(kMaxPieceBytes) + " bytes, got " +
             std::to_string(pieces.longest()));
  if (model.unknown() >= vocabulary.size())
    badTable("the unknown token must be below " + std::to_string(vocabulary.size()) + ", got " +
             std::to_string(model.unknown()));
}

static bool continuesCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

void WordPiece::encode(std::string_view word, std::vector<int32_t> &out) const {
  const size_t before = out.size();
  auto characters = std::count_if(word.begin(), word.end(), [](char byte) { return !continuesCharacter(byte); });
  // A word that is too long is unknown like one that cannot be spelled: nothing of it is read.
  const std::string_view readable = static_cast<uint64_t>(characters) > model.longest() ? std::string_view() : word;
  const std::string_view prefix = model.prefix()->string_view();
  std::string candidate;
  size_t start = 0;
  while (start < readable.size()) {
    candidate.assign(start ? prefix : std::string_view());
    const size_t head = candidate.size();
    const size_t most = pieces.longest() < head ? 0 : pieces.longest() - head;
    candidate.append(word.substr(start, most));
    // One pass hashes every candidate; the last that is a token is the longest.
    uint32_t best = kNoToken;
    size_t length = 0;
    schema::PieceHash hash;
    hash.add(std::string_view(candidate).substr(0, head));
    for (size_t i = head; i < candidate.size(); ++i) {
      hash.add({&candidate[i], 1});
      size_t end = start + i + 1 - head;
      if (end < word.size() && continuesCharacter(word[end]))
        continue;
      uint32_t token = pieces.find(std::string_view(candidate).substr(0, i + 1), hash.value());
      if (token != kNoToken) {
        best = token;
        length = i + 1 - head;
      }
    }
    if (best == kNoToken)
      break;
    out.push_back(static_cast<int32_t>(best));
    start += length;
  }
  if (start != word.size()) {
    out.resize(before);
    out.push_back(static_cast<int32_t>(model.unknown()));
  }
}
