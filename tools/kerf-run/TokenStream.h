/// The ids of a text of any length, in bounded memory.
#ifndef KERF_TOOLS_KERFRUN_TOKENSTREAM_H
#define KERF_TOOLS_KERFRUN_TOKENSTREAM_H

#include "tools/runtime-support/Handles.h"

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

namespace kerf::tools {

/// Reads a text in blocks and cuts it only where the cut changes no token: on `kMargin` bytes behind it and all of the
/// block before it, both sides alone give the ids that they give together. That holds for the whole text too if no
/// token is chosen by text farther away than that (docs/quality.md).
class TokenStream {
public:
  /// What lies behind a cut when it is checked.
  static constexpr size_t kMargin = 8 << 10;
  /// Longest text without a place to cut.
  static constexpr size_t kMostBytes = 64 << 20;

  /// Opens a file, or standard input for "-". `flags` are those of kerf_tokenize; the frame is never added. Blocks have
  /// `blockBytes` bytes where that can be. `model` must outlive this. Throws std::runtime_error.
  TokenStream(const Model &model, const std::string &path, uint32_t flags, size_t blockBytes = 128 << 10);

  /// From now on, refuses text that `other` tokenizes otherwise.
  void compareWith(const Model &other) { other_ = &other; }

  /// Appends the ids of a further block to `ids`; false when there is none. Throws std::runtime_error when reading or
  /// tokenizing fails, or when there is no place to cut in kMostBytes.
  bool read(std::vector<int32_t> &ids);

  /// Bytes whose ids were handed out.
  uint64_t bytes() const { return bytes_; }
  /// Bytes of the whole text; 0 where that is not known before the end.
  uint64_t totalBytes() const { return total_; }

private:
  struct Closer {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };
  void fill(size_t bytes);
  bool cut(std::vector<int32_t> &ids);
  bool cutAt(size_t end, size_t skipped, std::vector<int32_t> &ids);
  void handOut(const std::vector<int32_t> &made, size_t end, size_t skipped, std::vector<int32_t> &ids);

  const Model &model_;
  const Model *other_ = nullptr;
  const std::string path_;
  const uint32_t flags_;
  const size_t blockBytes_;
  std::unique_ptr<std::FILE, Closer> file_;
  std::string text_; // read, and not handed out
  bool ended_ = false;
  uint64_t bytes_ = 0, total_ = 0;
};

/// The ids that the tokenizer puts before a text; often one begin token, or none.
std::vector<int32_t> beginTokens(const Model &model);

} // namespace kerf::tools

#endif
