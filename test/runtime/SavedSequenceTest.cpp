// Sequences that are saved and restored: they continue with the same bits, and what was damaged on the way is refused.
#include "runtime/support/Sha256.h"
#include "test/runtime/fake/Fixture.h"

#include <cstring>
#include <random>

using namespace kerf::test;

namespace {

using Bytes = std::vector<uint8_t>;

std::vector<int32_t> join(std::vector<int32_t> a, const std::vector<int32_t> &b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Bytes save(const kerf_sequence *sequence) {
  size_t size = 0;
  EXPECT_EQ(kerf_sequence_save(sequence, nullptr, 0, &size, nullptr), KERF_OK);
  Bytes bytes(size);
  EXPECT_EQ(kerf_sequence_save(sequence, bytes.data(), size, &size, nullptr), KERF_OK);
  EXPECT_EQ(size, bytes.size());
  return bytes;
}

// What an attacker would do after changing something: the checksum fits again.
void seal(Bytes &bytes) {
  std::memset(bytes.data() + 96, 0, 32);
  const kerf::rt::Sha256Digest digest = kerf::rt::sha256(bytes.data(), bytes.size());
  std::memcpy(bytes.data() + 96, digest.data(), digest.size());
}

class SavedSequenceTest : public testing::Test {
protected:
  OpenModel model;
  kerf_error error = {};

  kerf_sequence *restore(OpenContext &context, const Bytes &bytes) {
    kerf_sequence *sequence = nullptr;
    const kerf_code code = kerf_sequence_restore(context.handle, bytes.data(), bytes.size(), &sequence, &error);
    EXPECT_EQ(code == KERF_OK, sequence != nullptr) << error.message;
    return sequence;
  }
  bool says(const std::string &part) const { return std::string(error.message).find(part) != std::string::npos; }
};

// Every length, around the sizes of pages; in another context with other ceilings, and under another variant.
TEST_F(SavedSequenceTest, Continues) {
  OpenModel wide(FakePackage(), "wide");
  OpenContext from(model.handle, planOf(kContext, 2)), same(model.handle, planOf(kContext, 3)),
      other(wide.handle, planOf(kContext, 1));
  for (uint32_t length = 0; length < kContext; ++length) {
    const std::vector<int32_t> ids = randomIds(length, length);
    kerf_sequence *sequence = from.create();
    ASSERT_EQ(from.step({{sequence, ids}}), KERF_OK);
    const Bytes bytes = save(sequence);
    EXPECT_EQ(bytes, save(sequence)) << "saving twice must give the same bytes";
    const std::vector<float> expected = referenceLogits(model.weights, join(ids, {7}));
    for (OpenContext *context : {&same, &other}) {
      kerf_sequence *back = restore(*context, bytes);
      ASSERT_NE(back, nullptr) << error.message;
      EXPECT_EQ(kerf_sequence_length(back), length);
      ASSERT_EQ(context->step({{back, {7}}}), KERF_OK);
      EXPECT_EQ(context->row(0), expected) << length;
      kerf_sequence_close(back);
    }
    ASSERT_EQ(from.step({{sequence, {7}}}), KERF_OK) << "saving must not disturb a sequence";
    EXPECT_EQ(from.row(0), expected);
    kerf_sequence_close(sequence);
  }
}

// Forks share pages, a truncated sequence has forgotten tokens: what is saved is the sequence and no other.
TEST_F(SavedSequenceTest, HoldsNothingOfOthers) {
  OpenContext context(model.handle, planOf(kContext, 3, 0, 0), 1, false);
  kerf_sequence *a = context.create();
  const std::vector<int32_t> ids = randomIds(5, 10);
  ASSERT_EQ(context.step({{a, ids}}), KERF_OK);
  kerf_sequence *b = context.fork(a);
  ASSERT_EQ(context.step({{b, {1, 2}}, {a, {3}}}), KERF_OK);
  ASSERT_EQ(kerf_sequence_truncate(b, 11, nullptr), KERF_OK);
  const Bytes saved = save(b);
  kerf_sequence_close(b);
  kerf_sequence *back = restore(context, saved);
  ASSERT_NE(back, nullptr) << error.message;
  ASSERT_EQ(context.step({{back, {9}}}), KERF_OK);
  EXPECT_EQ(context.row(0), referenceLogits(model.weights, join(ids, {1, 9})));

  // The same text in pages that were another's before and in fresh ones: the same bytes.
  const Bytes first = [&] {
    OpenContext fresh(model.handle, planOf(kContext, 1), 1, false);
    kerf_sequence *only = fresh.create();
    EXPECT_EQ(fresh.step({{only, {5}}}), KERF_OK);
    return save(only);
  }();
  OpenContext used(model.handle, planOf(kContext, 1), 1, false);
  kerf_sequence *before = used.create();
  ASSERT_EQ(used.step({{before, randomIds(6, kContext)}}), KERF_OK);
  kerf_sequence_close(before);
  kerf_sequence *only = used.create();
  ASSERT_EQ(used.step({{only, {5}}}), KERF_OK);
  EXPECT_EQ(save(only), first);
}

// Cut off at every length, every byte flipped: refused, and nothing has changed. With a checksum that fits, every byte
// of the header: whatever is taken is a sequence that steps.
TEST_F(SavedSequenceTest, Damage) {
  OpenContext context(model.handle, planOf(kContext, 1));
  kerf_sequence *sequence = context.create();
  ASSERT_EQ(context.step({{sequence, randomIds(1, 9)}}), KERF_OK);
  const Bytes whole = save(sequence);
  kerf_sequence_close(sequence);
  const uint32_t pages[2] = {kerf_context_free_pages(context.handle, 0), kerf_context_free_pages(context.handle, 1)};
  auto refused = [&](const Bytes &bytes, const std::string &what) {
    EXPECT_EQ(restore(context, bytes), nullptr) << what;
    EXPECT_EQ(error.code, KERF_BAD_ARTIFACT) << what << ": " << error.message;
    EXPECT_TRUE(says("saved sequence")) << error.message;
    for (uint32_t group : {0u, 1u})
      EXPECT_EQ(kerf_context_free_pages(context.handle, group), pages[group]) << what;
  };
  kerf_sequence *none = nullptr;
  EXPECT_EQ(kerf_sequence_restore(context.handle, whole.data(), 0, &none, &error), KERF_BAD_ARTIFACT);
  for (size_t length = 1; length < whole.size(); ++length)
    refused({whole.begin(), whole.begin() + ptrdiff_t(length)}, "cut to " + std::to_string(length));
  Bytes longer = whole;
  longer.push_back(0);
  refused(longer, "one byte more");
  for (size_t at = 0; at < whole.size(); ++at)
    for (const uint8_t flip : {0x01, 0x80, 0xff}) {
      Bytes bytes = whole;
      bytes[at] ^= flip;
      refused(bytes, "flipped at " + std::to_string(at));
    }
  size_t taken = 0;
  for (size_t at = 0; at < 128 + 2 * 16; ++at)
    for (int value = 0; value < 256; ++value) {
      Bytes bytes = whole;
      bytes[at] = uint8_t(value);
      seal(bytes);
      if (kerf_sequence *back = restore(context, bytes)) {
        ++taken;
        ASSERT_EQ(context.step({{back, {1}}}), KERF_OK) << at << " " << value;
        kerf_sequence_close(back);
      }
    }
  // Each byte's own value; any checksum, which was sealed over; and a length that needs no other number of pages: 9 is
  // 3 pages of 4 and 3 of 3, as no other length is.
  EXPECT_EQ(taken, 128 + 2 * 16 - 32 + 32 * 256u);
  ASSERT_NE(restore(context, whole), nullptr);
}

TEST_F(SavedSequenceTest, Messages) {
  OpenContext context(model.handle, planOf(kContext, 1));
  kerf_sequence *sequence = context.create();
  ASSERT_EQ(context.step({{sequence, randomIds(1, 9)}}), KERF_OK);
  const Bytes whole = save(sequence);
  kerf_sequence_close(sequence);
  const auto with = [&](size_t at, std::initializer_list<uint8_t> values) {
    Bytes bytes = whole;
    std::copy(values.begin(), values.end(), bytes.begin() + ptrdiff_t(at));
    seal(bytes);
    return bytes;
  };
  const std::pair<Bytes, const char *> cases[] = {
      {Bytes(127), "must have at least the 128 bytes of its header, got 127"},
      {with(0, {'P', 'K'}), "must begin with the magic of kerf_sequence_save, got 504b"},
      {with(8, {2}), "version must be 1, got 2; use a newer Kerf runtime"},
      {with(8, {0}), "version must be 1, got 0; run its tokens again and save it"},
      {Bytes(whole.begin(), whole.end() - 1), "it was cut off or added to"},
      {with(64, {0xaa}), "must come from the model's build face01020300"},
      {with(28, {'w', 'x'}), kOnGpu ? "variant must be one of the model's, got 'wxmpute_80'"
                                    : "variant must be one of the model's, got 'wxrrow'"},
      {with(12, {3}), "must have the model's 2 KV groups, got 3"},
      {with(24, {65}), "must be at most as long as the model's context, 64 tokens, got 65"},
      {with(24, {0xff, 0xff, 0xff, 0xff}), "64 tokens, got 4294967295"},
      {with(24, {13}), "of 13 tokens must have"},
      {with(132, {5}), "KV group 0 must have 2 planes of pages of 4 positions and 64 bytes, got 2, 5 and 64"},
  };
  for (const auto &[bytes, message] : cases) {
    EXPECT_EQ(restore(context, bytes), nullptr);
    EXPECT_EQ(error.code, KERF_BAD_ARTIFACT);
    EXPECT_TRUE(says(message)) << message << "\n" << error.message;
  }
  Bytes changed = whole;
  changed.back() ^= 1;
  EXPECT_EQ(restore(context, changed), nullptr);
  EXPECT_TRUE(says("it was changed since it was saved")) << error.message;
}

// Room that is not there is asked for by name; the context is as it was.
TEST_F(SavedSequenceTest, NoRoom) {
  OpenContext context(model.handle, planOf(kContext, 2));
  kerf_sequence *sequence = context.create();
  const std::vector<int32_t> ids = randomIds(1, 10);
  ASSERT_EQ(context.step({{sequence, ids}}), KERF_OK);
  const Bytes bytes = save(sequence);

  OpenContext narrow(model.handle, planOf(kContext, 1, 9));
  EXPECT_EQ(restore(narrow, bytes), nullptr);
  EXPECT_EQ(error.code, KERF_BAD_ARGUMENT);
  EXPECT_TRUE(says("must fit the planned context of 9, got 10 tokens")) << error.message;

  OpenContext few(model.handle, planOf(kContext, 2, 0, 0, 5)); // of 4 and of 3 positions
  kerf_sequence *before = few.create();
  ASSERT_EQ(few.step({{before, randomIds(2, 6)}}), KERF_OK);
  EXPECT_EQ(restore(few, bytes), nullptr);
  EXPECT_EQ(error.code, KERF_OUT_OF_PAGES);
  EXPECT_TRUE(says("needs 4 KV pages of group 1, but only 3 are free")) << error.message;
  kerf_sequence_close(before);
  kerf_sequence *back = restore(few, bytes);
  ASSERT_NE(back, nullptr) << error.message;
  ASSERT_EQ(few.step({{back, {4}}}), KERF_OK);
  EXPECT_EQ(few.row(0), referenceLogits(model.weights, join(ids, {4})));
  EXPECT_NE(few.create(), nullptr) << "a restore that failed must not keep a sequence";
  EXPECT_EQ(restore(few, bytes), nullptr);
  EXPECT_TRUE(says("at most 2 sequences can be open")) << error.message;

  kerf_context *unplanned = nullptr;
  ASSERT_EQ(kerf_context_create(model.handle, nullptr, &unplanned, nullptr), KERF_OK);
  kerf_sequence *none = sequence;
  EXPECT_EQ(kerf_sequence_restore(unplanned, bytes.data(), bytes.size(), &none, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(none, nullptr);
  EXPECT_TRUE(says("kerf_context_plan must come first")) << error.message;
  kerf_context_close(unplanned);

  size_t size = 0;
  Bytes small(bytes.size() - 1);
  EXPECT_EQ(kerf_sequence_save(sequence, small.data(), small.size(), &size, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(size, bytes.size()) << "the size is told even so";
  EXPECT_TRUE(says("capacity must be at least the")) << error.message;
  EXPECT_EQ(small, Bytes(small.size())) << "nothing may be written";
  EXPECT_EQ(kerf_sequence_save(sequence, nullptr, 1, &size, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_sequence_save(nullptr, nullptr, 0, &size, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_sequence_save(sequence, nullptr, 0, nullptr, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_sequence_restore(context.handle, nullptr, 9, &none, &error), KERF_BAD_ARGUMENT);
}

} // namespace
