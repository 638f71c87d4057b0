// kerf_generate and tokenizing.
#include "test/runtime/fake/Fixture.h"

#include <cmath>
#include <map>

using namespace kerf::test;

namespace {

// A package whose greedy text goes on in a circle: "abcdef…" by `next`.
FakePackage circle(const std::string &text) {
  FakePackage package;
  for (size_t i = 0; i < text.size(); ++i)
    package.weights.next[uint8_t(text[i])] = uint8_t(text[(i + 1) % text.size()]);
  return package;
}

struct Result : kerf_generate_result {
  Result() : kerf_generate_result{} { struct_size = sizeof(kerf_generate_result); }
  ~Result() { kerf_generate_result_free(this); }
  std::string string() const { return {text, text_bytes}; }
  std::vector<int32_t> tokens() const { return {ids, ids + id_count}; }
};

struct Collector {
  std::vector<std::string> pieces;
  size_t stopAfter = SIZE_MAX;
  static int take(void *self, const char *text, size_t bytes) {
    Collector &c = *static_cast<Collector *>(self);
    c.pieces.emplace_back(text, bytes);
    return c.pieces.size() >= c.stopAfter;
  }
  std::string joined() const {
    std::string all;
    for (const std::string &piece : pieces)
      all += piece;
    return all;
  }
};

kerf_generate_options prompt(const char *text, uint32_t tokens) {
  kerf_generate_options options = {};
  options.struct_size = sizeof options;
  options.prompt = text;
  options.max_tokens = tokens;
  return options;
}

TEST(GenerateTest, LengthAndTimings) {
  OpenModel model(circle("abcdef"));
  OpenContext context(model.handle, planOf(4, 1));
  Result result;
  const kerf_generate_options options = prompt("xxabcdabc", 5); // nine tokens: three pieces
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, &context.error), KERF_OK) << context.error.message;
  EXPECT_EQ(result.string(), "defab");
  EXPECT_EQ(result.finish, uint32_t(KERF_FINISH_LENGTH));
  EXPECT_EQ(result.tokens(), (std::vector<int32_t>{'d', 'e', 'f', 'a', 'b'}));
  EXPECT_EQ(result.prompt_tokens, 9u);
  EXPECT_EQ(result.decode_steps, 4u);
  EXPECT_GT(result.prompt_ns, 0u);
  EXPECT_GT(result.decode_ns, 0u);
  EXPECT_GE(result.first_ns, result.prompt_ns);
  EXPECT_EQ(kerf_context_free_pages(context.handle, 0), 16u) << "the sequence of its own must be closed";
}

TEST(GenerateTest, ContextFull) {
  OpenModel model(circle("abcdef"));
  OpenContext context(model.handle, planOf(8, 1, 12));
  Result result;
  const kerf_generate_options options = prompt("abcd", 0);
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
  EXPECT_EQ(result.finish, uint32_t(KERF_FINISH_LENGTH));
  EXPECT_EQ(result.id_count, 9u) << "eight fill the sequence, the ninth needs no room";
}

TEST(GenerateTest, EndTokens) {
  FakePackage package = circle("abc");
  package.weights.next['c'] = 'd';
  package.weights.next['d'] = kEndToken;
  package.weights.next[kEndToken] = 'a';
  package.manifest.generation->eos = {kSpecialToken, kEndToken, 7};
  OpenModel model(package);
  OpenContext context(model.handle, planOf(8, 1));
  EXPECT_EQ(kerf_model_end_tokens(model.handle, nullptr, 0), 3u);
  Result result;
  kerf_generate_options options = prompt("a", 20);
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
  EXPECT_EQ(result.string(), "bcd");
  EXPECT_EQ(result.finish, uint32_t(KERF_FINISH_END));
  EXPECT_EQ(result.tokens().back(), kEndToken);

  Result ignored;
  options.ignore_end = 1;
  options.max_tokens = 6;
  ASSERT_EQ(kerf_generate(context.handle, &options, &ignored, nullptr), KERF_OK);
  EXPECT_EQ(ignored.string(), "bcdab") << "the end token is special: not in the text";
  EXPECT_EQ(ignored.finish, uint32_t(KERF_FINISH_LENGTH));

  Result kept;
  options.keep_special = 1;
  ASSERT_EQ(kerf_generate(context.handle, &options, &kept, nullptr), KERF_OK);
  EXPECT_EQ(kept.string(), "bcd<end>ab");
}

TEST(GenerateTest, StopStringsAcrossTokens) {
  OpenModel model(circle("abcdefgh"));
  OpenContext context(model.handle, planOf(8, 1));
  const char *stops[] = {"zz", "efg", "fgx"};
  kerf_generate_options options = prompt("a", 30);
  options.stops = stops;
  options.stop_count = 3;
  Collector collector;
  options.on_text = Collector::take;
  options.user = &collector;
  Result result;
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
  EXPECT_EQ(result.string(), "bcd");
  EXPECT_EQ(result.finish, uint32_t(KERF_FINISH_STOP));
  EXPECT_EQ(result.tokens().back(), 'g');
  EXPECT_EQ(collector.joined(), "bcd") << "no part of a stop string may be given out";

  // What might have been a stop string is given out when it was none.
  const char *near[] = {"efgz"};
  options.stops = near;
  options.stop_count = 1;
  options.max_tokens = 6;
  collector.pieces.clear();
  Result other;
  ASSERT_EQ(kerf_generate(context.handle, &options, &other, nullptr), KERF_OK);
  EXPECT_EQ(other.string(), "bcdefg");
  EXPECT_EQ(collector.joined(), "bcdefg");
}

TEST(GenerateTest, WholeCharacters) {
  const std::string text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"; // a é € 😀
  OpenModel model(circle(text));
  OpenContext context(model.handle, planOf(8, 1));
  kerf_generate_options options = prompt("a", 9);
  Collector collector;
  options.on_text = Collector::take;
  options.user = &collector;
  Result result;
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
  EXPECT_EQ(result.string(), text.substr(1));
  EXPECT_EQ(collector.pieces,
            (std::vector<std::string>{"", "\xc3\xa9", "", "", "\xe2\x82\xac", "", "", "", "\xf0\x9f\x98\x80"}));
  options.max_tokens = 4; // ends inside the euro sign
  Result cut;
  ASSERT_EQ(kerf_generate(context.handle, &options, &cut, nullptr), KERF_OK);
  EXPECT_EQ(cut.string(), "\xc3\xa9\xef\xbf\xbd");
}

TEST(GenerateTest, CallbackCancels) {
  OpenModel model(circle("abcdef"));
  OpenContext context(model.handle, planOf(8, 1));
  kerf_generate_options options = prompt("a", 30);
  Collector collector;
  collector.stopAfter = 3;
  options.on_text = Collector::take;
  options.user = &collector;
  Result result;
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
  EXPECT_EQ(result.finish, uint32_t(KERF_FINISH_CANCELLED));
  EXPECT_EQ(result.string(), "bcd");
  EXPECT_EQ(collector.pieces.size(), 3u);
}

TEST(GenerateTest, CancelledBetweenSteps) {
  OpenModel model(circle("abcdef"));
  OpenContext context(model.handle, planOf(8, 1));
  kerf_generate_options options = prompt("a", 30);
  options.user = context.handle;
  options.on_text = [](void *user, const char *, size_t) {
    kerf_context_cancel(static_cast<kerf_context *>(user));
    return 0;
  };
  Result result;
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
  EXPECT_EQ(result.finish, uint32_t(KERF_FINISH_CANCELLED));
  EXPECT_EQ(result.string(), "b");
  Result again; // the cancel was used up
  options.on_text = nullptr;
  ASSERT_EQ(kerf_generate(context.handle, &options, &again, nullptr), KERF_OK);
  EXPECT_EQ(again.finish, uint32_t(KERF_FINISH_LENGTH));
}

TEST(GenerateTest, ContinuesASequence) {
  OpenModel model(circle("abcdef"));
  OpenContext context(model.handle, planOf(8, 2, 16));
  kerf_sequence *sequence = context.create();
  kerf_generate_options options = prompt("ab", 3);
  options.sequence = sequence;
  Result first, second;
  ASSERT_EQ(kerf_generate(context.handle, &options, &first, nullptr), KERF_OK);
  EXPECT_EQ(first.string(), "cde");
  EXPECT_EQ(kerf_sequence_length(sequence), 4u) << "all but the last token were run";
  const std::vector<int32_t> more = {'e', 'f'};
  options.prompt = nullptr;
  options.prompt_ids = more.data();
  options.prompt_id_count = 2;
  ASSERT_EQ(kerf_generate(context.handle, &options, &second, nullptr), KERF_OK);
  EXPECT_EQ(second.string(), "abc");
  EXPECT_EQ(context.row(0), std::vector<float>()) << "a token was drawn from it";
  kerf_sequence *fork = context.fork(sequence);
  ASSERT_EQ(context.step({{fork, {'c'}}}), KERF_OK);
  EXPECT_EQ(context.row(0), referenceLogits(model.weights, {'a', 'b', 'c', 'd', 'e', 'f', 'a', 'b', 'c'}));
  kerf_sequence_close(fork);
  // A prompt that does not fit leaves it as it was.
  const std::vector<int32_t> large(9, 'a');
  options.prompt_ids = large.data();
  options.prompt_id_count = 9;
  EXPECT_EQ(kerf_generate(context.handle, &options, nullptr, &context.error), KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(context.error.message).find("planned context of 16, got 9 tokens after 8"), std::string::npos)
      << context.error.message;
  // So does one that fails in its second piece.
  std::vector<int32_t> bad(8, 'a');
  bad.insert(bad.begin(), kVocabulary);
  kerf_sequence_truncate(sequence, 5, nullptr);
  std::swap(bad.front(), bad.back());
  options.prompt_ids = bad.data();
  options.prompt_id_count = uint32_t(bad.size());
  EXPECT_EQ(kerf_generate(context.handle, &options, nullptr, nullptr), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_sequence_length(sequence), 5u);
}

TEST(GenerateTest, Refusals) {
  OpenModel model(circle("abcdef"));
  OpenContext context(model.handle, planOf(8, 1));
  auto expect = [&](const kerf_generate_options &options, const char *message) {
    Result result;
    EXPECT_EQ(kerf_generate(context.handle, &options, &result, &context.error), KERF_BAD_ARGUMENT);
    EXPECT_NE(std::string(context.error.message).find(message), std::string::npos) << context.error.message;
    EXPECT_EQ(result.text, nullptr);
    EXPECT_EQ(kerf_context_free_pages(context.handle, 0), 16u);
  };
  kerf_generate_options options = prompt("", 1);
  expect(options, "the prompt must have at least one token");
  options.prompt = nullptr;
  expect(options, "either a prompt or prompt_ids, got neither");
  options.prompt = "a";
  options.temperature = -1;
  expect(options, "temperature must be a number of at least 0, got -1");
  options.temperature = NAN;
  expect(options, "temperature must be");
  options.temperature = 1;
  options.top_p = 1.5;
  expect(options, "top_p must be 0 to 1, got 1.5");
  options.top_p = 0;
  const char *stops[] = {""};
  options.stops = stops;
  options.stop_count = 1;
  expect(options, "a stop string must not be empty");
  options.struct_size = 3;
  expect(options, "struct_size of kerf_generate_options must be sizeof it");
  options.struct_size = 20; // in the middle of a pointer
  expect(options, "struct_size of kerf_generate_options must be sizeof it");
}

TEST(GenerateTest, WithoutTokenizer) {
  FakePackage package = circle("abc");
  package.manifest.tokenizer.reset();
  OpenModel model(package);
  OpenContext context(model.handle, planOf(8, 1));
  kerf_generate_options options = prompt("a", 3);
  EXPECT_EQ(kerf_generate(context.handle, &options, nullptr, &context.error), KERF_BAD_ARGUMENT);
  EXPECT_NE(std::string(context.error.message).find("must have a tokenizer"), std::string::npos);
  const int32_t id = 'a';
  options.prompt = nullptr;
  options.prompt_ids = &id;
  options.prompt_id_count = 1;
  Result result;
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
  EXPECT_EQ(result.tokens(), (std::vector<int32_t>{'b', 'c', 'a'}));
  EXPECT_EQ(result.string(), "");
}

// Ids that the model has and the tokenizer does not are tokens without text.
TEST(GenerateTest, PaddedVocabulary) {
  FakePackage package = circle("abc");
  package.weights.next['a'] = kVocabulary - 1;
  package.weights.next[kVocabulary - 1] = 'b';
  OpenModel model(package);
  OpenContext context(model.handle, planOf(8, 1));
  const kerf_generate_options options = prompt("a", 3);
  Result result;
  ASSERT_EQ(kerf_generate(context.handle, &options, &result, &context.error), KERF_OK) << context.error.message;
  EXPECT_EQ(result.string(), "bc");
}

TEST(GenerateTest, SeedsRepeat) {
  OpenModel model;
  OpenContext context(model.handle, planOf(8, 1));
  std::map<uint64_t, std::vector<int32_t>> texts;
  for (uint64_t seed : {1, 2, 1, 3, 2}) {
    kerf_generate_options options = prompt("abc", 20);
    options.temperature = 1.0;
    options.ignore_end = 1;
    options.seed = seed;
    Result result;
    ASSERT_EQ(kerf_generate(context.handle, &options, &result, nullptr), KERF_OK);
    const auto [at, fresh] = texts.emplace(seed, result.tokens());
    EXPECT_EQ(at->second, result.tokens());
  }
  EXPECT_NE(texts[1], texts[2]);
  EXPECT_NE(texts[2], texts[3]);
}

TEST(GenerateTest, GenerationDefaults) {
  FakePackage package;
  package.manifest.generation->do_sample = true;
  package.manifest.generation->temperature = 0.5;
  package.manifest.generation->top_k = 40;
  package.manifest.generation->top_p = 0.75;
  OpenModel model(package);
  kerf_generate_options options = {};
  options.struct_size = sizeof options;
  ASSERT_EQ(kerf_generate_options_init(model.handle, &options, nullptr), KERF_OK);
  EXPECT_EQ(options.temperature, 0.5f);
  EXPECT_EQ(options.top_k, 40u);
  EXPECT_EQ(options.top_p, 0.75f);
  EXPECT_EQ(options.struct_size, sizeof options);
}

TEST(TokenizeTest, RoundTrip) {
  OpenModel model;
  int32_t ids[16];
  size_t count = 0;
  kerf_error error;
  ASSERT_EQ(kerf_tokenize(model.handle, "ab<mark>c", 9, 0, ids, 16, &count, &error), KERF_OK) << error.message;
  EXPECT_EQ((std::vector<int32_t>(ids, ids + count)), (std::vector<int32_t>{'a', 'b', kSpecialToken, 'c'}));
  size_t bytes = 0;
  char text[16];
  ASSERT_EQ(kerf_detokenize(model.handle, ids, count, 0, text, 16, &bytes, &error), KERF_OK);
  EXPECT_EQ(std::string(text, bytes), "ab<mark>c");
  ASSERT_EQ(kerf_detokenize(model.handle, ids, count, KERF_SKIP_SPECIAL, text, 2, &bytes, &error), KERF_OK);
  EXPECT_EQ(bytes, 3u) << "the whole length, whatever the capacity";
  EXPECT_EQ(std::string(text, 2), "ab");
  ASSERT_EQ(kerf_tokenize(model.handle, "<mark>", 6, KERF_PLAIN_TEXT, nullptr, 0, &count, &error), KERF_OK);
  EXPECT_EQ(count, 6u);
  ids[0] = kTokenizerSize;
  EXPECT_EQ(kerf_detokenize(model.handle, ids, 1, 0, text, 16, &bytes, &error), KERF_BAD_ARGUMENT);

  ASSERT_EQ(kerf_token_bytes(model.handle, 0xc3, text, 16, &bytes, &error), KERF_OK);
  EXPECT_EQ(std::string(text, bytes), "\xc3") << "a part of a character stays what it is";
  ASSERT_EQ(kerf_token_bytes(model.handle, kSpecialToken, text, 2, &bytes, &error), KERF_OK);
  EXPECT_EQ(bytes, 6u);
  EXPECT_EQ(std::string(text, 2), "<m");
  EXPECT_EQ(kerf_token_bytes(model.handle, kTokenizerSize, text, 16, &bytes, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(bytes, 0u);
  EXPECT_EQ(kerf_token_bytes(model.handle, 0, nullptr, 16, &bytes, &error), KERF_BAD_ARGUMENT);
  EXPECT_EQ(kerf_token_bytes(model.handle, 0, text, 16, nullptr, &error), KERF_BAD_ARGUMENT);
}

} // namespace
