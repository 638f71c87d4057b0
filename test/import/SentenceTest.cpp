//===- SentenceTest.cpp - the files of sentence-transformers --------------===//

#include "dialects/import/Sentence.h"
#include "test/import/TestFiles.h"

#include <filesystem>

using namespace kerf;
using namespace kerf::test;

namespace {

/// A directory of a checkpoint with such files.
struct Directory {
  Directory() {
    dir.write("config.json", "{}");
    writeZeros(dir / "model.safetensors", {{"a", {1}}});
    dir.write("modules.json", modules({"Transformer", "Pooling"}));
    std::filesystem::create_directories(dir / "1_Pooling");
    dir.write("1_Pooling/config.json", R"({"word_embedding_dimension":24,"pooling_mode_mean_tokens":true})");
  }
  static std::string modules(std::vector<std::string> types, const std::string &path = "1_Pooling") {
    std::string text;
    for (const std::string &type : types)
      text += std::string(text.empty() ? "[" : ",") + R"({"idx":0,"name":"0","path":")" +
              (type == "Pooling" ? path : "") + R"(","type":"sentence_transformers.models.)" + type + "\"}";
    return text + "]";
  }
  llvm::Expected<std::optional<SentenceConfig>> read() {
    Checkpoint checkpoint = llvm::cantFail(Checkpoint::open(dir.path()));
    return readSentenceConfig(checkpoint, 24, ignored);
  }
  SentenceConfig accepted() {
    auto config = read();
    EXPECT_TRUE(!!config && *config) << (config ? "no files" : message(config.takeError()));
    return config && *config ? **config : SentenceConfig();
  }
  std::string refusal() { return message(read()); }

  TempDir dir;
  std::vector<IgnoredKey> ignored;
};

} // namespace

TEST(Sentence, ReadsPoolingAndNormalization) {
  Directory files;
  SentenceConfig config = files.accepted();
  EXPECT_EQ(config.pooling, SentencePooling::Mean);
  EXPECT_FALSE(config.normalize || config.maxTokens);
  EXPECT_EQ(files.ignored.size(), 4u); // idx and name of each module

  files.dir.write("modules.json", Directory::modules({"Transformer", "Pooling", "Normalize"}));
  files.dir.write("sentence_bert_config.json", R"({"max_seq_length":256,"do_lower_case":false})");
  for (auto [text, pooling] :
       {std::pair{R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":false})", SentencePooling::First},
        {R"({"pooling_mode_lasttoken":true})", SentencePooling::Last},
        {R"({"pooling_mode_max_tokens":true})", SentencePooling::Max},
        {R"({"embedding_dimension":24,"pooling_mode":"mean","include_prompt":true})", SentencePooling::Mean}}) {
    files.dir.write("1_Pooling/config.json", text);
    config = files.accepted();
    EXPECT_EQ(config.pooling, pooling) << text;
    EXPECT_TRUE(config.normalize);
    EXPECT_EQ(config.maxTokens, 256);
  }
}

TEST(Sentence, IsNothingWithoutModules) {
  Directory files;
  std::filesystem::remove(files.dir / "modules.json");
  auto config = files.read();
  ASSERT_TRUE(!!config) << message(config.takeError());
  EXPECT_FALSE(*config);
}

TEST(Sentence, RefusesOtherModules) {
  Directory files;
  const std::string rule = "modules.json: modules must be Transformer, Pooling and, if any more, Normalize, got ";
  for (std::vector<std::string> types : {std::vector<std::string>{"Transformer", "Pooling", "Dense"},
                                         {"Transformer"},
                                         {"Pooling", "Transformer"},
                                         {"Transformer", "Pooling", "Normalize", "Dense"}}) {
    files.dir.write("modules.json", Directory::modules(types));
    std::string got;
    for (const std::string &type : types)
      got += (got.empty() ? "" : ", ") + type;
    EXPECT_EQ(files.refusal(), rule + got + "; Kerf implements no others");
  }
  files.dir.write("modules.json", "{}");
  EXPECT_EQ(files.refusal(), "modules.json: must be an array of modules, got an object");
  // A path may not lead out of the directory.
  for (std::string path : {"", "..", "../x", "/etc", "a\\\\b"}) {
    files.dir.write("modules.json", Directory::modules({"Transformer", "Pooling"}, path));
    EXPECT_NE(files.refusal().find("key 'path' must be the name of a folder in the directory"), std::string::npos)
        << path;
  }
}

TEST(Sentence, RefusesOtherPoolings) {
  Directory files;
  auto refused = [&](const std::string &text) {
    files.dir.write("1_Pooling/config.json", text);
    return files.refusal();
  };
  const std::string rule = "1_Pooling/config.json: pooling must be one of cls, mean, max and lasttoken, got ";
  EXPECT_EQ(refused(R"({"pooling_mode_weightedmean_tokens":true})"), rule + "pooling_mode_weightedmean_tokens");
  EXPECT_EQ(refused(R"({"pooling_mode_cls_token":true,"pooling_mode_mean_tokens":true})"), rule + "cls, mean");
  EXPECT_EQ(refused("{}"), rule + "none");
  EXPECT_EQ(refused(R"({"word_embedding_dimension":25,"pooling_mode_mean_tokens":true})"),
            "1_Pooling/config.json: key 'word_embedding_dimension' must be 24, as hidden_size, got 25");
  EXPECT_NE(refused(R"({"pooling_mode_mean_tokens":true,"foo":1})").find("key 'foo' is not understood"),
            std::string::npos);
}

TEST(Sentence, RefusesOtherTexts) {
  Directory files;
  files.dir.write("sentence_bert_config.json", R"({"max_seq_length":0})");
  EXPECT_NE(files.refusal().find("key 'max_seq_length' must be an integer from 1"), std::string::npos);
  files.dir.write("sentence_bert_config.json", R"({"max_seq_length":8,"do_lower_case":true})");
  EXPECT_EQ(files.refusal(), "sentence_bert_config.json: key 'do_lower_case' must be false (Kerf leaves letters to "
                             "tokenizer.json: state it in its normalizer), got true");
}
