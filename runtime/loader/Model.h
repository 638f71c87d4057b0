/// A model that is open: package, library, variant and tokenizer. Immutable.
#ifndef KERF_RUNTIME_LOADER_MODEL_H
#define KERF_RUNTIME_LOADER_MODEL_H

#include "runtime/device/Device.h"
#include "runtime/loader/Certificate.h"
#include "runtime/loader/Library.h"
#include "runtime/loader/Package.h"
#include "runtime/loader/Tables.h"
#include "runtime/tokenizer/Tokenizer.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kerf::rt {

/// Everything that contexts of one model share.
class Model {
public:
  /// Opens `path` with `library`, or with the sibling of `path` when that is NULL. Throws Error.
  Model(const std::string &path, const kerf_library *library, const kerf_model_options &options);

  /// The package.
  const Package &package() const { return package_; }
  /// The kernels and programs.
  const kerf_library &library() const { return *library_; }
  /// What it runs on, with the variant in use.
  const Device &device() const { return *device_; }
  /// Index of the program of that name, or throws KERF_BAD_ARGUMENT saying that `what` needs it.
  uint32_t needProgram(std::string_view name, const char *what) const;
  /// Terms of the certificate, for the variant in use.
  const CertificateTerms &terms() const { return terms_; }
  /// The certificate at these ceilings, and what is available, with a limit that is not 0 in place of what the memory
  /// that the model runs in has.
  kerf_plan_report certificate(const Ceilings &ceilings, uint64_t limit) const;
  /// End tokens, ascending.
  const std::vector<int32_t> &endTokens() const { return endTokens_; }
  /// NULL when the package has none.
  const Tokenizer *tokenizer() const { return tokenizer_.get(); }
  /// The tokenizer, or throws KERF_BAD_ARGUMENT saying that `what` needs it.
  const Tokenizer &needTokenizer(const char *what) const;
  /// Ids of a text under kerf_tokenize's flags; throws Error.
  std::vector<int32_t> encode(std::string_view text, uint32_t flags) const;
  /// Ids of a text (UTF-8) whose special tokens are made only where `user` has zeros; throws Error.
  std::vector<int32_t> encodeMarked(std::string_view text, std::string_view user) const;
  /// Text of ids under kerf_detokenize's flags; throws Error.
  std::string decode(std::span<const int32_t> ids, uint32_t flags) const;
  /// The bytes of one token; throws Error.
  std::string_view tokenBytes(int32_t id) const;

private:
  // The library is unloaded after everything that points into it is gone.
  Package package_;
  LoadedLibrary loaded_;
  const kerf_library *library_ = nullptr;
  std::unique_ptr<const Device> device_;
  CertificateTerms terms_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::vector<int32_t> endTokens_;
};

} // namespace kerf::rt

/// The C handle.
struct kerf_model {
  /// Shared with the contexts.
  std::shared_ptr<const kerf::rt::Model> impl;
};

#endif
