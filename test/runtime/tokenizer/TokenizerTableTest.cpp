//===- TokenizerTableTest.cpp - tables that no compiler wrote -------------===//
#include "runtime/schema/TokenizerHash.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/TokenizerError.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/runtime/tokenizer/Tables.h"

#include <random>

using namespace kerf;
using namespace kerf::rt;
using namespace kerf::test;
using Cause = TokenizerError::Cause;

namespace {

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

} // namespace
