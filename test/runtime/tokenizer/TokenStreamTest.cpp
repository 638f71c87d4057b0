//===- TokenStreamTest.cpp - a text in blocks makes the tokens of the whole ===//
#include "tools/kerf-run/TokenStream.h"
#include "test/runtime/fake/Fixture.h"
#include "test/runtime/tokenizer/Build.h"
#include "test/runtime/tokenizer/Goldens.h"
#include "tools/runtime-support/Text.h"

#include <cstdio>

using namespace kerf::test;
using namespace kerf::tools;

namespace {

// A model with the tokenizer of a tokenizer.json.
struct Tokenizing {
  explicit Tokenizing(const std::string &json) {
    Built built = build(json);
    EXPECT_EQ(built.error, "");
    FakePackage fake;
    fake.manifest.tokenizer.reset(flatbuffers::GetRoot<kerf::schema::Tokenizer>(built.buffer.data())->UnPack());
    fake.write(folder.file("fake.kerf"));
    kerf_error error;
    kerf_model *handle = nullptr;
    EXPECT_EQ(kerf_model_open(folder.file("fake.kerf").c_str(), &fakeLibrary(), nullptr, &handle, &error), KERF_OK)
        << error.message;
    model.reset(handle);
  }
  TempFolder folder;
  Model model;

  // The ids of `text` in the smallest blocks, and how many blocks there were.
  std::vector<int32_t> streamed(const std::string &text, uint32_t flags, size_t &blocks) {
    writeFile(folder.file("text"), text);
    TokenStream stream(model, folder.file("text"), flags, 1);
    std::vector<int32_t> ids;
    for (blocks = 0; stream.read(ids);)
      ++blocks;
    EXPECT_EQ(stream.bytes(), text.size());
    EXPECT_EQ(stream.totalBytes(), text.size());
    return ids;
  }
  void expectEqual(const std::string &text, const std::string &what, size_t leastBlocks, uint32_t flags = 0) {
    size_t blocks = 0;
    EXPECT_EQ(streamed(text, flags, blocks), tokenize(model, text, flags | KERF_NO_FRAME)) << what;
    EXPECT_GE(blocks, leastBlocks) << what;
  }
};

// Every eighth text of the tokenizer's goldens, as one: many scripts, code, random code points, broken UTF-8.
std::string manyTexts() {
  const Inputs inputs;
  std::string text;
  for (const auto *group : {&inputs.chunks, &inputs.strings, &inputs.broken})
    for (size_t i = 0; i < group->size(); i += 8)
      text += (*group)[i];
  return text;
}

TEST(TokenStream, makes_the_tokens_of_the_whole_for_every_tokenizer) {
  const std::string text = manyTexts();
  size_t count = 0;
  for (const auto &[name, changes] : variants()) {
    SCOPED_TRACE(name);
    Tokenizing(changed(changes)).expectEqual(text, name, text.size() / (64 << 10));
    ++count;
  }
  EXPECT_GE(count, 10u);
}

TEST(TokenStream, texts_without_words) {
  Tokenizing bundled(changed("{}"));
  const auto repeated = [](const std::string &part, size_t times) {
    std::string text;
    while (times--)
      text += part;
    return text;
  };
  bundled.expectEqual(repeated("日本語の文章", 8000), "no spaces", 2);
  bundled.expectEqual(repeated("0123456789", 8000), "digits", 1);
  bundled.expectEqual(repeated("x", 80000), "one letter", 1);
  bundled.expectEqual(repeated("\n", 80000), "line ends", 1);
  bundled.expectEqual(repeated(" ", 80000), "spaces", 1);
  bundled.expectEqual(repeated("\xff", 80000), "no UTF-8", 1);
  bundled.expectEqual(repeated("<|end_of_text|>", 8000), "special tokens", 2);
  bundled.expectEqual(repeated("<|end_of_text|>", 8000), "special tokens as text", 2, KERF_PLAIN_TEXT);
  bundled.expectEqual("", "nothing", 0);
}

// One run of letters is one piece: there is no place to cut, and the text is held whole.
TEST(TokenStream, a_text_of_exactly_a_block) {
  Tokenizing bundled(changed("{}"));
  for (const size_t bytes : {16383, 16384, 16385, 24575, 24576, 24577, 24578}) {
    std::string text;
    while (text.size() < bytes)
      text += "some words ";
    text.resize(bytes);
    bundled.expectEqual(text, std::to_string(bytes), 1);
  }
}

TEST(TokenStream, begin_tokens) {
  EXPECT_EQ(beginTokens(Tokenizing(changed("{}")).model), std::vector<int32_t>{0});
  EXPECT_EQ(beginTokens(Tokenizing(changed("{\"post_processor\": null}")).model), std::vector<int32_t>{});
}

} // namespace
