/// A model library written by hand, in the shape the compiler makes: two KV groups with different page sizes, kernels
/// that look at every array of the step, and a scalar reference that knows nothing of pages, slots or work lists.
///
/// The "model": a row's hidden vector is its token's embedding plus its position; every row appends it (negated and
/// scaled in the other planes) to the cache; attention folds the visible keys in order into a vector, so that a wrong,
/// missing, extra or reordered key changes the bits; logits are that vector times a matrix, plus the row's first hidden
/// value, the first value of the same fold over the last kWindow keys, and a bonus for the token that the table `next`
/// gives after the row's own token. A text's vector is what its last row gives when every row sees every key.
#ifndef KERF_TEST_RUNTIME_FAKE_FAKELIBRARY_H
#define KERF_TEST_RUNTIME_FAKE_FAKELIBRARY_H

#include "kerf/abi.h"

#include <atomic>
#include <cstdint>
#include <vector>

namespace kerf::test {

/// Width of the hidden vector.
inline constexpr uint32_t kHidden = 4;
/// 256 bytes, an end token, a special token and padding that the tokenizer does not know.
inline constexpr uint32_t kVocabulary = 264;
inline constexpr int32_t kEndToken = 256, kSpecialToken = 257, kTokenizerSize = 258;
/// Longest sequence.
inline constexpr uint32_t kContext = 64;
/// Keys that a row sees through the window.
inline constexpr uint32_t kWindow = 5;
/// Positions in a page of the two groups.
inline constexpr uint32_t kPageSize[2] = {4, 3};
/// Bonus for the token in `next`: far above any other logit.
inline constexpr float kBonus = 1e6f;

/// Weights, in the package's order.
struct FakeWeights {
  std::vector<float> embedding; ///< [kVocabulary][kHidden]
  std::vector<float> output;    ///< [kHidden][kVocabulary]
  std::vector<int32_t> next;    ///< [kVocabulary]; -1: no bonus
};

/// Weights of a seed, with no bonus anywhere.
FakeWeights makeWeights(uint64_t seed);

/// The library. Variants: "narrow" (runs anywhere, tile 3), "wide" (AVX2, tile 5), "never" (a feature that no CPU has).
/// Programs: "step" with a causal list and one within kWindow, "encode" with a bidirectional one.
const kerf_library &fakeLibrary();

/// Logits of the last token of `ids`, by the definition above; the same bits as the kernels'.
std::vector<float> referenceLogits(const FakeWeights &weights, const std::vector<int32_t> &ids);

/// The vector of a text, alike.
std::vector<float> referenceVector(const FakeWeights &weights, const std::vector<int32_t> &ids);

/// What a test has every attention task do first; NULL: nothing.
extern std::atomic<void (*)()> attentionHook;

} // namespace kerf::test

#endif
