//===- Sentence.cpp - how an encoder makes a vector of a text -------------===//

#include "dialects/import/Sentence.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace kerf;
using namespace llvm;
using simdjson::dom::element;

namespace {

class Reader {
public:
  Reader(const Checkpoint &checkpoint, int64_t hidden, std::vector<IgnoredKey> &ignored)
      : checkpoint(checkpoint), hidden(hidden), ignored(ignored) {}

  Expected<std::optional<SentenceConfig>> read() {
    if (!sys::fs::exists(pathOf("modules.json")))
      return std::nullopt;
    std::vector<std::string> types;
    std::string poolingPath;
    Error error =
        with("modules.json", [&](const JsonDocument &document) { readModules(document, types, poolingPath); });
    if (error)
      return std::move(error);
    if (Error error = with(poolingPath + "/config.json", [&](const JsonDocument &document) { readPooling(document); }))
      return std::move(error);
    if (sys::fs::exists(pathOf("sentence_bert_config.json")))
      if (Error error = with("sentence_bert_config.json", [&](const JsonDocument &document) { readLimits(document); }))
        return std::move(error);
    if (sys::fs::exists(pathOf("config_sentence_transformers.json")))
      ignored.push_back({"config_sentence_transformers.json",
                         "holds versions and prompts; a prompt is put before a text by whoever gives the text"});
    return result;
  }

private:
  std::string pathOf(const Twine &file) const {
    SmallString<256> path(checkpoint.directory());
    sys::path::append(path, file);
    return path.str().str();
  }

  /// Parses `file` and has it read; gives all that is wrong with it.
  Error with(const Twine &file, function_ref<void(const JsonDocument &)> read) {
    Expected<std::string> text = readSmallFile(pathOf(file), JsonLimits().maxBytes);
    if (!text)
      return text.takeError();
    Expected<JsonDocument> document = JsonDocument::parse(file.str(), *text);
    if (!document)
      return document.takeError();
    read(*document);
    return problems.take();
  }

  /// A transformer, then its pooling, then nothing or the normalization.
  void readModules(const JsonDocument &document, std::vector<std::string> &types, std::string &poolingPath) {
    simdjson::dom::array modules;
    if (document.root().get_array().get(modules))
      return problems.add(document.name() + ": must be an array of modules, got " + describe(document.root()));
    for (element module : modules) {
      ObjectReader reader(document.name() + ": module " + Twine(types.size()), module, problems, ignored);
      // By class alone: the packages that hold the classes have moved between versions.
      std::string type = StringRef(reader.string("type")).rsplit('.').second.str();
      types.push_back(type.empty() ? reader.string("type") : type);
      std::string path = reader.string("path");
      reader.ignore("idx", "modules are listed in order");
      reader.ignore("name", "a label");
      reader.ignore("kwargs", "names what Python passes on");
      reader.finish("a module has idx, name, path and type");
      if (types.back() != "Pooling")
        continue;
      poolingPath = path;
      if (path.empty() || path == ".." || StringRef(path).find_first_of(StringRef("/\\\0", 3)) != StringRef::npos)
        reader.wrong("path", "be the name of a folder in the directory");
    }
    result.normalize = types.size() == 3;
    const std::vector<std::string> known = {"Transformer", "Pooling", "Normalize"};
    if (types.size() < 2 || types.size() > 3 || !std::equal(types.begin(), types.end(), known.begin()))
      problems.add(document.name() + ": modules must be Transformer, Pooling and, if any more, Normalize, got " +
                   (types.empty() ? std::string("none") : join(types, ", ")) + "; Kerf implements no others");
  }

  void readPooling(const JsonDocument &document) {
    ObjectReader reader(document.name(), document.root(), problems, ignored);
    for (StringRef key : {"word_embedding_dimension", "embedding_dimension"})
      if (reader.has(key) && reader.integer(key, {}) != hidden)
        reader.wrong(key, "be " + Twine(hidden) + ", as hidden_size");
    reader.ignore("include_prompt", "says which rows of a prompt count; Kerf is given whole texts");
    std::vector<std::string> modes;
    if (reader.has("pooling_mode"))
      modes.push_back(reader.string("pooling_mode"));
    for (StringRef key :
         {"pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_max_tokens", "pooling_mode_lasttoken",
          "pooling_mode_mean_sqrt_len_tokens", "pooling_mode_weightedmean_tokens"})
      if (reader.booleanOr(key, false))
        modes.push_back(StringSwitch<std::string>(key)
                            .Case("pooling_mode_cls_token", "cls")
                            .Case("pooling_mode_mean_tokens", "mean")
                            .Case("pooling_mode_max_tokens", "max")
                            .Case("pooling_mode_lasttoken", "lasttoken")
                            .Default(key.str()));
    reader.finish("Kerf cannot tell whether it changes the vectors; if it does not, remove it");
    auto pooling = StringSwitch<std::optional<SentencePooling>>(modes.size() == 1 ? modes.front() : "")
                       .Case("cls", SentencePooling::First)
                       .Case("mean", SentencePooling::Mean)
                       .Case("max", SentencePooling::Max)
                       .Case("lasttoken", SentencePooling::Last)
                       .Default(std::nullopt);
    if (!pooling)
      return reader.problem("pooling must be one of cls, mean, max and lasttoken, got " +
                            (modes.empty() ? std::string("none") : join(modes, ", ")));
    result.pooling = *pooling;
  }

  void readLimits(const JsonDocument &document) {
    ObjectReader reader(document.name(), document.root(), problems, ignored);
    if (reader.has("max_seq_length"))
      result.maxTokens = reader.integer("max_seq_length", {1, 1 << 30});
    else
      reader.ignore("max_seq_length", "null means that config.json says it");
    reader.allowOnly("do_lower_case", false, "texts go to the tokenizer as they are",
                     "Kerf leaves letters to tokenizer.json: state it in its normalizer");
    reader.finish("it may change how texts are read: remove it if the default will do");
  }

  const Checkpoint &checkpoint;
  int64_t hidden;
  std::vector<IgnoredKey> &ignored;
  Problems problems;
  SentenceConfig result;
};

} // namespace

Expected<std::optional<SentenceConfig>> kerf::readSentenceConfig(const Checkpoint &checkpoint, int64_t hidden,
                                                                 std::vector<IgnoredKey> &ignored) {
  return Reader(checkpoint, hidden, ignored).read();
}
