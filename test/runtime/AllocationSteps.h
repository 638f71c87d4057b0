// What a program does in steady state, done under the eyes of the counting allocator; for the hand-written model and
// for compiled ones.
#ifndef KERF_TEST_RUNTIME_ALLOCATIONSTEPS_H
#define KERF_TEST_RUNTIME_ALLOCATIONSTEPS_H

#include "kerf/kerf.h"
#include "test/runtime/AllocationCounter.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace kerf::test {

/// Expects that nothing is allocated by: a step of T tokens in a new sequence, for every T from 0 to as many as `ids`,
/// with logits of all or of the last; a fork, and a step of both where there is room, with a copied page and a token
/// drawn; saving and restoring; truncation and closing. The context has room for two sequences and for as many tokens
/// and rows of logits as `ids` in a step, and none is open.
inline void expectNothingAllocated(kerf_context *context, std::span<const int32_t> ids, const std::string &where) {
  std::vector<uint8_t> saved; // as large as the longest sequence needs
  for (uint32_t left = uint32_t(ids.size()) + 1; left > 0; --left) {
    const uint32_t tokens = left - 1;
    const uint32_t logits = tokens % 2 ? KERF_LOGITS_ALL : KERF_LOGITS_LAST;
    kerf_error error = {};
    size_t size = 0;
    kerf_code code = KERF_OK;
    const auto must = [&](auto call, auto... arguments) { code = code ? code : call(arguments..., &error); };
    AllocationWatch watch;
    kerf_sequence *sequence = nullptr, *fork = nullptr;
    must(kerf_sequence_create, context, &sequence);
    kerf_step_entry entries[2] = {{sequence, ids.data(), tokens, logits, nullptr}, {}};
    kerf_step step = {sizeof step, sizeof entries[0], 1, entries};
    must(kerf_context_step, context, &step);
    must(kerf_sequence_fork, sequence, &fork);
    if (tokens < ids.size()) {
      const kerf_sampling sampling = {1, 0.9f, tokens % 2 ? 20u : 0u, 0, uint64_t(tokens) << 56};
      entries[0] = {sequence, ids.data(), 1, KERF_LOGITS_LAST, &sampling};
      entries[1] = {fork, ids.data(), 1, KERF_LOGITS_ALL, nullptr};
      step.entry_count = 2;
      must(kerf_context_step, context, &step);
    }
    must(kerf_sequence_save, fork, saved.data(), saved.size(), &size);
    if (!saved.empty()) {
      kerf_sequence_close(fork);
      must(kerf_sequence_restore, context, saved.data(), size, &fork);
    }
    must(kerf_sequence_truncate, fork, tokens / 2);
    kerf_sequence_close(sequence);
    kerf_sequence_close(fork);
    const uint64_t counted = watch.stop();
    saved.resize(std::max(size, saved.size()));
    ASSERT_EQ(code, KERF_OK) << "T = " << tokens << ", " << where << ": " << error.message;
    EXPECT_EQ(counted, 0u) << "T = " << tokens << ", " << where;
  }
}

} // namespace kerf::test
#endif // KERF_TEST_RUNTIME_ALLOCATIONSTEPS_H
