//===- TokenizerGoldenTest.cpp - equality to Hugging Face tokenizers ------===//
#include "runtime/tokenizer/BertText.h"
#include "runtime/tokenizer/Normalize.h"
#include "runtime/tokenizer/Tokenizer.h"
#include "runtime/tokenizer/Utf8.h"
#include "test/runtime/tokenizer/Build.h"
#include "test/runtime/tokenizer/Goldens.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

using namespace kerf;
using namespace kerf::rt;
using namespace kerf::test;

namespace {

struct Variant {
  std::string name, changes;
};

void PrintTo(const Variant &variant, std::ostream *out) { *out << variant.name; }

class TokenizerGolden : public testing::TestWithParam<Variant> {};

const Inputs &inputs() {
  static const Inputs all;
  return all;
}

// What a streaming decoder gives for `ids`; every part must be whole characters.
std::string streamed(const Tokenizer &tokenizer, const std::vector<int32_t> &ids, bool skipSpecial) {
  StreamingDecoder decoder(tokenizer, skipSpecial);
  std::string all;
  auto add = [&](const std::string &part) {
    EXPECT_EQ(validUtf8Prefix(part), part.size());
    all += part;
  };
  for (int32_t id : ids)
    add(decoder.put(id));
  add(decoder.flush());
  return all;
}

TEST_P(TokenizerGolden, equals_hugging_face) {
  Built built = build(changed(GetParam().changes));
  ASSERT_EQ(built.error, "");
  Tokenizer tokenizer(*flatbuffers::GetRoot<schema::Tokenizer>(built.buffer.data()));

  std::string bytes = unpack(GetParam().name);
  std::string_view rest = bytes;
  uint32_t chunks = take<uint32_t>(rest), strings = take<uint32_t>(rest), broken = take<uint32_t>(rest);
  uint32_t decodes = take<uint32_t>(rest);
  ASSERT_LE(chunks, inputs().chunks.size());
  ASSERT_LE(strings, inputs().strings.size());
  ASSERT_LE(broken, inputs().broken.size());

  size_t index = 0;
  auto equal = [&](const std::string &given) {
    std::string text = swapped(GetParam().changes, given);
    bool parse = index % 4 != 3, around = index % 2 == 0, skip = index % 3 == 0;
    ++index;
    std::vector<int32_t> ids = tokenizer.encode(text, around, parse);
    std::string decoded = tokenizer.decode(ids, skip);
    EXPECT_EQ(streamed(tokenizer, ids, skip), decoded);
    bool sameIds = hashOf(ids) == take<uint32_t>(rest), sameText = hashOf(decoded) == take<uint32_t>(rest);
    EXPECT_TRUE(sameIds) << "ids of record " << index - 1 << ": " << text.substr(0, 200);
    EXPECT_TRUE(sameText) << "text of record " << index - 1 << ": " << text.substr(0, 200);
    return sameIds && sameText;
  };

  std::string whole;
  for (uint32_t i = 0; i < chunks; ++i)
    whole += inputs().chunks[i];
  EXPECT_TRUE(equal(whole));
  index = 0;
  size_t equalChunks = 0, equalStrings = 0, equalBroken = 0, equalDecodes = 0;
  for (uint32_t i = 0; i < chunks; ++i)
    equalChunks += equal(inputs().chunks[i]);
  for (uint32_t i = 0; i < strings; ++i)
    equalStrings += equal(inputs().strings[i]);
  for (uint32_t i = 0; i < broken; ++i)
    equalBroken += equal(inputs().broken[i]);

  SplitMix draw{7};
  for (uint32_t i = 0; i < decodes; ++i) {
    std::vector<int32_t> ids(draw() % 40);
    for (int32_t &id : ids)
      id = static_cast<int32_t>(draw() % tokenizer.size());
    std::string decoded = tokenizer.decode(ids, i % 3 == 0);
    EXPECT_EQ(validUtf8Prefix(decoded), decoded.size());
    EXPECT_EQ(streamed(tokenizer, ids, i % 3 == 0), decoded);
    bool same = hashOf(decoded) == take<uint32_t>(rest);
    EXPECT_TRUE(same) << "decode " << i;
    equalDecodes += same;
  }
  EXPECT_TRUE(rest.empty());
  std::printf(
      "%s: text of %zu bytes; equal: %zu of %u chunks, %zu of %u strings, %zu of %u broken, %zu of %u decodes\n",
      GetParam().name.c_str(), whole.size(), equalChunks, chunks, equalStrings, strings, equalBroken, broken,
      equalDecodes, decodes);
}

std::vector<Variant> all() {
  std::vector<Variant> result;
  for (auto &[name, changes] : variants())
    result.push_back({name, changes});
  return result;
}

// What `characters.txt` says of `step`.
uint32_t golden(const std::string &step) {
  std::ifstream file(KERF_TEST_DATA "/goldens/tokenizer/characters.txt");
  std::string name, hash;
  while (file >> name >> hash)
    if (name == step)
      return static_cast<uint32_t>(std::stoul(hash, nullptr, 16));
  throw std::runtime_error("characters.txt has no " + step);
}

template <typename Step> uint32_t hashOfAll(Step step) {
  std::string all;
  for (char32_t c = 0; c < 0x110000; ++c) {
    std::string character;
    appendUtf8(c, character);
    if (c < 0xD800 || c >= 0xE000)
      all += step(character);
  }
  return hashOf(all);
}

TEST(BertText, every_character_is_as_in_hugging_face) {
  EXPECT_EQ(hashOfAll(cleaned), golden("clean"));
  EXPECT_EQ(hashOfAll(ideographsSpaced), golden("ideographs"));
  EXPECT_EQ(hashOfAll([](const std::string &c) { return marksDropped(normalize(c, schema::NormalForm::NFD)); }),
            golden("accents"));
  EXPECT_EQ(hashOfAll([](const std::string &c) {
              char32_t code = readUtf8(c).codePoint;
              bool later = code == 0x1C89 || code == 0xA7CB || code == 0xA7CC || code == 0xA7CE || code == 0xA7D2 ||
                           code == 0xA7D4 || code == 0xA7DA || code == 0xA7DC || (code >= 0x10D50 && code < 0x10D66) ||
                           (code >= 0x16EA0 && code < 0x16EB9);
              return later ? "" : lowercased(c);
            }),
            golden("lower"));

  Built built = build(changed(R"({"base": "bert"})"));
  std::vector<Pattern> patterns;
  std::vector<schema::SplitBehavior> behaviors;
  for (const auto *step : *flatbuffers::GetRoot<schema::Tokenizer>(built.buffer.data())->pre_tokenizers()) {
    patterns.emplace_back(step->pattern()->string_view());
    behaviors.push_back(step->behavior());
  }
  ASSERT_EQ(patterns.size(), 2u);
  MatchScratch scratch;
  EXPECT_EQ(hashOfAll([&](const std::string &c) {
              std::string text = "a" + c + "a", joined;
              for (std::string_view word : patterns[0].split(text, behaviors[0], false, scratch))
                for (std::string_view piece : patterns[1].split(word, behaviors[1], false, scratch))
                  joined.append(joined.empty() ? "" : "|").append(piece);
              return joined;
            }),
            golden("split"));
}

INSTANTIATE_TEST_SUITE_P(variants, TokenizerGolden, testing::ValuesIn(all()),
                         [](const auto &info) { return info.param.name; });

} // namespace
