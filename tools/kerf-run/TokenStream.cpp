#include "tools/kerf-run/TokenStream.h"

#include "tools/runtime-support/Text.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <sys/stat.h>

namespace kerf::tools {
namespace {

// Places that are tried in a block before it is made longer. Where a tokenizer cuts at words, the first will do.
constexpr size_t kTries = 48;

bool isSpace(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool continuesCharacter(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

} // namespace

TokenStream::TokenStream(const Model &model, const std::string &path, uint32_t flags, size_t blockBytes)
    : model_(model), path_(path), flags_(flags | KERF_NO_FRAME), blockBytes_(std::max(blockBytes, 2 * kMargin)),
      file_(path == "-" ? stdin : std::fopen(path.c_str(), "rb")) {
  struct stat status;
  if (!file_ || fstat(fileno(file_.get()), &status) != 0)
    throw std::runtime_error("cannot open '" + path + "': " + std::strerror(errno));
  if (S_ISDIR(status.st_mode))
    throw std::runtime_error("'" + path + "' must be a text file, got a directory");
  if (S_ISREG(status.st_mode))
    total_ = uint64_t(status.st_size);
}

void TokenStream::fill(size_t bytes) {
  while (!ended_ && text_.size() < bytes) {
    const size_t had = text_.size();
    text_.resize(bytes);
    const size_t got = std::fread(text_.data() + had, 1, bytes - had, file_.get());
    text_.resize(had + got);
    if (std::ferror(file_.get()))
      throw std::runtime_error("cannot read '" + path_ + "': " + std::strerror(errno));
    ended_ = std::feof(file_.get());
  }
}

bool TokenStream::read(std::vector<int32_t> &ids) {
  for (size_t bytes = blockBytes_;; bytes *= 2) {
    // One byte more than the block tells the end from a full block.
    fill(bytes + kMargin + 1);
    if (ended_ && text_.size() <= bytes + kMargin) {
      if (text_.empty())
        return false;
      handOut(tokenize(model_, text_, flags_), text_.size(), 0, ids);
      return true;
    }
    if (cut(ids))
      return true;
    if (bytes >= kMostBytes)
      throw std::runtime_error("'" + path_ +
                               "': a text must have a place to cut without a change of its tokens in every " +
                               std::to_string(kMostBytes) + " bytes, got none after byte " + std::to_string(bytes_) +
                               "; put spaces or line ends into it");
  }
}

// Looks for a cut from the block's end backwards: before or after white space that stands between words, where tokens
// end in nearly every tokenizer, and at any character where there is none.
bool TokenStream::cut(std::vector<int32_t> &ids) {
  const size_t last = text_.size() - kMargin - 1, first = last / 2;
  size_t tries = 0;
  for (const bool atSpaces : {true, false})
    for (size_t at = last; at > first && tries < (atSpaces ? kTries / 2 : kTries); --at) {
      if (continuesCharacter(text_[at]))
        continue;
      const bool alone = isSpace(text_[at]) && !isSpace(text_[at - 1]) && !isSpace(text_[at + 1]);
      if (alone != atSpaces)
        continue;
      ++tries;
      if (cutAt(at, 0, ids))
        return true;
      // After it; and in its place, for tokenizers that put a space before every text.
      if (alone && (cutAt(at + 1, 0, ids) || (text_[at] == ' ' && cutAt(at, 1, ids))))
        return true;
    }
  return false;
}

bool TokenStream::cutAt(size_t end, size_t skipped, std::vector<int32_t> &ids) {
  const std::string_view text = text_;
  const size_t margin = end + skipped + kMargin;
  const std::vector<int32_t> left = tokenize(model_, text.substr(0, end), flags_);
  const std::vector<int32_t> right = tokenize(model_, text.substr(end + skipped, kMargin), flags_);
  const std::vector<int32_t> both = tokenize(model_, text.substr(0, margin), flags_);
  if (both.size() != left.size() + right.size() || !std::equal(left.begin(), left.end(), both.begin()) ||
      !std::equal(right.begin(), right.end(), both.begin() + std::ptrdiff_t(left.size())))
    return false;
  handOut(left, end, skipped, ids);
  return true;
}

void TokenStream::handOut(const std::vector<int32_t> &made, size_t end, size_t skipped, std::vector<int32_t> &ids) {
  if (other_ && tokenize(*other_, std::string_view(text_).substr(0, end), flags_) != made)
    throw std::runtime_error("'" + path_ + "': both models must make the same tokens of a text, but do not of bytes " +
                             std::to_string(bytes_) + " to " + std::to_string(bytes_ + end) +
                             "; only models with the same tokenizer can be compared");
  ids.insert(ids.end(), made.begin(), made.end());
  bytes_ += end + skipped;
  text_.erase(0, end + skipped);
}

std::vector<int32_t> beginTokens(const Model &model) {
  // What stands before the ids of a text of its own.
  const std::vector<int32_t> plain = tokenize(model, "a", KERF_NO_FRAME), framed = tokenize(model, "a", 0);
  const auto text = std::search(framed.begin(), framed.end(), plain.begin(), plain.end());
  return {framed.begin(), text};
}

} // namespace kerf::tools
