//===- BuildId.cpp - the identity of a compilation ------------------------===//
#include "codegen/package/BuildId.h"

#include "dialects/kerf/KerfDialect.h"
#include "runtime/support/Sha256.h"

#include "llvm/ADT/SmallString.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

using namespace mlir;
using namespace kerf;

namespace {

// The largest of these files, a tokenizer.json, is some tens of MiB.
constexpr uint64_t kLongestFile = 256u << 20;

/// Hashes what is printed to it.
class HashStream : public llvm::raw_ostream {
public:
  ~HashStream() override { flush(); }

  // A text with its end marked, so that two of them never read as one other.
  void field(StringRef name, StringRef value) { *this << name << ' ' << value.size() << '\n' << value << '\n'; }
  BuildId finish() {
    flush();
    return hash.finish();
  }

private:
  void write_impl(const char *data, size_t size) override {
    hash.update(data, size);
    position += size;
  }
  uint64_t current_pos() const override { return position; }

  rt::Sha256 hash;
  uint64_t position = 0;
};

} // namespace

std::string kerf::toHex(const BuildId &id) { return rt::hexDigits(id.data(), id.size()); }

llvm::Expected<SourceHashes> kerf::hashSources(const Checkpoint &checkpoint) {
  SourceHashes hashes = {{"config.json", checkpoint.configHash().str()}, {"weights", checkpoint.weightsHash().str()}};
  for (StringRef file : {"chat_template.jinja", "generation_config.json", "tokenizer.json", "tokenizer_config.json"}) {
    SmallString<256> path(checkpoint.directory());
    llvm::sys::path::append(path, file);
    if (!llvm::sys::fs::exists(path))
      continue;
    llvm::Expected<std::string> text = readSmallFile(path, kLongestFile);
    if (!text)
      return text.takeError();
    const rt::Sha256Digest digest = rt::sha256(text->data(), text->size());
    hashes.emplace_back(file.str(), rt::hexDigits(digest.data(), digest.size()));
  }
  llvm::sort(hashes);
  return hashes;
}

/// Hashes names and attributes of an op and of what it holds. Planned programs have no operands, and kernels count as
/// what they were compiled to, which is hashed by itself.
static void hashOp(Operation *op, HashStream &stream) {
  NamedAttrList attributes(op->getAttrDictionary());
  if (auto model = dyn_cast<ModelOp>(op))
    attributes.erase(model.getCheckpointAttrName());
  if (auto variant = dyn_cast<VariantOp>(op))
    attributes.erase(variant.getObjectAttrName());
  stream << op->getName() << ' ' << Attribute(attributes.getDictionary(op->getContext())) << '\n';
  for (Region &region : op->getRegions())
    for (Operation &inner : region.getOps())
      if (!isa<VariantOp>(op) || isa<KernelOp>(inner))
        hashOp(&inner, stream);
}

BuildId kerf::computeBuildId(ModuleOp module, ArrayRef<StringRef> objects, const Checkpoint &checkpoint,
                             StringRef compilerVersion, StringRef flags) {
  HashStream stream;
  stream.field("compiler", compilerVersion);
  stream.field("flags", flags);
  llvm::Expected<SourceHashes> sources = hashSources(checkpoint);
  if (sources) {
    for (const auto &[name, hash] : *sources)
      stream.field(name, hash);
  } else {
    // A file that cannot be read stops the packaging, which tells why.
    stream.field("unreadable", llvm::toString(sources.takeError()));
  }
  for (StringRef object : objects)
    stream.field("object", object);
  hashOp(module, stream);
  return stream.finish();
}
