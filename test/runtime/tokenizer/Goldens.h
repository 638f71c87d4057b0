//===- Goldens.h - the committed goldens of the tokenizer --------*- C++ -*-===//
#ifndef KERF_TEST_RUNTIME_TOKENIZER_GOLDENS_H
#define KERF_TEST_RUNTIME_TOKENIZER_GOLDENS_H

#include <zlib.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::test {

/// The unpacked bytes of a file in test/goldens/tokenizer/. Layouts: test/goldens/make_tokenizer_goldens.py.
inline std::string unpack(const std::string &name) {
  std::string path = KERF_TEST_DATA "/goldens/tokenizer/" + name + ".bin.gz", bytes;
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file)
    throw std::runtime_error("cannot open " + path);
  char buffer[1 << 16];
  for (int got; (got = gzread(file, buffer, sizeof(buffer))) > 0;)
    bytes.append(buffer, got);
  gzclose(file);
  return bytes;
}

/// Takes a little-endian number from the front of `bytes`.
template <typename T> T take(std::string_view &bytes) {
  T value;
  if (bytes.size() < sizeof(value))
    throw std::runtime_error("a golden file must not end early");
  std::memcpy(&value, bytes.data(), sizeof(value));
  bytes.remove_prefix(sizeof(value));
  return value;
}

/// The texts of all variants.
struct Inputs {
  std::vector<std::string> chunks, strings, broken;

  Inputs() {
    std::string bytes = unpack("inputs");
    std::string_view rest = bytes;
    uint32_t counts[3] = {take<uint32_t>(rest), take<uint32_t>(rest), take<uint32_t>(rest)};
    std::vector<std::string> *groups[3] = {&chunks, &strings, &broken};
    for (int group = 0; group < 3; ++group)
      for (uint32_t i = 0; i < counts[group]; ++i) {
        uint32_t length = take<uint32_t>(rest);
        groups[group]->emplace_back(rest.substr(0, length));
        rest.remove_prefix(length);
      }
  }
};

/// FNV-1a, its low 32 bits.
inline uint32_t hashOf(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (unsigned char byte : bytes)
    hash = (hash ^ byte) * 0x100000001b3ull;
  return static_cast<uint32_t>(hash);
}

/// The hash of ids as little-endian u32.
inline uint32_t hashOf(const std::vector<int32_t> &ids) {
  return hashOf(std::string_view(reinterpret_cast<const char *>(ids.data()), ids.size() * sizeof(int32_t)));
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct SplitMix {
  uint64_t state;
  uint64_t operator()() {
    uint64_t z = state += 0x9E3779B97F4A7C15ull;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ z >> 27) * 0x94D049BB133111EBull;
    return z ^ z >> 31;
  }
};

} // namespace kerf::test

#endif // KERF_TEST_RUNTIME_TOKENIZER_GOLDENS_H
