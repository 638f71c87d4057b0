//===- Vocabulary.cpp - ids and what they stand for -----------------------===//
#include "runtime/tokenizer/Vocabulary.h"
#include "runtime/tokenizer/TokenizerError.h"

#include <algorithm>

using namespace kerf::rt;
using kerf::schema::kNoToken;

// Far above any vocabulary in use; keeps ids within int32_t.
static constexpr uint32_t kMaxTokens = 1u << 22;

Vocabulary::Vocabulary(const schema::Tokenizer &table) : table(table) {
  if (!table.token_bytes() || !table.token_offsets())
    badTable("the tokenizer must have token bytes and token offsets");
  bytes = reinterpret_cast<const char *>(table.token_bytes()->data());
  const auto &offsets = *table.token_offsets();
  if (offsets.size() < 2 || offsets.size() - 1 > kMaxTokens)
    badTable("the tokenizer must have 1 to " + std::to_string(kMaxTokens) + " tokens, got " +
             std::to_string(int64_t(offsets.size()) - 1));
  count = offsets.size() - 1;
  if (offsets.Get(0) != 0 || offsets.Get(count) != table.token_bytes()->size())
    badTable("the tokenizer's token offsets must run from 0 to " + std::to_string(table.token_bytes()->size()) +
             ", got " + std::to_string(offsets.Get(0)) + " to " + std::to_string(offsets.Get(count)));
  for (uint32_t i = 0; i < count; ++i)
    if (offsets.Get(i) > offsets.Get(i + 1))
      badTable("the tokenizer's token offsets must not fall, got " + std::to_string(offsets.Get(i)) + " and then " +
               std::to_string(offsets.Get(i + 1)));
}

PieceTable::PieceTable(const Vocabulary &vocabulary, const Slots *given)
    : vocabulary(vocabulary), slots(given && given->size() ? given : nullptr) {
  if (!slots)
    return;
  verifyTableShape("table of pieces", slots->size(), [&](uint32_t i) { return slots->Get(i) != kNoToken; });
  for (uint32_t token : *slots) {
    if (token == kNoToken)
      continue;
    if (token >= vocabulary.size() || vocabulary[token].empty() || find(vocabulary[token]) != token)
      badTable("the tokenizer's table of pieces must lead to id " + std::to_string(token) + " by its bytes");
    longest_ = std::max(longest_, static_cast<uint32_t>(vocabulary[token].size()));
  }
}

uint32_t PieceTable::find(std::string_view bytes, uint64_t hash) const {
  uint32_t mask = slots->size() - 1;
  for (uint32_t i = static_cast<uint32_t>(hash) & mask;; i = (i + 1) & mask) {
    uint32_t token = slots->Get(i);
    // An id out of range is refused by the constructor, which may meet it here first.
    if (token >= vocabulary.size() || vocabulary[token] == bytes)
      return token;
  }
}
