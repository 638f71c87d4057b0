//===- TestFiles.h - crafted checkpoint files for the import tests --------===//
#ifndef KERF_TEST_IMPORT_TESTFILES_H
#define KERF_TEST_IMPORT_TESTFILES_H

#include "dialects/import/TransformerConfig.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/Error.h"
#include "llvm/Support/FileSystem.h"

#include "gtest/gtest.h"

#include <fstream>
#include <map>
#include <string>
#include <unistd.h>
#include <vector>

namespace kerf::test {

/// A directory that is removed, with all it holds, when this goes out of scope.
class TempDir {
public:
  TempDir() {
    llvm::SmallString<128> made;
    EXPECT_FALSE(llvm::sys::fs::createUniqueDirectory("kerf-import-test", made));
    path_ = made.str().str();
  }
  ~TempDir() { llvm::sys::fs::remove_directories(path_); }
  TempDir(const TempDir &) = delete;

  /// The directory.
  const std::string &path() const { return path_; }
  /// The path of `file` in it.
  std::string operator/(const std::string &file) const { return path_ + "/" + file; }
  /// Writes `text` to `file`.
  void write(const std::string &file, const std::string &text) const { std::ofstream(*this / file) << text; }

private:
  std::string path_;
};

/// The message of an error, empty for success.
inline std::string message(llvm::Error error) { return llvm::toString(std::move(error)); }

/// The message of a result that should have failed; empty if it did not.
template <typename T> std::string message(llvm::Expected<T> result) {
  return result ? std::string() : llvm::toString(result.takeError());
}

/// The bytes before the data of a safetensors file.
inline std::string safetensorsHead(const std::string &header) {
  char size[8];
  llvm::support::endian::write64le(size, header.size());
  return std::string(size, 8) + header;
}

/// One tensor to write.
struct TensorSpec {
  std::string name;
  llvm::SmallVector<int64_t, 2> shape;
  std::string dtype = "BF16";
};

/// Writes a safetensors file of zero weights to `path`. The data are a hole: they take no space on the disk.
inline void writeZeros(const std::string &path, const std::vector<TensorSpec> &tensors) {
  std::string header = "{\"__metadata__\":{\"format\":\"pt\"}";
  uint64_t end = 0;
  for (const TensorSpec &tensor : tensors) {
    uint64_t bytes = tensor.dtype == "F32" ? 4 : tensor.dtype == "U8" ? 1 : 2;
    for (int64_t extent : tensor.shape)
      bytes *= extent;
    header += ",\"" + tensor.name + "\":{\"dtype\":\"" + tensor.dtype + "\",\"shape\":" + formatShape(tensor.shape) +
              ",\"data_offsets\":[" + std::to_string(end) + "," + std::to_string(end + bytes) + "]}";
    end += bytes;
  }
  std::string head = safetensorsHead(header + "}");
  std::ofstream(path, std::ios::binary) << head;
  EXPECT_EQ(truncate(path.c_str(), head.size() + end), 0);
}

/// The tensors that `config` needs, to be written.
inline std::vector<TensorSpec> specsOf(const TransformerConfig &config, const std::string &dtype = "BF16") {
  std::vector<TensorSpec> specs;
  for (ExpectedTensor &tensor : expectedTensors(config))
    specs.push_back({tensor.name, tensor.shape, dtype});
  return specs;
}

/// Changes to an object: key to JSON text, or to nothing to take the key away.
using Changes = std::map<std::string, std::string>;

/// A small valid Llama config.json with `changes`.
inline std::string llamaConfig(const Changes &changes = {}) {
  Changes members = {{"architectures", "[\"LlamaForCausalLM\"]"},
                     {"model_type", "\"llama\""},
                     {"vocab_size", "99"},
                     {"hidden_size", "24"},
                     {"intermediate_size", "40"},
                     {"num_hidden_layers", "3"},
                     {"num_attention_heads", "6"},
                     {"num_key_value_heads", "2"},
                     {"max_position_embeddings", "128"}};
  for (const auto &[key, value] : changes)
    members[key] = value;
  std::string text;
  for (const auto &[key, value] : members)
    if (!value.empty())
      text += (text.empty() ? "{\"" : ",\"") + key + "\":" + value;
  return text + "}";
}

/// Reads a config.json given as text.
inline llvm::Expected<TransformerConfig> readConfig(const std::string &text,
                                                    std::vector<IgnoredKey> *ignored = nullptr) {
  std::vector<IgnoredKey> unused;
  llvm::Expected<JsonDocument> document = JsonDocument::parse("config.json", text);
  if (!document)
    return document.takeError();
  return readTransformerConfig(*document, ignored ? *ignored : unused);
}

} // namespace kerf::test

#endif // KERF_TEST_IMPORT_TESTFILES_H
