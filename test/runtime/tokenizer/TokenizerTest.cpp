//===- TokenizerTest.cpp - the runtime's tokenizer on hostile input -------===//
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/schema/TokenizerHash.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/runtime/tokenizer/Build.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <functional>
#include <random>
#include <thread>

using namespace kerf;
using namespace kerf::rt;
using namespace kerf::test;
using Cause = TokenizerError::Cause;

namespace {

// The bundled model's table, or a variant of it.
std::vector<uint8_t> table(const std::string &changes = "{}") {
  Built built = build(changed(changes));
  EXPECT_EQ(built.error, "");
  return built.buffer;
}

const schema::Tokenizer &root(const std::vector<uint8_t> &buffer) {
  return *flatbuffers::GetRoot<schema::Tokenizer>(buffer.data());
}

bool verifies(const uint8_t *data, size_t size) {
  return flatbuffers::Verifier(data, size).VerifyBuffer<schema::Tokenizer>();
}

// The table after `change`.
std::vector<uint8_t> edited(const std::vector<uint8_t> &buffer,
                            const std::function<void(schema::TokenizerT &)> &change) {
  std::unique_ptr<schema::TokenizerT> object(root(buffer).UnPack());
  change(*object);
  flatbuffers::FlatBufferBuilder builder;
  builder.Finish(schema::Tokenizer::Pack(builder, object.get()));
  return {builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize()};
}

void expectRefused(const std::vector<uint8_t> &buffer, const std::string &message) {
  ASSERT_TRUE(verifies(buffer.data(), buffer.size()));
  try {
    Tokenizer tokenizer(root(buffer));
    ADD_FAILURE() << "accepted, where an error should say: " << message;
  } catch (const TokenizerError &error) {
    EXPECT_EQ(error.cause(), Cause::BadTable);
    EXPECT_NE(std::string(error.what()).find(message), std::string::npos) << error.what();
  }
}

schema::MergeSlot &firstMerge(schema::TokenizerT &t) {
  for (schema::MergeSlot &slot : t.model->merges)
    if (slot.left() != schema::kNoToken)
      return slot;
  throw std::logic_error("no merge");
}

using Edit = std::function<void(schema::TokenizerT &)>;

TEST(TokenizerTable, refuses_what_the_compiler_never_writes) {
  const std::vector<uint8_t> good = table(R"({"model.ignore_merges": true})");
  Tokenizer accepted(root(good));
  auto pattern = [](std::string text) {
    return [text](schema::TokenizerT &t) { t.pre_tokenizers[0]->pattern = text; };
  };
  auto mergeAs = [](uint32_t left, uint32_t right, uint32_t result) {
    return [=](schema::TokenizerT &t) {
      schema::MergeSlot &slot = firstMerge(t);
      slot = schema::MergeSlot(left, right, slot.rank(), result);
    };
  };
  const std::pair<Edit, const char *> cases[] = {
      {[](auto &t) { t.token_offsets.clear(); }, "must have 1 to"},
      {[](auto &t) { t.token_offsets.back() += 1; }, "must run from 0 to"},
      {[](auto &t) { t.token_offsets[5] = 0xffffff00u; }, "must not fall"},
      {[](auto &t) { t.model->byte_tokens.pop_back(); }, "256 bytes, got 255"},
      {[](auto &t) { t.model->byte_tokens[65] = 4096; }, "a token for byte 65, got id 4096"},
      {[](auto &t) { std::swap(t.model->byte_tokens[65], t.model->byte_tokens[66]); }, "a token for byte 65"},
      {[](auto &t) { t.model->byte_tokens[65] = schema::kNoToken; }, "a token for byte 65"},
      {mergeAs(3, 4, 4096), "must be of ids below 4096"},
      {mergeAs(4096, 4, 5), "must be of ids below 4096"},
      {mergeAs(3, 0xfffffffe, 5), "must be of ids below 4096"},
      {mergeAs(3, 4, 5), "must give their bytes joined"},
      {[](auto &t) { std::swap(t.model->merges[0], t.model->merges[t.model->merges.size() / 2]); }, "where its hash"},
      {[](auto &t) {
         for (auto &slot : t.model->merges)
           slot = schema::MergeSlot(slot.left(), slot.right(), 7, slot.result());
       },
       "own rank, got rank 7 twice"},
      {[](auto &t) { t.model->merges.pop_back(); }, "power of two"},
      {[](auto &t) { t.model->merges.assign(4, firstMerge(t)); }, "must have an empty slot"},
      // Ids that collide, as many as there are: each search would pass all of them.
      {[](auto &t) {
         std::vector<schema::MergeSlot> colliding(4096, schema::MergeSlot(schema::kNoToken, 0, 0, 0));
         std::fill_n(colliding.begin() + 3500, 500, firstMerge(t));
         std::fill_n(colliding.begin(), 525, firstMerge(t));
         std::fill(colliding.begin() + 4000, colliding.end(), firstMerge(t));
         t.model->merges = colliding;
       },
       "the tokenizer's table of merges must have an empty slot after at most 1024 full ones, got more"},
      {[](auto &t) {
         for (int i = 0; i < 1200; ++i) {
           auto &token = *t.added_tokens.emplace_back(new schema::AddedTokenT);
           token.content.assign(4000, 'a');
         }
       },
       "added tokens must have at most 4194304 bytes together, got more"},
      {[](auto &t) {
         for (int i = 0; i < 2; ++i) {
           auto &step = *t.normalizers.emplace_back(new schema::NormalizerStepT);
           step.kind = schema::NormalizerKind::Prepend;
           step.content.assign(33, 'a');
         }
       },
       "normalizers must put at most 64 bytes before a text, got 66"},
      {[](auto &t) { t.model->whole_pieces.clear(); }, "just if merges are ignored"},
      {[](auto &t) { t.model->ignore_merges = false; }, "just if merges are ignored"},
      {[](auto &t) { t.model->whole_pieces.assign(2, 5); }, "must have an empty slot"},
      {[](auto &t) { t.model->whole_pieces.assign({4096, schema::kNoToken}); }, "must lead to id 4096"},
      {[](auto &t) { t.added_tokens[1]->id = 4096; }, "added token must be below 4096"},
      {[](auto &t) { t.added_tokens[1]->content.clear(); }, "must be 1 to 4096 bytes of UTF-8"},
      {[](auto &t) { t.added_tokens[1]->content = "a\xff"; }, "must be 1 to 4096 bytes of UTF-8"},
      {[](auto &t) { t.added_tokens[1]->content.assign(4097, 'a'); }, "must be 1 to 4096 bytes of UTF-8"},
      {[](auto &t) { t.prefix_ids = {4096}; }, "put around a text must be below 4096"},
      {[](auto &t) { t.suffix_ids = {0xffffffffu}; }, "put around a text must be below 4096"},
      {[](auto &t) { t.pre_tokenizers[0]->kind = schema::PreTokenizerKind(9); }, "known kind"},
      {[](auto &t) { t.pre_tokenizers[0]->behavior = schema::SplitBehavior(9); }, "known kind"},
      {[](auto &t) { t.decoder = schema::DecoderKind(3); }, "decoder must be of a known kind, got 3"},
      {[](auto &t) { t.normalizers.emplace_back(new schema::NormalizerStepT)->form = schema::NormalForm(9); },
       "known kind and form, got 0 and 9"},
      {[](auto &t) { t.normalizers.emplace_back(new schema::NormalizerStepT)->kind = schema::NormalizerKind(9); },
       "known kind and form, got 9 and 0"},
      {[](auto &t) {
         for (int i = 0; i < 33; ++i)
           t.normalizers.emplace_back(new schema::NormalizerStepT);
       },
       "at most 32 normalizers, got 33"},
      {[](auto &t) { t.model.reset(); }, "must have one model, got none"},
      {[](auto &t) {
         t.word_pieces = std::make_unique<schema::WordPieceModelT>();
         t.word_pieces->pieces.push_back(schema::kNoToken);
       },
       "must have one model, got two"},
      {[](auto &t) { t.decoder_steps.emplace_back(new schema::DecoderStepT); }, "at most 0 decoding steps, got 1"},
      {[](auto &t) {
         for (int i = 0; i < 40; ++i)
           t.pre_tokenizers.emplace_back(new schema::PreTokenizerStepT)->kind = schema::PreTokenizerKind::PrefixSpace;
       },
       "at most 32 splitting steps"},
      {pattern("a(b"), "missing closing parenthesis at byte 3"},
      {pattern("\\C"), "valid regular expression"},
      {pattern("\xff"), "valid regular expression"},
      {pattern(std::string(70'000, 'a')), "at most 65536 bytes"},
      {pattern("(((a{1,1000}){1,1000}){1,1000})"), "valid regular expression"},
      {pattern(std::string(2000, '(') + std::string(2000, ')')), "valid regular expression"},
  };
  for (const auto &[edit, message] : cases) {
    SCOPED_TRACE(message);
    expectRefused(edited(good, edit), message);
  }
}

TEST(TokenizerTable, refuses_what_the_compiler_never_writes_where_symbols_are_characters) {
  const std::vector<uint8_t> llama = table(R"({"base": "llama2", "pre_tokenizer": {"type": "Metaspace",
                                               "replacement": "▁", "prepend_scheme": "always"}})");
  const std::vector<uint8_t> bert = table(R"({"base": "bert"})");
  auto decoding = [](schema::DecoderStepKind kind, std::string pattern) {
    return [=](schema::TokenizerT &t) {
      auto &step = *t.decoder_steps.insert(t.decoder_steps.begin(), std::make_unique<schema::DecoderStepT>());
      step->kind = kind;
      step->pattern = pattern;
    };
  };
  const std::pair<Edit, const char *> ofLlama[] = {
      {[](auto &t) { t.model->whole_pieces.clear(); }, "symbols are characters, got none"},
      {[](auto &t) { t.model->unknown = 5000; }, "unknown token must be below"},
      {[](auto &t) { t.model->byte_tokens.resize(255); }, "256 bytes, got 255"},
      {[](auto &t) { std::swap(t.model->byte_tokens[65], t.model->byte_tokens[66]); }, "a token for byte 65"},
      {[](auto &t) { t.model->byte_tokens[65] = 5000; }, "a token for byte 65, got id 5000"},
      {[](auto &t) { t.model->whole_pieces[t.model->whole_pieces[0] == schema::kNoToken ? 1 : 0] = 5000; },
       "must lead to id 5000"},
      {[](auto &t) { t.normalizers[0]->content.assign(4097, 'a'); }, "content of a normalizer must be at most 4096"},
      {[](auto &t) { t.normalizers[0]->content = "\xff"; }, "content of a normalizer must be"},
      {[](auto &t) { t.normalizers[1]->pattern = "("; }, "valid regular expression"},
      {[](auto &t) { t.pre_tokenizers[0]->replacement = "ab"; }, "must be one character, got 2 bytes"},
      {[](auto &t) { t.pre_tokenizers[0]->replacement = "\xe2\x96"; }, "must be one character, got 2 bytes"},
      {[](auto &t) { t.pre_tokenizers[0]->replacement.clear(); }, "must be one character, got 0 bytes"},
      {[](auto &t) { t.pre_tokenizers[0]->prefix = schema::Prefix(7); },
       "known kind, behaviour and prefix, got 2, 0 and 7"},
      {[](auto &t) { t.normalizers[1]->content.assign(256, 'a'); }, "make at most 256 bytes of one, got 257"},
      {[](auto &t) {
         for (int i = 0; i < 2; ++i) {
           auto &step = *t.decoder_steps.insert(t.decoder_steps.begin(), std::make_unique<schema::DecoderStepT>());
           step->pattern = "e";
           step->content.assign(20, 'e');
         }
       },
       "make at most 256 bytes of one, got 400"},
      {decoding(schema::DecoderStepKind(9), ""), "decoding step must be of a known kind, got 9"},
      {decoding(schema::DecoderStepKind::Replace, ""), "pattern of at least one character"},
      {decoding(schema::DecoderStepKind::Replace, std::string(65, 'a')), "at most 64 bytes of UTF-8"},
      {decoding(schema::DecoderStepKind::WordPiece, "\xff"), "at most 64 bytes of UTF-8"},
      {decoding(schema::DecoderStepKind::Metaspace, "ab"), "pattern of one character"},
      {decoding(schema::DecoderStepKind::Strip, ""), "pattern of one character"},
      {decoding(schema::DecoderStepKind::ByteFallback, ""), "must be in order, got kind 0 too late"},
      {[](auto &t) {
         for (int i = 0; i < 40; ++i)
           t.decoder_steps.emplace_back(new schema::DecoderStepT)->pattern = "a";
       },
       "at most 32 decoding steps, got 43"},
  };
  const std::pair<Edit, const char *> ofBert[] = {
      {[](auto &t) { t.word_pieces->pieces.clear(); }, "table of pieces must be there, got none"},
      {[](auto &t) { t.word_pieces->pieces.pop_back(); }, "power of two"},
      {[](auto &t) { t.word_pieces->pieces.assign(2, 5); }, "must have an empty slot"},
      {[](auto &t) { t.word_pieces->pieces.assign({5, schema::kNoToken}); }, "must lead to id 5"},
      {[](auto &t) {
         // The last token grows by what follows, and its slot in the table moves.
         t.token_bytes.insert(t.token_bytes.end(), 4097, 'q');
         t.token_offsets.push_back(uint32_t(t.token_bytes.size()));
         const std::string content(4097, 'q');
         auto &pieces = t.word_pieces->pieces;
         size_t slot = schema::pieceHash(content) & (pieces.size() - 1);
         while (pieces[slot] != schema::kNoToken)
           slot = (slot + 1) & (pieces.size() - 1);
         pieces[slot] = uint32_t(t.token_offsets.size() - 2);
       },
       "the pieces of words must have at most 4096 bytes, got 4097"},
      {[](auto &t) { t.word_pieces->unknown = 1500; }, "unknown token must be below 1500, got 1500"},
      {[](auto &t) { t.word_pieces->prefix.assign(65, '#'); }, "at most 64 bytes"},
  };
  Tokenizer accepted(root(llama)), acceptedToo(root(bert));
  for (const auto &[edit, message] : ofLlama) {
    SCOPED_TRACE(message);
    expectRefused(edited(llama, edit), message);
  }
  for (const auto &[edit, message] : ofBert) {
    SCOPED_TRACE(message);
    expectRefused(edited(bert, edit), message);
  }
}

TEST(TokenizerTable, truncated_buffers_do_not_verify) {
  const std::vector<uint8_t> good = table();
  ASSERT_TRUE(verifies(good.data(), good.size()));
  for (size_t size = 0; size < good.size(); size += size < 512 ? 1 : 997) {
    // A copy of the exact size, so that a sanitizer sees any read past it.
    std::vector<uint8_t> part(good.begin(), good.begin() + size);
    EXPECT_FALSE(verifies(part.data(), part.size())) << size;
  }
}

TEST(TokenizerTable, flipped_bits_never_crash) {
  const std::vector<uint8_t> all[] = {table(R"({"normalizer": {"type": "NFC"}, "model.ignore_merges": true})"),
                                      table(R"({"base": "llama2"})"), table(R"({"base": "bert"})")};
  std::mt19937 random(3);
  int refused = 0, accepted = 0;
  for (int round = 0; round < 1800; ++round) {
    const std::vector<uint8_t> &good = all[round / 600];
    std::vector<uint8_t> bad = good;
    // The head and the end hold the tables, the middle the long vectors.
    size_t span = round % 3 == 2 ? bad.size() : 3000;
    size_t place = random() % span;
    bad[round % 3 == 1 ? bad.size() - 1 - place : place] ^= 1u << random() % 8;
    if (!verifies(bad.data(), bad.size())) {
      ++refused;
      continue;
    }
    try {
      Tokenizer tokenizer(root(bad));
      std::vector<int32_t> ids = tokenizer.encode("it's 12 <|end_of_text|> e\xcc\x81\xff\n", true, true);
      EXPECT_EQ(validUtf8Prefix(tokenizer.decode(ids, false)), tokenizer.decode(ids, false).size());
      ++accepted;
    } catch (const TokenizerError &) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
  EXPECT_GT(accepted, 50);
}

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
      auto begin = std::chrono::steady_clock::now();
      std::vector<int32_t> ids = tokenizer.encode(text, false, true);
      double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (buffer != &bert)
        EXPECT_FALSE(ids.empty());
      if (validUtf8Prefix(text) == text.size() && (buffer == &whole || buffer == &llama || text != marks) &&
          buffer != &bert)
        EXPECT_EQ(tokenizer.decode(ids, false), text);
      // About 0.2 s; a quadratic step would take minutes.
      EXPECT_LT(seconds, 20.0) << text.substr(0, 8);
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
