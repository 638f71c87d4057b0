// Compiles variants to objects, and links.
#include "codegen/x86/Library.h"
#include "codegen/kernels/CompileVariants.h"
#include "codegen/x86/Kernels.h"
#include "kerf/names.h"

#include "mlir/IR/DialectResourceBlobManager.h"

#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace kerf;
using namespace kerf::x86;

//===----------------------------------------------------------------------===//
// Variants
//===----------------------------------------------------------------------===//

llvm::Error kerf::x86::compileVariants(ModuleOp module, unsigned threads, std::vector<Listing> *listings) {
  std::vector<VariantJob> jobs;
  std::vector<const Variant *> variants;
  for (auto op : module.getOps<VariantOp>()) {
    const Variant *variant = findVariant(op.getSymName());
    auto kernels = op.getOps<ModuleOp>();
    if (!variant || kernels.empty())
      return llvm::createStringError("variant '%s' is not one that x86 code is generated for",
                                     op.getSymName().str().c_str());
    VariantJob &job = jobs.emplace_back(op);
    variants.push_back(variant);
    auto code = translate(*kernels.begin(), *variant, *job.context);
    if (!code)
      return code.takeError();
    job.code = std::move(*code);
  }
  std::vector<Listing> made(jobs.size());
  if (llvm::Error error = kernels::compileVariants(jobs, threads, [&](VariantJob &job, size_t number) {
        return compileModule(*job.code, *variants[number], listings ? &made[number] : nullptr);
      }))
    return error;
  if (listings)
    llvm::move(made, std::back_inserter(*listings));
  return llvm::Error::success();
}

llvm::Expected<std::vector<ObjectFile>> kerf::x86::getObjects(ModuleOp module) {
  std::vector<ObjectFile> objects;
  for (auto variant : module.getOps<VariantOp>()) {
    AsmResourceBlob *blob = variant.getObject() ? variant.getObjectAttr().getRawHandle().getBlob() : nullptr;
    if (!blob)
      return llvm::createStringError("variant '%s' must hold the object of its kernels, got none; run the object phase "
                                     "first",
                                     variant.getSymName().str().c_str());
    ObjectFile &object = objects.emplace_back();
    object.name = variant.getSymName().str();
    object.bytes.append(blob->getData().begin(), blob->getData().end());
  }
  return objects;
}

uint64_t kerf::x86::getPageBytes(KvGroupOp group) {
  Type element = group.getElement();
  CacheLayout layout{group.getHeads(), group.getHeadDim(), group.getPageSize(),
                     element.isBF16()  ? Element::BF16
                     : element.isF16() ? Element::F16
                                       : Element::F32};
  return layout.pageBytes();
}

//===----------------------------------------------------------------------===//
// Linking
//===----------------------------------------------------------------------===//

llvm::Error kerf::x86::linkLibrary(ArrayRef<ObjectFile> objects, StringRef modelName, StringRef path) {
  llvm::ErrorOr<std::string> linker = llvm::sys::findProgramByName("ld.lld-22");
  if (!linker)
    linker = llvm::sys::findProgramByName("ld.lld");
  if (!linker)
    return llvm::createStringError("the linker ld.lld must be on PATH, found neither ld.lld-22 nor ld.lld; install "
                                   "Debian's package lld-22");
  llvm::SmallString<128> directory;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("kerf-link", directory))
    return llvm::createStringError(error, "cannot make a temporary directory for linking");
  llvm::scope_exit cleanUp([&] { llvm::sys::fs::remove_directories(directory); });

  // The linker maps its output, and dies where the disk cannot hold it: so it writes beside the objects, and what it
  // wrote is copied, which can fail in words.
  llvm::SmallString<128> linked = directory;
  llvm::sys::path::append(linked, "linked.so");
  std::string soname = (KERF_LIBRARY_PREFIX + modelName + KERF_LIBRARY_SUFFIX).str();
  std::vector<std::string> arguments = {
      *linker, "-shared", "-o", linked.str().str(), "-soname", soname, "--build-id=none", "-z", "defs", "-z", "now"};
  for (const ObjectFile &object : objects) {
    llvm::SmallString<128> file = directory;
    llvm::sys::path::append(file, object.name + ".o");
    std::error_code error;
    llvm::raw_fd_ostream stream(file, error);
    if (!error) {
      stream.write(object.bytes.data(), object.bytes.size());
      stream.close();
      error = stream.error();
      stream.clear_error();
    }
    if (error)
      return llvm::createStringError(error, "cannot write %s", file.c_str());
    arguments.push_back(file.str().str());
  }
  SmallVector<StringRef> references(arguments.begin(), arguments.end());
  llvm::SmallString<128> log = directory;
  llvm::sys::path::append(log, "log");
  std::optional<StringRef> redirects[] = {std::nullopt, StringRef(log), StringRef(log)};
  std::string problem;
  if (llvm::sys::ExecuteAndWait(*linker, references, std::nullopt, redirects, 0, 0, &problem) != 0) {
    if (auto text = llvm::MemoryBuffer::getFile(log); text && !(*text)->getBuffer().empty())
      problem = (*text)->getBuffer().str();
    return llvm::createStringError("linking %s in %s failed: %s", path.str().c_str(), directory.c_str(),
                                   StringRef(problem).trim().str().c_str());
  }
  std::error_code error = llvm::sys::fs::copy_file(linked, path);
  if (!error)
    error = llvm::sys::fs::setPermissions(
        path, static_cast<llvm::sys::fs::perms>(llvm::sys::fs::all_all & ~llvm::sys::fs::getUmask()));
  if (error)
    return llvm::createStringError(error, "cannot write %s: %s; free space or choose another output directory",
                                   path.str().c_str(), error.message().c_str());
  return llvm::Error::success();
}
