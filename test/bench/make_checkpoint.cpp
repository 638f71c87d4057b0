// Writes a synthetic checkpoint of a published model's shape: speed, memory and packing depend on shapes and types,
// not on what the weights say, and a generator is smaller than any download. Each tensor's numbers depend only on the
// seed and the tensor's name, so that the type, the shard size and the order of writing do not change them.

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numbers>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace fs = std::filesystem;

namespace {

struct Shape {
  std::string arch = "llama"; // llama, qwen2, qwen3
  int64_t layers = 2, hidden = 64, intermediate = 192, heads = 4, kvHeads = 2, headDim = 16, vocab = 4096;
  int64_t context = 2048;
  double theta = 10000.0, eps = 1e-5;
  bool tied = true;
  bool llama3Rope = false; // the frequency scaling of Llama 3.2
};

// From the config.json files that the models were published with.
const std::map<std::string, Shape> publishedShapes = {
    {"smollm2-135m",
     {.arch = "llama",
      .layers = 30,
      .hidden = 576,
      .intermediate = 1536,
      .heads = 9,
      .kvHeads = 3,
      .headDim = 64,
      .vocab = 49152,
      .context = 8192,
      .theta = 100000.0,
      .eps = 1e-5,
      .tied = true,
      .llama3Rope = false}},
    {"llama-3.2-1b",
     {.arch = "llama",
      .layers = 16,
      .hidden = 2048,
      .intermediate = 8192,
      .heads = 32,
      .kvHeads = 8,
      .headDim = 64,
      .vocab = 128256,
      .context = 131072,
      .theta = 500000.0,
      .eps = 1e-5,
      .tied = true,
      .llama3Rope = true}},
    {"qwen2.5-0.5b",
     {.arch = "qwen2",
      .layers = 24,
      .hidden = 896,
      .intermediate = 4864,
      .heads = 14,
      .kvHeads = 2,
      .headDim = 64,
      .vocab = 151936,
      .context = 32768,
      .theta = 1000000.0,
      .eps = 1e-6,
      .tied = true,
      .llama3Rope = false}},
};

enum class Type { bf16, f16, f32 };

struct Tensor {
  std::string name;
  std::vector<int64_t> dims;
  double mean, deviation;

  int64_t elements() const {
    int64_t n = 1;
    for (int64_t d : dims)
      n *= d;
    return n;
  }
};

// Deviations keep the residual stream near one at any depth: a projection's output has about the deviation of its
// input, and the 2 * layers outputs that are summed into the stream are scaled down so that the sum does too.
std::vector<Tensor> listTensors(const Shape &s) {
  std::vector<Tensor> tensors;
  auto linear = [&](const std::string &name, int64_t out, int64_t in, bool bias, double gain = 1.0) {
    tensors.push_back({name + ".weight", {out, in}, 0.0, gain / std::sqrt(double(in))});
    if (bias)
      tensors.push_back({name + ".bias", {out}, 0.0, 0.1});
  };
  auto norm = [&](const std::string &name, int64_t width) { tensors.push_back({name + ".weight", {width}, 1.0, 0.1}); };
  const double branch = 1.0 / std::sqrt(2.0 * double(s.layers));
  const bool qkvBias = s.arch == "qwen2";

  // Twice 1/sqrt(hidden): the logits of a normalized row then have a deviation near two.
  tensors.push_back({"model.embed_tokens.weight", {s.vocab, s.hidden}, 0.0, 2.0 / std::sqrt(double(s.hidden))});
  for (int64_t i = 0; i < s.layers; ++i) {
    const std::string layer = "model.layers." + std::to_string(i) + ".";
    norm(layer + "input_layernorm", s.hidden);
    linear(layer + "self_attn.q_proj", s.heads * s.headDim, s.hidden, qkvBias);
    linear(layer + "self_attn.k_proj", s.kvHeads * s.headDim, s.hidden, qkvBias);
    linear(layer + "self_attn.v_proj", s.kvHeads * s.headDim, s.hidden, qkvBias);
    linear(layer + "self_attn.o_proj", s.hidden, s.heads * s.headDim, false, branch);
    if (s.arch == "qwen3") {
      norm(layer + "self_attn.q_norm", s.headDim);
      norm(layer + "self_attn.k_norm", s.headDim);
    }
    norm(layer + "post_attention_layernorm", s.hidden);
    linear(layer + "mlp.gate_proj", s.intermediate, s.hidden, false);
    linear(layer + "mlp.up_proj", s.intermediate, s.hidden, false);
    linear(layer + "mlp.down_proj", s.hidden, s.intermediate, false, branch);
  }
  norm("model.norm", s.hidden);
  if (!s.tied)
    tensors.push_back({"lm_head.weight", {s.vocab, s.hidden}, 0.0, 2.0 / std::sqrt(double(s.hidden))});
  return tensors;
}

constexpr int tableBits = 16;

/// The standard normal quantiles of the midpoints of 2^16 equal parts, by Newton's method on erfc.
std::vector<double> normalQuantiles() {
  const size_t n = size_t(1) << tableBits;
  std::vector<double> table(n);
  double x = 0.0;
  for (size_t i = n / 2; i < n; ++i) {
    const double p = (double(i) + 0.5) / double(n);
    for (int step = 0; step < 50; ++step) {
      const double error = 1.0 - 0.5 * std::erfc(x / std::numbers::sqrt2) - p;
      const double density = std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
      const double delta = error / density;
      x -= delta;
      if (std::abs(delta) < 1e-13)
        break;
    }
    table[i] = x;
    table[n - 1 - i] = -x;
  }
  return table;
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the n-th output can be computed from n alone.
uint64_t splitMix(uint64_t n) {
  uint64_t z = n * 0x9e3779b97f4a7c15ull;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

/// FNV-1a of the name, mixed with the seed.
uint64_t streamOf(const std::string &name, uint64_t seed) {
  uint64_t h = 0xcbf29ce484222325ull;
  for (unsigned char c : name)
    h = (h ^ c) * 0x100000001b3ull;
  return splitMix(h ^ splitMix(seed + 1));
}

uint16_t toBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return uint16_t((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16); // nearest, ties to even; no NaN comes in
}

uint16_t toF16(float value) {
  const _Float16 half = static_cast<_Float16>(value);
  uint16_t bits;
  std::memcpy(&bits, &half, 2);
  return bits;
}

int64_t widthOf(Type type) { return type == Type::f32 ? 4 : 2; }

/// A file descriptor that closes itself and writes all or throws.
class File {
public:
  explicit File(const fs::path &path) : path(path) {
    fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0)
      fail("cannot be created");
  }
  File(const File &) = delete;
  File &operator=(const File &) = delete;
  ~File() { ::close(fd); }

  void write(const void *data, size_t size) {
    auto *bytes = static_cast<const char *>(data);
    while (size > 0) {
      const ssize_t n = ::write(fd, bytes, size);
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        fail("cannot be written");
      bytes += n;
      size -= size_t(n);
    }
  }
  /// Makes the file `size` bytes long; what was never written is a hole that reads as zero.
  void extend(int64_t size) {
    if (::ftruncate(fd, off_t(size)) != 0)
      fail("cannot be extended to " + std::to_string(size) + " bytes");
  }

private:
  [[noreturn]] void fail(const std::string &what) {
    throw std::runtime_error(path.string() + ": " + what + ": " + std::strerror(errno));
  }
  fs::path path;
  int fd;
};

template <typename T, typename Convert>
void writeValues(File &file, const Tensor &tensor, uint64_t seed, const std::vector<double> &quantiles,
                 Convert convert) {
  std::vector<T> table(quantiles.size());
  for (size_t i = 0; i < table.size(); ++i)
    table[i] = convert(float(tensor.mean + tensor.deviation * quantiles[i]));

  const uint64_t stream = streamOf(tensor.name, seed);
  const int64_t total = tensor.elements();
  std::vector<T> buffer(size_t(std::min<int64_t>(total, 1 << 19)) + 4);
  uint64_t draw = 0;
  for (int64_t done = 0; done < total;) {
    const int64_t count = std::min<int64_t>(total - done, 1 << 19);
    // A chunk is a multiple of four (but for the last), so that the cut never changes the numbers.
    for (int64_t i = 0; i < count; i += 4, ++draw) {
      const uint64_t bits = splitMix(stream + draw);
      for (int lane = 0; lane < 4; ++lane)
        buffer[size_t(i + lane)] = table[(bits >> (tableBits * lane)) & 0xffffu];
    }
    file.write(buffer.data(), size_t(count) * sizeof(T));
    done += count;
  }
}

/// The safetensors layout: length of the header (u64), header as JSON padded to eight bytes, then the tensors' bytes.
std::string makeHeader(const std::vector<Tensor> &tensors, Type type) {
  const char *typeName = type == Type::f32 ? "F32" : type == Type::f16 ? "F16" : "BF16";
  std::string json = R"({"__metadata__":{"format":"pt"})";
  int64_t offset = 0;
  for (const Tensor &t : tensors) {
    json += ",\"" + t.name + "\":{\"dtype\":\"" + typeName + "\",\"shape\":[";
    for (size_t i = 0; i < t.dims.size(); ++i)
      json += (i ? "," : "") + std::to_string(t.dims[i]);
    const int64_t end = offset + t.elements() * widthOf(type);
    json += "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}";
    offset = end;
  }
  json += "}";
  json.resize((json.size() + 7) / 8 * 8, ' ');
  const uint64_t length = json.size();
  std::string header(8, '\0');
  for (int i = 0; i < 8; ++i)
    header[size_t(i)] = char(length >> (8 * i));
  return header + json;
}

int64_t bytesOf(const std::vector<Tensor> &tensors, Type type) {
  int64_t bytes = 0;
  for (const Tensor &t : tensors)
    bytes += t.elements() * widthOf(type);
  return bytes;
}

void writeWeights(const fs::path &path, const std::vector<Tensor> &tensors, Type type, uint64_t seed, bool sparse,
                  const std::vector<double> &quantiles) {
  File file(path);
  const std::string header = makeHeader(tensors, type);
  file.write(header.data(), header.size());
  if (sparse)
    return file.extend(int64_t(header.size()) + bytesOf(tensors, type));
  for (const Tensor &t : tensors) {
    if (type == Type::f32)
      writeValues<float>(file, t, seed, quantiles, [](float x) { return x; });
    else
      writeValues<uint16_t>(file, t, seed, quantiles, type == Type::f16 ? toF16 : toBf16);
  }
}

void writeText(const fs::path &path, const std::string &text) { File(path).write(text.data(), text.size()); }

/// The shortest text that reads back as the same number, with a point as in published files: 10000.0, 1e-05.
std::string shortest(double value) {
  std::array<char, 32> text{};
  if (value == std::floor(value) && value < 1e15) {
    std::snprintf(text.data(), text.size(), "%.1f", value);
    return text.data();
  }
  for (int digits = 1; digits <= 17; ++digits) {
    std::snprintf(text.data(), text.size(), "%.*g", digits, value);
    if (std::strtod(text.data(), nullptr) == value)
      break;
  }
  return text.data();
}

// The transformers 4 form. Token ids are those of the bundled tokenizer, which has them in every vocabulary's range.
std::string makeConfig(const Shape &s, Type type) {
  const char *className = s.arch == "llama"   ? "LlamaForCausalLM"
                          : s.arch == "qwen2" ? "Qwen2ForCausalLM"
                                              : "Qwen3ForCausalLM";
  const char *typeName = type == Type::f32 ? "float32" : type == Type::f16 ? "float16" : "bfloat16";
  std::string json = "{\n";
  auto line = [&](const std::string &key, const std::string &value) { json += "  \"" + key + "\": " + value + ",\n"; };
  auto number = [&](const std::string &key, int64_t value) { line(key, std::to_string(value)); };
  line("architectures", "[\"" + std::string(className) + "\"]");
  line("model_type", "\"" + s.arch + "\"");
  number("vocab_size", s.vocab);
  number("hidden_size", s.hidden);
  number("intermediate_size", s.intermediate);
  number("num_hidden_layers", s.layers);
  number("num_attention_heads", s.heads);
  number("num_key_value_heads", s.kvHeads);
  if (s.arch != "qwen2" || s.headDim * s.heads != s.hidden)
    number("head_dim", s.headDim);
  line("hidden_act", "\"silu\"");
  number("max_position_embeddings", s.context);
  line("rms_norm_eps", shortest(s.eps));
  line("rope_theta", shortest(s.theta));
  line("rope_scaling", s.llama3Rope ? R"({"factor": 32.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, )"
                                      R"("original_max_position_embeddings": 8192, "rope_type": "llama3"})"
                                    : "null");
  if (s.arch != "qwen2")
    line("attention_bias", "false");
  if (s.arch == "llama") {
    line("mlp_bias", "false");
    line("pretraining_tp", "1");
  } else {
    line("use_sliding_window", "false");
    number("sliding_window", s.context);
    number("max_window_layers", s.layers);
  }
  line("tie_word_embeddings", s.tied ? "true" : "false");
  line("attention_dropout", "0.0");
  line("initializer_range", "0.02");
  line("use_cache", "true");
  line("bos_token_id", "0");
  line("eos_token_id", "1");
  json += "  \"torch_dtype\": \"" + std::string(typeName) + "\"\n}\n";
  return json;
}

/// Cuts the list at `limit` bytes; a tensor longer than that has a shard of its own.
std::vector<std::vector<Tensor>> cutShards(const std::vector<Tensor> &tensors, Type type, int64_t limit) {
  std::vector<std::vector<Tensor>> shards(1);
  int64_t bytes = 0;
  for (const Tensor &t : tensors) {
    const int64_t size = t.elements() * widthOf(type);
    if (limit > 0 && bytes > 0 && bytes + size > limit) {
      shards.emplace_back();
      bytes = 0;
    }
    shards.back().push_back(t);
    bytes += size;
  }
  return shards;
}

void check(const Shape &s) {
  auto positive = [](const char *name, int64_t value) {
    if (value < 1 || value > (int64_t(1) << 24))
      throw std::runtime_error(std::string(name) + " must be from 1 to 16777216, got " + std::to_string(value));
  };
  positive("--layers", s.layers);
  positive("--hidden", s.hidden);
  positive("--intermediate", s.intermediate);
  positive("--heads", s.heads);
  positive("--kv-heads", s.kvHeads);
  positive("--head-dim", s.headDim);
  positive("--vocab", s.vocab);
  positive("--context", s.context);
  if (s.heads % s.kvHeads != 0)
    throw std::runtime_error("--heads must be a multiple of --kv-heads, got " + std::to_string(s.heads) + " and " +
                             std::to_string(s.kvHeads));
  if (s.headDim % 2 != 0)
    throw std::runtime_error("--head-dim must be even, got " + std::to_string(s.headDim));
}

void makeCheckpoint(const Shape &shape, Type type, uint64_t seed, bool sparse, int64_t shardBytes,
                    const fs::path &tokenizer, const fs::path &out) {
  check(shape);
  const std::vector<Tensor> tensors = listTensors(shape);
  const std::vector<std::vector<Tensor>> shards = cutShards(tensors, type, shardBytes);
  const std::vector<double> quantiles = sparse ? std::vector<double>{} : normalQuantiles();

  fs::create_directories(out);
  // What an earlier run left, a shard more or an index, would make another model of it.
  if (!fs::is_empty(out))
    throw std::runtime_error(out.string() + " must be empty or not exist yet, got a directory with files");
  std::string index;
  for (size_t i = 0; i < shards.size(); ++i) {
    std::array<char, 64> name{};
    if (shards.size() == 1)
      std::snprintf(name.data(), name.size(), "model.safetensors");
    else
      std::snprintf(name.data(), name.size(), "model-%05zu-of-%05zu.safetensors", i + 1, shards.size());
    writeWeights(out / name.data(), shards[i], type, seed, sparse, quantiles);
    for (const Tensor &t : shards[i])
      index += (index.empty() ? "" : ",\n") + ("    \"" + t.name) + "\": \"" + name.data() + "\"";
  }
  if (shards.size() > 1)
    writeText(out / "model.safetensors.index.json",
              "{\n  \"metadata\": {\"total_size\": " + std::to_string(bytesOf(tensors, type)) +
                  "},\n  \"weight_map\": {\n" + index + "\n  }\n}\n");
  writeText(out / "generation_config.json",
            "{\n  \"bos_token_id\": 0,\n  \"eos_token_id\": 1,\n  \"do_sample\": false\n}\n");
  if (!tokenizer.empty())
    for (const char *name : {"tokenizer.json", "tokenizer_config.json"})
      fs::copy_file(tokenizer / name, out / name, fs::copy_options::overwrite_existing);
  // Last, so that a directory with a config.json is whole.
  writeText(out / "config.json", makeConfig(shape, type));

  int64_t parameters = 0;
  for (const Tensor &t : tensors)
    parameters += t.elements();
  std::printf("%s: %zu tensors, %lld parameters, %lld bytes in %zu file(s)%s\n", out.c_str(), tensors.size(),
              static_cast<long long>(parameters), static_cast<long long>(bytesOf(tensors, type)), shards.size(),
              sparse ? ", all holes" : "");
}

} // namespace

int main(int argc, char **argv) {
  CLI::App app("Writes a synthetic checkpoint of a published model's shape.");
  std::string shapeName = "smollm2-135m", typeName = "bf16", arch = "llama", out, tokenizer;
  uint64_t seed = 0;
  bool sparse = false, untied = false;
  int64_t shardBytes = 0;
  Shape custom;
  app.add_option("out", out, "Directory to write")->required();
  app.add_option("--shape", shapeName, "Shape of the model")
      ->check(CLI::IsMember({"smollm2-135m", "llama-3.2-1b", "qwen2.5-0.5b", "custom"}))
      ->capture_default_str();
  app.add_option("--dtype", typeName, "Type of the weights")
      ->check(CLI::IsMember({"bf16", "f16", "f32"}))
      ->capture_default_str();
  app.add_option("--seed", seed, "Seed of the weights")->capture_default_str();
  app.add_flag("--sparse", sparse, "Write holes: every weight reads as zero and takes no disk");
  app.add_option("--max-shard-bytes", shardBytes, "Cut the weights into files of at most this size; 0: one file")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--tokenizer-from", tokenizer, "Directory whose tokenizer.json and tokenizer_config.json to copy")
      ->check(CLI::ExistingDirectory);
  const char *group = "With --shape=custom";
  std::vector<CLI::Option *> customOptions = {
      app.add_option("--arch", custom.arch, "Architecture")->check(CLI::IsMember({"llama", "qwen2", "qwen3"})),
      app.add_option("--layers", custom.layers),
      app.add_option("--hidden", custom.hidden),
      app.add_option("--intermediate", custom.intermediate),
      app.add_option("--heads", custom.heads),
      app.add_option("--kv-heads", custom.kvHeads),
      app.add_option("--head-dim", custom.headDim),
      app.add_option("--vocab", custom.vocab),
      app.add_option("--context", custom.context),
      app.add_option("--theta", custom.theta),
      app.add_flag("--untied", untied, "Give the logits a matrix of their own"),
  };
  for (CLI::Option *option : customOptions)
    option->group(group)->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  try {
    Shape shape = custom;
    if (shapeName != "custom") {
      for (CLI::Option *option : customOptions)
        if (option->count() > 0)
          throw std::runtime_error(option->get_name() + " needs --shape=custom, got --shape=" + shapeName);
      shape = publishedShapes.at(shapeName);
    } else {
      shape.tied = !untied;
    }
    const Type type = typeName == "f32" ? Type::f32 : typeName == "f16" ? Type::f16 : Type::bf16;
    makeCheckpoint(shape, type, seed, sparse, shardBytes, tokenizer, out);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "kerf-make-checkpoint: %s\n", error.what());
    return 1;
  }
  return 0;
}
