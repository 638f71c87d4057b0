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
  json::Value config = read(KERF_SOURCE_DIR "/examples/models/kerf-tiny-llama/tokenizer.json");
  json::Value all = cantFail(json::parse(changes));
  for (auto &[key, value] : *all.getAsObject()) {
    json::Object *at = config.getAsObject();
    StringRef path(key);
    while (path.contains('.')) {
      auto [head, tail] = path.split('.');
      at = at->getObject(head);
      path = tail;
    }
    (*at)[path] = value;
  }
  return text(config);
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
