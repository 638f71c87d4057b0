//===- TokenizerTest.cpp - the runtime's tokenizer on hostile input -------===//
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/schema/TokenizerHash.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/runtime/tokenizer/Tables.h"

#include <ctime>
#include <functional>
#include <random>
#include <thread>

using namespace kerf;
using namespace kerf::rt;
using namespace kerf::test;
using Cause = TokenizerError::Cause;

namespace {

TEST(Tokenizer, runaway_pattern_is_an_error) {
  auto buffer = edited(table(), [](auto &t) { t.pre_tokenizers[0]->pattern = "(?:a|aa)+[0-9]"; });
  Tokenizer tokenizer(root(buffer));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("aa1b", false, false), false), "aa1b");
  try {
    tokenizer.encode(std::string(64, 'a'), false, false);
    ADD_FAILURE() << "accepted";
  } catch (const TokenizerError &error) {
    EXPECT_EQ(error.cause(), Cause::Limit);
    EXPECT_NE(std::string(error.what()).find("matching limits"), std::string::npos) << error.what();
  }
}

// No match is beyond a million steps, but there are thousands of them, in one piece or in many: together they would
// take minutes. A few are no harm.
TEST(Tokenizer, patterns_share_their_steps) {
  std::string run = std::string(20, 'a') + "b", text;
  for (int i = 0; i < 5'000; ++i)
    text += run;
  const std::pair<const char *, const char *> cases[] = {
      {".+", "(a+)+$|."}, {".+", "(?:a+)+c|."}, {"a+|b", "(?:a+)+c|."}, {"a+|b", "(?:a|aa)+c|a|b"}};
  for (auto [first, second] : cases) {
    SCOPED_TRACE(std::string(first) + " then " + second);
    auto buffer = edited(table(), [&](auto &t) {
      t.pre_tokenizers[0]->pattern = first;
      t.pre_tokenizers.insert(t.pre_tokenizers.begin() + 1, std::make_unique<schema::PreTokenizerStepT>());
      t.pre_tokenizers[1]->pattern = second;
    });
    Tokenizer tokenizer(root(buffer));
    const std::string few = run.substr(12);
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(few, false, false), false), few);
    const clock_t begin = std::clock();
    try {
      tokenizer.encode(text, false, false);
      ADD_FAILURE() << "accepted";
    } catch (const TokenizerError &error) {
      EXPECT_EQ(error.cause(), Cause::Limit);
      EXPECT_NE(std::string(error.what()).find("matching limits"), std::string::npos) << error.what();
    }
    EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 5.0);
  }
}

// A long run takes more steps than a place has, and is linear all the same.
TEST(Tokenizer, long_runs_stay_within_the_steps) {
  auto buffer =
      edited(table(), [](auto &t) { t.pre_tokenizers[0]->pattern = "(?:a|b)+c|(?:a|b)+|\\s*\n|\\s+(?!\\S)|\\s"; });
  Tokenizer tokenizer(root(buffer));
  std::string text;
  for (int i = 0; i < 20; ++i)
    text += std::string(5'000, "ab"[i % 2]) + (i % 3 ? "c" : "") + std::string(5'000, ' ');
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false, false), false), text);
}

TEST(Tokenizer, pattern_that_matches_backwards_is_an_error) {
  // The lookahead moves the start of the match past its end.
  auto buffer = edited(table(), [](auto &t) { t.pre_tokenizers[0]->pattern = "(?=(?1))|(ab\\K)"; });
  Tokenizer tokenizer(root(buffer));
  try {
    tokenizer.encode("xxab", false, false);
    ADD_FAILURE() << "accepted";
  } catch (const TokenizerError &error) {
    EXPECT_EQ(error.cause(), Cause::BadTable);
    EXPECT_EQ(std::string(error.what()), "a split pattern must match forwards");
  }
}

TEST(Tokenizer, long_runs_take_linear_time) {
  const auto split = table(R"({"normalizer": {"type": "NFC"}})");
  const auto whole =
      table(R"({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false}})");
  // No splits at all, and words that a greedy search would read again and again.
  const auto llama = table(R"({"base": "llama2"})"), bert = table(R"({"base": "bert",
      "model.max_input_chars_per_word": 100000000})");
  std::string marks = "a";
  // Marks of falling classes (230 and 220) are what canonical ordering has to move furthest.
  for (int i = 0; i < 120'000; ++i)
    marks += "\xcc\x81";
  for (int i = 0; i < 120'000; ++i)
    marks += "\xcc\xa3";
  std::string opened;
  for (int i = 0; i < 250'000; ++i)
    opened += "<|be";
  const std::string texts[] = {std::string(1'000'000, 'a'),
                               std::string(1'000'000, ' '),
                               std::string(1'000'000, '\n'),
                               std::string(1'000'000, '1'),
                               std::string(1'000'000, '\xff'),
                               marks,
                               opened};
  for (const auto *buffer : {&split, &whole, &llama, &bert}) {
    Tokenizer tokenizer(root(*buffer));
    for (const std::string &text : texts) {
      const std::clock_t begin = std::clock(); // not of the other programs of a busy machine
      std::vector<int32_t> ids = tokenizer.encode(text, false, true);
      const double seconds = double(std::clock() - begin) / CLOCKS_PER_SEC;
      if (buffer != &bert)
        EXPECT_FALSE(ids.empty());
      if (validUtf8Prefix(text) == text.size() && (buffer == &whole || buffer == &llama || text != marks) &&
          buffer != &bert)
        EXPECT_EQ(tokenizer.decode(ids, false), text);
      // About 0.2 s, and 35 s of WordPiece with sanitizers; a quadratic step would take many minutes.
      EXPECT_LT(seconds, 90.0) << text.substr(0, 8);
    }
  }
}

// Steps that each put something before every piece and cut it off again double the pieces with each turn.
TEST(Tokenizer, pieces_cannot_multiply) {
  auto buffer = edited(table(), [](auto &t) {
    t.pre_tokenizers.clear();
    for (int i = 0; i < 8; ++i)
      for (const char *replacement : {"a", "b"}) {
        auto &prefix = *t.pre_tokenizers.emplace_back(new schema::PreTokenizerStepT);
        prefix.kind = schema::PreTokenizerKind::Metaspace;
        prefix.replacement = replacement;
        t.pre_tokenizers.emplace_back(new schema::PreTokenizerStepT)->pattern = ".";
      }
  });
  Tokenizer tokenizer(root(buffer));
  EXPECT_GT(tokenizer.encode("x", false, false).size(), 4000u);
  try {
    tokenizer.encode("xyzxyzxyzxyz", false, false);
    ADD_FAILURE() << "encoded";
  } catch (const TokenizerError &error) {
    EXPECT_EQ(error.cause(), Cause::Limit);
    EXPECT_EQ(std::string(error.what()), "splitting must make at most 128 pieces of each byte of a text, got more");
  }
}

TEST(Tokenizer, ids_outside_the_vocabulary_are_refused) {
  const auto buffer = table();
  Tokenizer tokenizer(root(buffer));
  StreamingDecoder decoder(tokenizer, false);
  for (int32_t id : {-1, 4096, INT32_MAX, INT32_MIN}) {
    auto refused = [&](auto &&call) {
      try {
        call();
        ADD_FAILURE() << id;
      } catch (const TokenizerError &error) {
        EXPECT_EQ(error.cause(), Cause::BadArgument);
        EXPECT_EQ(std::string(error.what()), "a token id must be in 0 to 4095, got " + std::to_string(id));
      }
    };
    refused([&] { tokenizer.decode(std::vector<int32_t>{id}, true); });
    refused([&] { tokenizer.isSpecial(id); });
    refused([&] { decoder.put(id); });
  }
  EXPECT_EQ(tokenizer.size(), 4096);
  EXPECT_TRUE(tokenizer.isSpecial(1));
  EXPECT_FALSE(tokenizer.isSpecial(3));
}

TEST(StreamingDecoder, gives_out_whole_characters_only) {
  const auto buffer = table();
  Tokenizer tokenizer(root(buffer));
  std::vector<int32_t> ids = tokenizer.encode("\xf0\x9f\xa6\x80", false, false);
  ASSERT_GT(ids.size(), 1u) << "the test needs a character of several tokens";
  StreamingDecoder decoder(tokenizer, false);
  for (size_t i = 0; i + 1 < ids.size(); ++i)
    EXPECT_EQ(decoder.put(ids[i]), "");
  EXPECT_EQ(decoder.put(ids.back()), "\xf0\x9f\xa6\x80");
  EXPECT_EQ(decoder.flush(), "");

  // A head that is never completed becomes one replacement character, at the end or when it is certain.
  EXPECT_EQ(decoder.put(ids[0]), "");
  EXPECT_EQ(decoder.flush(), "\xef\xbf\xbd");
  EXPECT_EQ(decoder.put(ids[0]), "");
  int32_t a = tokenizer.encode("a", false, false)[0];
  EXPECT_EQ(decoder.put(a), "\xef\xbf\xbd"
                            "a");
  EXPECT_EQ(StreamingDecoder(tokenizer, true).put(1), "");
  EXPECT_EQ(StreamingDecoder(tokenizer, false).put(1), "<|end_of_text|>");
}

TEST(StreamingDecoder, gives_out_bytes_when_their_run_ends) {
  const auto buffer = table(R"({"base": "llama2"})");
  Tokenizer tokenizer(root(buffer));
  std::vector<int32_t> ids = tokenizer.encode("\xf0\x9f\xa6\x80", false, false);
  ASSERT_EQ(ids.size(), 5u) << "the test needs a space and four bytes";
  StreamingDecoder decoder(tokenizer, false);
  for (int32_t id : ids)
    EXPECT_EQ(decoder.put(id), "");
  int32_t a = tokenizer.encode("xa", false, false).back();
  EXPECT_EQ(decoder.put(a), "\xf0\x9f\xa6\x80"
                            "a");
  EXPECT_EQ(decoder.put(ids[0]), " ");
  for (int i = 1; i < 5; ++i)
    EXPECT_EQ(decoder.put(ids[i]), "");
  // One byte too many, and no byte of the run is text.
  EXPECT_EQ(decoder.put(ids[1]), "");
  EXPECT_EQ(decoder.flush(), "\ufffd\ufffd\ufffd\ufffd\ufffd");
  // The next text loses its first space again.
  EXPECT_EQ(decoder.put(ids[0]), "");
}

TEST(StreamingDecoder, puts_spaces_between_words) {
  const auto buffer = table(R"({"base": "bert"})");
  Tokenizer tokenizer(root(buffer));
  StreamingDecoder decoder(tokenizer, true);
  std::string text;
  for (int32_t id : tokenizer.encode("The list of things, and more.", true, true))
    text += decoder.put(id);
  EXPECT_EQ(text, "the list of things, and more.");
  EXPECT_EQ(decoder.flush(), "");
}

TEST(Tokenizer, special_text_is_text_unless_asked) {
  const auto buffer = table();
  Tokenizer tokenizer(root(buffer));
  EXPECT_EQ(tokenizer.encode("<|end_of_text|>", false, true), std::vector<int32_t>{1});
  EXPECT_EQ(tokenizer.encode("<|end_of_text|>", true, true), (std::vector<int32_t>{0, 1}));
  std::vector<int32_t> plain = tokenizer.encode("<|end_of_text|>", false, false);
  EXPECT_GT(plain.size(), 1u);
  EXPECT_EQ(tokenizer.decode(plain, true), "<|end_of_text|>");
  EXPECT_EQ(tokenizer.encode("", true, true), std::vector<int32_t>{0});
  EXPECT_TRUE(tokenizer.encode("", false, true).empty());
}

TEST(Tokenizer, encodes_from_several_threads) {
  const auto buffer = table();
  const Tokenizer tokenizer(root(buffer));
  std::string text;
  for (int i = 0; i < 2000; ++i)
    text += "It's " + std::to_string(i * 7919) + " na\xc3\xafve caf\xc3\xa9s\n";
  const std::vector<int32_t> expected = tokenizer.encode(text, true, true);
  std::vector<std::vector<int32_t>> got(4);
  std::vector<std::thread> threads;
  for (auto &ids : got)
    threads.emplace_back([&] { ids = tokenizer.encode(text, true, true); });
  for (std::thread &thread : threads)
    thread.join();
  for (const auto &ids : got)
    EXPECT_EQ(ids, expected);
}

TEST(Utf8, replaces_maximal_subparts) {
  const std::pair<const char *, const char *> cases[] = {
      {"a\xff"
       "b",
       "a\ufffdb"},
      {"\xe2\x82", "\ufffd"},
      {"\xe2\x82\xe2\x82\xac", "\ufffd€"},
      {"\xf0\x9f\x98z", "\ufffdz"},
      {"\xed\xa0\x80", "\ufffd\ufffd\ufffd"},
      {"\xc0\xaf", "\ufffd\ufffd"},
      {"\xf4\x90\x80\x80", "\ufffd\ufffd\ufffd\ufffd"},
      {"\xe0\x80\xaf", "\ufffd\ufffd\ufffd"},
  };
  for (auto [bytes, expected] : cases) {
    std::string text;
    EXPECT_EQ(appendReplaced(bytes, true, text), std::string_view(bytes).size());
    EXPECT_EQ(text, expected);
  }
}

} // namespace
