//===- Checkpoint.cpp - a Hugging Face checkpoint directory ---------------===//

#include "dialects/import/Checkpoint.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Endian.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SHA256.h"

#include <map>

using namespace kerf;
using namespace llvm;
using simdjson::dom::element;

static constexpr StringLiteral kSingleFile = "model.safetensors";
static constexpr StringLiteral kIndexFile = "model.safetensors.index.json";
static constexpr uint64_t kMaxTemplateBytes = 4u << 20;

std::string Checkpoint::pathOf(StringRef file) const {
  SmallString<256> path(directory_);
  sys::path::append(path, file);
  return path.str().str();
}

bool Checkpoint::hasFile(StringRef file) const { return sys::fs::exists(pathOf(file)); }

const LocatedTensor *Checkpoint::find(StringRef name) const {
  auto it = tensors_.find(std::string_view(name));
  return it == tensors_.end() ? nullptr : &it->second;
}

Expected<Checkpoint> Checkpoint::open(StringRef directory) {
  if (!sys::fs::is_directory(directory))
    return importError(directory + ": must be a directory with config.json and " + kSingleFile + ", got " +
                       (sys::fs::exists(directory) ? "a file" : "nothing at that path"));
  Checkpoint checkpoint;
  checkpoint.directory_ = directory.str();
  if (Error error = checkpoint.readConfig())
    return std::move(error);
  if (Error error = checkpoint.openWeights())
    return std::move(error);
  if (Error error = checkpoint.readGeneration())
    return std::move(error);
  if (Error error = checkpoint.readChatTemplate())
    return std::move(error);
  if (Error error = checkpoint.hashWeights())
    return std::move(error);
  return std::move(checkpoint);
}

Error Checkpoint::readConfig() {
  if (!hasFile("config.json"))
    return importError(directory_ +
                       ": must hold config.json, got none; give the directory that save_pretrained wrote, " +
                       "or one snapshot of the Hugging Face cache");
  JsonLimits limits;
  Expected<std::string> text = readSmallFile(pathOf("config.json"), limits.maxBytes);
  if (!text)
    return text.takeError();
  Expected<JsonDocument> document = JsonDocument::parse("config.json", *text, limits);
  if (!document)
    return document.takeError();
  config_ = std::move(*document);
  configHash_ = toHex(SHA256::hash(arrayRefFromStringRef(*text)), /*LowerCase=*/true);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// Weights
//===----------------------------------------------------------------------===//

Error Checkpoint::noWeights() const {
  std::vector<std::string> others, shards;
  std::error_code code;
  for (sys::fs::directory_iterator it(directory_, code), end; it != end && !code; it.increment(code)) {
    StringRef file = sys::path::filename(it->path());
    if (file.ends_with(".safetensors"))
      shards.push_back(file.str());
    else if (file.ends_with(".bin") || file.ends_with(".gguf") || file.ends_with(".pth") || file.ends_with(".pt") ||
             file.ends_with(".h5") || file.ends_with(".msgpack") || file.ends_with(".onnx"))
      others.push_back(file.str());
  }
  llvm::sort(others);
  llvm::sort(shards);
  std::string text = formatv("{0}: must hold {1} or {2}, got neither", directory_, kSingleFile, kIndexFile);
  if (!shards.empty())
    text += formatv("; '{0}' looks like a shard or an adapter: download the index file too", shards.front());
  else if (!others.empty())
    text += formatv("; '{0}' is not read: get the safetensors files of this model, or load it in transformers and call "
                    "save_pretrained",
                    others.front());
  else
    text += "; download the weights of the model";
  return importError(text);
}

Error Checkpoint::addFile(StringRef file) {
  Expected<SafeTensorsFile> opened = SafeTensorsFile::open(pathOf(file));
  if (!opened)
    return opened.takeError();
  files_.push_back(std::move(*opened));
  return Error::success();
}

Error Checkpoint::openWeights() {
  if (hasFile(kSingleFile)) {
    if (hasFile(kIndexFile))
      ignored_.push_back({kIndexFile.str(), "model.safetensors is there too and comes first, as in transformers"});
    if (Error error = addFile(kSingleFile))
      return error;
  } else if (!hasFile(kIndexFile)) {
    return noWeights();
  } else if (Error error = openShards()) {
    return error;
  }
  for (auto [position, file] : enumerate(files_))
    for (const TensorInfo &tensor : file.tensors())
      tensors_.try_emplace(tensor.name, LocatedTensor{position, &tensor});
  return Error::success();
}

/// True if `file`, a path out of an index, names a file inside the directory by words alone, and by no other words than
/// these: one file is one shard. Where a link in the directory leads is its owner's choice: the Hugging Face cache
/// consists of links.
static bool staysInside(StringRef file) {
  if (file.empty() || file.contains('\0') || file.contains('\\'))
    return false;
  SmallVector<StringRef> parts;
  file.split(parts, '/');
  return none_of(parts, [](StringRef part) { return part.empty() || part == "." || part == ".."; });
}

Error Checkpoint::openShards() {
  Expected<JsonDocument> document = JsonDocument::readFile(pathOf(kIndexFile));
  if (!document)
    return document.takeError();
  Problems problems;
  ObjectReader reader(kIndexFile, document->root(), problems, ignored_);
  reader.ignore("metadata", "sizes and types come from the shards; published indexes are known to state them wrongly");
  ObjectReader map = reader.object("weight_map");
  reader.finish("an index has weight_map and metadata");
  std::map<std::string, std::string> fileOf;
  std::map<std::string, std::vector<std::string>> shards;
  map.forEach([&](StringRef tensor, element value) {
    std::string_view text;
    if (value.get_string().get(text))
      return map.wrong(tensor, "be a file name");
    StringRef file(text);
    if (!staysInside(file))
      return map.wrong(tensor, "be a file inside the directory, without '.' and '..'");
    auto [shard, isNew] = shards.try_emplace(file.str());
    if (isNew && !hasFile(file))
      problems.add(directory_ + ": must hold the shard '" + file + "' that " + kIndexFile +
                   " names, got none; download it");
    shard->second.push_back(tensor.str());
    fileOf[tensor.str()] = file.str();
  });
  if (Error error = problems.take())
    return error;
  if (shards.empty())
    return importError(kIndexFile + ": key 'weight_map' must name at least one tensor, got none");

  for (const auto &[shard, tensors] : shards) {
    if (Error error = addFile(shard))
      return error;
    for (const TensorInfo &tensor : files_.back().tensors()) {
      auto it = fileOf.find(tensor.name);
      if (it == fileOf.end())
        problems.add(shard + ": tensor '" + tensor.name + "' must be listed in " + kIndexFile + ", got none");
      else if (it->second != shard)
        problems.add(shard + ": tensor '" + tensor.name + "' must be in '" + it->second + "' only, as " + kIndexFile +
                     " says");
    }
    for (const std::string &tensor : tensors)
      if (!files_.back().find(tensor))
        problems.add(shard + ": must hold tensor '" + tensor + "' that " + kIndexFile + " names, got none");
  }
  return problems.take();
}

Error Checkpoint::hashWeights() {
  SHA256 hash;
  auto addSize = [&](uint64_t size) {
    uint8_t bytes[8];
    support::endian::write64le(bytes, size);
    hash.update(ArrayRef(bytes));
  };
  for (const SafeTensorsFile &file : files_) {
    StringRef name = sys::path::filename(file.path());
    addSize(name.size());
    hash.update(name);
    addSize(file.fileBytes());
    hash.update(ArrayRef(file.headerHash()));
    for (const TensorInfo &tensor : file.tensors()) {
      char sample[64];
      uint64_t bytes = std::min<uint64_t>(sizeof(sample), tensor.bytes);
      if (Error error = file.read(tensor, (tensor.bytes - bytes) / 2, MutableArrayRef(sample, bytes)))
        return error;
      hash.update(StringRef(sample, bytes));
    }
  }
  weightsHash_ = toHex(hash.final(), /*LowerCase=*/true);
  return Error::success();
}

//===----------------------------------------------------------------------===//
// The small files
//===----------------------------------------------------------------------===//

Expected<std::string> Checkpoint::tokenizerPath() const {
  if (hasFile("tokenizer.json"))
    return pathOf("tokenizer.json");
  StringRef advice = hasFile("tokenizer.model") || hasFile("vocab.json")
                         ? "older tokenizer files are not read: load them with AutoTokenizer in transformers and call "
                           "save_pretrained, which writes it"
                         : "download it";
  return importError(directory_ + ": must hold tokenizer.json, got none; " + advice);
}

Error Checkpoint::readGeneration() {
  constexpr StringLiteral file = "generation_config.json";
  if (!hasFile(file))
    return Error::success();
  Expected<JsonDocument> document = JsonDocument::readFile(pathOf(file));
  if (!document)
    return document.takeError();
  Problems problems;
  ObjectReader reader(file, document->root(), problems, ignored_);
  GenerationDefaults &result = generation_.emplace();
  constexpr IntRange ids{0, std::numeric_limits<int32_t>::max()};
  auto optionalInteger = [&](StringRef key) -> std::optional<int64_t> {
    if (reader.has(key))
      return reader.integer(key, ids);
    reader.ignore(key, "null means not stated");
    return std::nullopt;
  };
  result.bos = optionalInteger("bos_token_id");
  result.eos = reader.integerOrList("eos_token_id", ids);
  result.pad = optionalInteger("pad_token_id");
  result.sample = reader.booleanOr("do_sample", false);
  result.temperature = reader.optionalNumber("temperature", {0, 1e4});
  result.topK = optionalInteger("top_k");
  result.topP = reader.optionalNumber("top_p", {0, 1});
  result.minP = reader.optionalNumber("min_p", {0, 1});
  result.repetitionPenalty = reader.optionalNumber("repetition_penalty", {0, 1e4, /*minExclusive=*/true});
  result.maxLength = optionalInteger("max_length");
  result.maxNewTokens = optionalInteger("max_new_tokens");

  reader.ignore("_from_model_config", "says where transformers took the values from");
  reader.ignore("transformers_version", "says what wrote the file");
  reader.ignore("use_cache", "Kerf always keeps the cache; results are the same");
  reader.ignore("return_dict_in_generate", "says how Python receives the result");
  for (StringRef key : {"output_attentions", "output_hidden_states", "output_scores", "output_logits"})
    reader.ignore(key, "asks Python for further outputs; the text is the same");
  constexpr StringLiteral unsupported = "Kerf does not implement it; remove it if the default will do";
  for (auto [key, neutral] : {std::pair<StringRef, double>{"num_beams", 1},
                              {"num_beam_groups", 1},
                              {"num_return_sequences", 1},
                              {"length_penalty", 1},
                              {"typical_p", 1},
                              {"encoder_repetition_penalty", 1},
                              {"no_repeat_ngram_size", 0},
                              {"encoder_no_repeat_ngram_size", 0},
                              {"min_length", 0},
                              {"diversity_penalty", 0},
                              {"epsilon_cutoff", 0},
                              {"eta_cutoff", 0}})
    reader.allowOnly(key, neutral, "has its neutral value", unsupported);
  for (StringRef key : {"early_stopping", "renormalize_logits", "remove_invalid_values"})
    reader.allowOnly(key, false, "has its neutral value", unsupported);
  reader.finish("it may change what is generated: remove it if the default will do");
  return problems.take();
}

Error Checkpoint::readChatTemplate() {
  constexpr StringLiteral alone = "chat_template.jinja", config = "tokenizer_config.json";
  if (hasFile(alone)) {
    Expected<std::string> text = readSmallFile(pathOf(alone), kMaxTemplateBytes);
    if (!text)
      return text.takeError();
    chatTemplate_ = std::move(*text);
  }
  if (!hasFile(config))
    return Error::success();
  Expected<JsonDocument> document = JsonDocument::readFile(pathOf(config));
  if (!document)
    return document.takeError();
  // The other keys configure Python's tokenizer classes; what they mean to the text is in tokenizer.json.
  Problems problems;
  ObjectReader reader(config, document->root(), problems, ignored_);
  if (!chatTemplate_ && reader.has("chat_template"))
    readNamedTemplates(reader, *reader.take("chat_template"), problems);
  for (StringRef name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}) {
    if (!chatTemplate_ || !reader.has(name))
      continue;
    // Either its text, or an object that also says how the text is looked for.
    std::string_view content;
    element value = *reader.take(name);
    if (value.get_string().get(content) && value["content"].get_string().get(content))
      reader.wrong(name, "be a string, or an object with a string 'content'");
    else
      chatTokens_.emplace_back(name.str(), std::string(content));
  }
  return problems.take();
}

void Checkpoint::readNamedTemplates(ObjectReader &reader, element value, Problems &problems) {
  simdjson::dom::array templates;
  if (!value.get_array().get(templates)) {
    // Several templates, by name: `default` is the one that transformers takes unless told otherwise.
    for (element item : templates) {
      ObjectReader entry(reader.where() + ": chat_template", item, problems, ignored_);
      std::string name = entry.string("name"), text = entry.string("template");
      entry.finish("a template has a name and a template");
      if (name == "default")
        chatTemplate_ = text;
      else
        ignored_.push_back(
            {(reader.where() + ": chat_template '" + name + "'").str(), "only the one called default is carried"});
    }
  } else {
    chatTemplate_ = reader.string("chat_template");
  }
}
