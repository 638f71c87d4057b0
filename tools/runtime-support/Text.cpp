#include "tools/runtime-support/Text.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>

namespace kerf::tools {

std::string readText(const std::string &path) {
  std::ostringstream text;
  if (path == "-")
    text << std::cin.rdbuf();
  else {
    std::ifstream file(path, std::ios::binary);
    if (!file)
      throw std::runtime_error("cannot open '" + path + "': " + std::strerror(errno));
    text << file.rdbuf();
  }
  return text.str();
}

std::vector<int32_t> tokenize(const Model &model, std::string_view text, uint32_t flags) {
  // Byte-level tokens are never more than bytes, and the frame is short: nearly always one call.
  std::vector<int32_t> ids(text.size() + 16);
  size_t count = 0;
  kerf_error error;
  check(kerf_tokenize(model.get(), text.data(), text.size(), flags, ids.data(), ids.size(), &count, &error), error);
  if (count > ids.size()) {
    ids.resize(count);
    check(kerf_tokenize(model.get(), text.data(), text.size(), flags, ids.data(), ids.size(), &count, &error), error);
  }
  ids.resize(count);
  return ids;
}

std::string detokenize(const Model &model, const std::vector<int32_t> &ids, uint32_t flags) {
  std::string text(16 * ids.size(), '\0');
  size_t bytes = 0;
  kerf_error error;
  check(kerf_detokenize(model.get(), ids.data(), ids.size(), flags, text.data(), text.size(), &bytes, &error), error);
  if (bytes > text.size()) {
    text.resize(bytes);
    check(kerf_detokenize(model.get(), ids.data(), ids.size(), flags, text.data(), text.size(), &bytes, &error), error);
  }
  text.resize(bytes);
  return text;
}

bool writeOut(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  return !std::ferror(stdout);
}

} // namespace kerf::tools
