//===- Checkpoint.h - a Hugging Face checkpoint directory -------*- C++ -*-===//
//
// Opens the files of a model directory as `save_pretrained` writes it, or as the Hugging Face cache links it. No weight
// data are read beyond a few bytes of each tensor for the identity hash.
//
//===----------------------------------------------------------------------===//
#ifndef KERF_DIALECTS_IMPORT_CHECKPOINT_H
#define KERF_DIALECTS_IMPORT_CHECKPOINT_H

#include "dialects/import/Json.h"
#include "dialects/import/SafeTensors.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace kerf {

/// What `generation_config.json` says about how text is sampled. Absent values leave the choice to the caller.
struct GenerationDefaults {
  /// Begin-of-text token.
  std::optional<int64_t> bos;
  /// Tokens that end a text; empty if not stated.
  std::vector<int64_t> eos;
  /// Padding token.
  std::optional<int64_t> pad;
  /// Sample, or take the most probable token.
  bool sample = false;
  /// Divides the logits.
  std::optional<double> temperature;
  /// Keep that many most probable tokens; 0 keeps all.
  std::optional<int64_t> topK;
  /// Keep the most probable tokens that have this much probability together.
  std::optional<double> topP;
  /// Keep the tokens with at least this share of the most probable one's probability.
  std::optional<double> minP;
  /// Divides positive and multiplies negative logits of tokens already in the text.
  std::optional<double> repetitionPenalty;
  /// Longest text, prompt included.
  std::optional<int64_t> maxLength;
  /// Longest continuation.
  std::optional<int64_t> maxNewTokens;
};

/// A tensor and the file that holds it.
struct LocatedTensor {
  /// Position in `Checkpoint::files()`.
  size_t file;
  /// The file's entry; lives as long as the checkpoint.
  const TensorInfo *info;
};

/// An open checkpoint directory. Move-only.
class Checkpoint {
public:
  /// Opens `directory`: config.json, the weights (`model.safetensors`, or `model.safetensors.index.json` and its
  /// shards), generation_config.json and the chat template where present. Fails with what was looked for and what to
  /// do.
  static llvm::Expected<Checkpoint> open(llvm::StringRef directory);

  /// The directory as given to `open`.
  llvm::StringRef directory() const { return directory_; }
  /// The parsed config.json.
  const JsonDocument &config() const { return *config_; }
  /// SHA-256 of config.json, in hexadecimal.
  llvm::StringRef configHash() const { return configHash_; }
  /// Identity of the weights, in hexadecimal: SHA-256 over every file's name, size and header and 64 bytes from the
  /// middle of each tensor. Tells checkpoints apart without reading them whole; it is no checksum of the data.
  llvm::StringRef weightsHash() const { return weightsHash_; }

  /// The weight files, sorted by name.
  llvm::ArrayRef<SafeTensorsFile> files() const { return files_; }
  /// Every tensor of every file, by name.
  const std::map<std::string, LocatedTensor, std::less<>> &tensors() const { return tensors_; }
  /// The tensor called `name`, or null.
  const LocatedTensor *find(llvm::StringRef name) const;
  /// Reads a range of a tensor's bytes; see `SafeTensorsFile::read`.
  llvm::Error read(const LocatedTensor &tensor, uint64_t begin, llvm::MutableArrayRef<char> destination) const {
    return files_[tensor.file].read(*tensor.info, begin, destination);
  }

  /// Path of tokenizer.json, or an error that says how to make one.
  llvm::Expected<std::string> tokenizerPath() const;
  /// generation_config.json, if there is one.
  const std::optional<GenerationDefaults> &generation() const { return generation_; }
  /// The chat template (Jinja), if there is one.
  const std::optional<std::string> &chatTemplate() const { return chatTemplate_; }
  /// With a chat template: names and texts of the special tokens that it may print, "bos_token" and its like.
  llvm::ArrayRef<std::pair<std::string, std::string>> chatTokens() const { return chatTokens_; }
  /// Keys found and left without effect while opening.
  llvm::ArrayRef<IgnoredKey> ignored() const { return ignored_; }

private:
  Checkpoint() = default;
  std::string pathOf(llvm::StringRef file) const;
  bool hasFile(llvm::StringRef file) const;
  llvm::Error readConfig();
  llvm::Error openWeights();
  llvm::Error openShards();
  llvm::Error addFile(llvm::StringRef file);
  llvm::Error noWeights() const;
  llvm::Error readGeneration();
  llvm::Error readChatTemplate();
  void readNamedTemplates(ObjectReader &reader, simdjson::dom::element value, Problems &problems);
  llvm::Error hashWeights();

  std::string directory_;
  std::optional<JsonDocument> config_;
  std::string configHash_, weightsHash_;
  std::vector<SafeTensorsFile> files_;
  std::map<std::string, LocatedTensor, std::less<>> tensors_;
  std::optional<GenerationDefaults> generation_;
  std::optional<std::string> chatTemplate_;
  std::vector<std::pair<std::string, std::string>> chatTokens_;
  std::vector<IgnoredKey> ignored_;
};

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_CHECKPOINT_H
