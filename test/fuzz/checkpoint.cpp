// The JSON files of a checkpoint directory other than config.json: opened or refused, and never a file outside of it.
// Input: a byte that says which file the rest is.
#include "dialects/import/Checkpoint.h"
#include "test/fuzz/Fuzz.h"

#include <filesystem>
#include <fstream>

using namespace kerf;
using kerf::fuzz::must;
namespace fs = std::filesystem;

namespace {

const char *const kFiles[] = {"model.safetensors.index.json", "generation_config.json", "tokenizer_config.json",
                              "chat_template.jinja"};

void write(const fs::path &path, std::string_view text) {
  std::ofstream(path, std::ios::binary | std::ios::trunc).write(text.data(), std::streamsize(text.size()));
}

std::string shard(const std::string &tensor) {
  const std::string header = "{\"" + tensor + "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}";
  std::string bytes(8, '\0');
  bytes[0] = char(header.size());
  return bytes + header + "x";
}

// A checkpoint of two shards, one of them below a folder, and beside it a shard that is none of its business. On the
// file system in memory, where there is one.
class Directory {
public:
  Directory() : top((fs::exists("/dev/shm") ? "/dev/shm/kerf-fuzz-" : "/tmp/kerf-fuzz-") + std::to_string(getpid())) {
    fs::create_directories(top / "model" / "sub");
    write(top / "outside.safetensors", shard("secret"));
    write(model() / "a.safetensors", shard("a"));
    write(model() / "sub" / "b.safetensors", shard("b"));
    write(model() / "config.json", "{}");
    reset();
  }
  ~Directory() { fs::remove_all(top); }
  fs::path model() const { return top / "model"; }
  void reset() const {
    write(model() / kFiles[0], R"({"weight_map": {"a": "a.safetensors", "b": "sub/b.safetensors"}})");
    for (const char *file : {kFiles[1], kFiles[2], kFiles[3]})
      fs::remove(model() / file);
  }

private:
  fs::path top;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const Directory directory;
  if (!size)
    return -1;
  directory.reset();
  write(directory.model() / kFiles[data[0] % std::size(kFiles)], {reinterpret_cast<const char *>(data) + 1, size - 1});
  llvm::Expected<Checkpoint> opened = Checkpoint::open(directory.model().string());
  if (!opened) {
    must(!llvm::toString(opened.takeError()).empty(), "a refusal says why");
    return 0;
  }
  must(!opened->find("secret"), "no file outside the directory is read");
  must(opened->files().size() <= 2, "each file is opened once");
  for (const auto &[name, tensor] : opened->tensors()) {
    char byte;
    must(!opened->read(tensor, 0, byte) && byte == 'x', "a tensor can be read");
  }
  return 0;
}
