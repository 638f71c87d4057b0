//===- Build.cpp - tokenizer.json texts as tables, for tests --------------===//
#include "test/runtime/tokenizer/Build.h"
#include "codegen/package/RegexDialect.h"
#include "codegen/package/TokenizerJson.h"

#include "llvm/Support/JSON.h"
#include "llvm/Support/raw_ostream.h"

using namespace kerf;
using namespace llvm;

static std::string text(const json::Value &value) {
  std::string out;
  raw_string_ostream(out) << value;
  return out;
}

static json::Value read(const std::string &path) {
  return cantFail(json::parse(cantFail(readSmallFile(path, 64 << 20))));
}

kerf::test::Built kerf::test::build(const std::string &json) {
  Built built;
  flatbuffers::FlatBufferBuilder builder;
  std::vector<IgnoredKey> ignored;
  auto table = buildTokenizerFromText(builder, "tokenizer.json", json, ignored);
  for (const IgnoredKey &key : ignored)
    built.ignored.push_back(key.key + ": " + key.reason);
  if (!table) {
    built.error = toString(table.takeError());
    return built;
  }
  builder.Finish(*table);
  built.buffer.assign(builder.GetBufferPointer(), builder.GetBufferPointer() + builder.GetSize());
  return built;
}

std::string kerf::test::changed(const std::string &changes) {
  json::Value all = cantFail(json::parse(changes));
  json::Value config = read(KERF_SOURCE_DIR "/examples/models/kerf-tiny-llama/tokenizer.json");
  if (std::optional<StringRef> base = all.getAsObject()->getString("base"))
    config = read((KERF_TEST_DATA "/goldens/tokenizer/" + *base + ".json").str());
  for (auto &[key, value] : *all.getAsObject()) {
    if (key == "base" || key == "swap")
      continue;
    json::Object *at = config.getAsObject();
    StringRef path(key);
    while (path.contains('.')) {
      auto [head, tail] = path.split('.');
      at = at->getObject(head);
      path = tail;
    }
    if (value.kind() == json::Value::Null)
      at->erase(path);
    else
      (*at)[path] = value;
  }
  return text(config);
}

std::string kerf::test::swapped(const std::string &changes, std::string text) {
  json::Value all = cantFail(json::parse(changes));
  const json::Array *pairs = all.getAsObject()->getArray("swap");
  for (size_t i = 0; pairs && i < pairs->size(); ++i) {
    const json::Array &pair = *(*pairs)[i].getAsArray();
    StringRef from = *pair[0].getAsString(), to = *pair[1].getAsString();
    for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
  }
  return text;
}

std::vector<std::pair<std::string, std::string>> kerf::test::variants() {
  json::Value all = read(KERF_TEST_DATA "/goldens/tokenizer/variants.json");
  std::vector<std::pair<std::string, std::string>> result;
  for (auto &[name, changes] : *all.getAsObject())
    result.emplace_back(name.str(), text(changes));
  return result;
}

std::string kerf::test::translated(const std::string &pattern) {
  Expected<std::string> result = translateOnigurumaPattern(pattern);
  return result ? *result : "error: " + toString(result.takeError());
}
