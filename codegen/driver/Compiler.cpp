#include "codegen/driver/Compiler.h"
#include "codegen/VerifyKernels.h"
#include "codegen/driver/Diagnostics.h"
#include "codegen/driver/KernelDump.h"
#include "codegen/driver/Outputs.h"
#include "codegen/nvptx/Passes.h"
#include "codegen/nvptx/Variant.h"
#include "codegen/package/Header.h"
#include "codegen/package/LibraryTable.h"
#include "codegen/package/Package.h"
#include "codegen/package/Weights.h"
#include "codegen/reference/ReferenceEvaluator.h"
#include "codegen/x86/Library.h"
#include "codegen/x86/Passes.h"
#include "codegen/x86/Variant.h"
#include "dialects/import/Checkpoint.h"
#include "dialects/import/IrText.h"
#include "dialects/kerf/KerfPrograms.h"
#include "kerf/names.h"
#include "passes/Passes.h"

#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/Threading.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;
using namespace kerf;

llvm::StringRef kerf::getCompilerVersion() { return "kerf " KERF_VERSION " (LLVM " LLVM_VERSION_STRING ")"; }

Compiler::Compiler(MLIRContext &context, const CompileOptions &options, Progress &progress, TimingScope &timing,
                   std::function<LogicalResult(PassManager &)> configure)
    : context(context), options(options), progress(progress), timing(timing), configure(std::move(configure)) {}

LogicalResult Compiler::fail(const Twine &message) { return emitError(UnknownLoc::get(&context), message); }
LogicalResult Compiler::fail(llvm::Error error) { return fail(llvm::toString(std::move(error))); }

LogicalResult Compiler::checkOptions() {
  if (options.from == Phase::Package)
    return fail("a compilation can resume from import, optimize, memory, kernels, llvm or object, got package, which "
                "nothing comes after");
  if (options.from && *options.from >= options.to)
    return fail("the last phase must come after the one resumed from (" + getPhaseName(*options.from) + "), got " +
                getPhaseName(options.to));
  if (options.verifyNumerics && options.from && *options.from > Phase::Memory)
    return fail("--verify-numerics compares with the graph, which must still be there: resume from import, optimize or "
                "memory, got " +
                getPhaseName(*options.from));
  if (!options.kernelDirectory.empty() &&
      ((options.from && *options.from > Phase::Kernels) || options.to < Phase::Kernels))
    return fail("--dump-kernels-to needs what the kernels phase leaves: stop there or later and resume from there or "
                "earlier");
  for (const std::string &name : options.variants) {
    if (x86::findVariant(name))
      continue;
    std::string known;
    for (const x86::Variant &variant : x86::variants())
      known += (Twine(" ") + variant.name).str();
    return fail("--variants must be among" + known + ", got '" + name + "'");
  }
  for (const std::string &name : options.gpus) {
    const nvptx::Variant *variant = nvptx::findVariant(name);
    if (variant && variant->cubin)
      continue;
    std::string known;
    for (const nvptx::Variant &variant : nvptx::variants())
      if (variant.cubin)
        known += (Twine(" ") + variant.name).str();
    return fail("--target must be x86-64 or GPUs among" + known + ", got '" + name + "'");
  }
  if (!options.gpus.empty() && !options.variants.empty())
    return fail("--variants are those of a CPU, but the target is a GPU: leave one of them out");
  if (!options.gpus.empty() && options.from && *options.from > Phase::Memory)
    return fail("--target chooses what the kernels phase writes: resume from import, optimize or memory, got " +
                getPhaseName(*options.from));
  if (options.invariant && options.from && *options.from > Phase::Memory)
    return fail("--invariant is about what the kernels phase writes: resume from import, optimize or memory, got " +
                getPhaseName(*options.from));
  if (!options.gpus.empty() && options.verifyNumerics)
    return fail("--verify-numerics runs kernels of this machine's CPU: compile for x86-64 to use it");
  // Not after minutes of work.
  if (options.to == Phase::Package)
    if (llvm::Error error = Outputs::check(getOutputDirectory()))
      return fail(std::move(error));
  return success();
}

LogicalResult Compiler::run() {
  if (failed(checkOptions()))
    return failure();
  using Step = std::function<LogicalResult()>;
  const std::pair<Phase, Step> steps[] = {
      {Phase::Import, [&] { return runImport(); }},
      {Phase::Optimize,
       [&] {
         return runPasses(Phase::Optimize, [&](PassManager &pm) {
           OptimizePhaseOptions optimize;
           optimize.fuse = options.fuse;
           optimize.fuseAppend = isGpu();
           buildOptimizePhase(pm, optimize);
         });
       }},
      {Phase::Memory, [&] { return runPasses(Phase::Memory, buildMemoryPhase); }},
      {Phase::Kernels,
       [&] {
         return runPasses(Phase::Kernels, [&](PassManager &pm) {
           if (isGpu()) {
             nvptx::KernelsPhaseOptions kernels;
             // Beside what was asked for, PTX for devices to come.
             for (const nvptx::Variant &variant : nvptx::variants())
               if (!variant.cubin || llvm::is_contained(options.gpus, variant.name))
                 kernels.variants.push_back(variant.name);
             kernels.invariant = options.invariant;
             return nvptx::buildKernelsPhase(pm, kernels);
           }
           x86::KernelsPhaseOptions kernels;
           // In ascending order, each once, however they were given.
           for (const x86::Variant &variant : x86::variants())
             if (llvm::is_contained(options.variants, variant.name))
               kernels.variants.push_back(variant.name);
           x86::buildKernelsPhase(pm, kernels);
         });
       }},
      {Phase::LLVM, [&] { return runPasses(Phase::LLVM, isGpu() ? nvptx::buildLLVMPhase : x86::buildLLVMPhase); }},
      {Phase::Object, [&] { return runObjects(); }},
      {Phase::Package, [&] { return runPackage(); }},
  };
  if (options.from && failed(runParse()))
    return failure();
  if (options.from == Phase::Kernels && failed(dumpEachKernel()))
    return failure();
  for (const auto &[phase, step] : steps) {
    if (!runs(phase))
      continue;
    if (phase == Phase::Kernels && options.verifyNumerics)
      planned = module->clone();
    TimingScope scope = timing.nest(getPhaseName(phase));
    progress.begin(phase);
    if (failed(step()))
      return failure();
    if (phase == Phase::Object && options.verifyNumerics && failed(verifyObjects()))
      return failure();
    progress.end(summarize(phase));
    if (phase == Phase::Import && options.verbose)
      for (const IgnoredKey &key : ignored)
        progress.note(key.key + ": " + key.reason);
    if (!options.dumpDirectory.empty() && failed(dump(phase)))
      return failure();
    if (phase == Phase::Kernels && failed(dumpEachKernel()))
      return failure();
  }
  // Objects are nothing to fill a terminal with.
  if (options.to == Phase::Package || (options.to == Phase::Object && options.output.empty()))
    return success();
  return writeModule(options.output.empty() ? "-" : options.output);
}

LogicalResult Compiler::runImport() {
  auto checkpoint = Checkpoint::open(options.input);
  if (!checkpoint)
    return fail(checkpoint.takeError());
  auto imported = importCheckpoint(context, *checkpoint, options.import, ignored);
  if (!imported)
    return fail(imported.takeError());
  module = std::move(*imported);
  return success();
}

llvm::Expected<Checkpoint> Compiler::openCheckpoint() {
  ModelOp model = getModel(*module);
  if (!model)
    return llvm::createStringError("the module must hold a kerf.model");
  return Checkpoint::open(model.getCheckpoint());
}

LogicalResult Compiler::runParse() {
  auto text = readIrFile(options.input);
  if (!text)
    return fail(text.takeError());
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*text), llvm::SMLoc());
  module = parseSourceFile<ModuleOp>(sources, &context);
  return success(module.get() != nullptr);
}

LogicalResult Compiler::runPasses(Phase phase, llvm::function_ref<void(PassManager &)> build) {
  PassManager pm(&context, ModuleOp::getOperationName());
  if (failed(configure(pm)))
    return failure();
  build(pm);
  if (phase > Phase::Memory || !options.verifyNumerics)
    return pm.run(*module);

  auto checkpoint = openCheckpoint();
  if (!checkpoint)
    return fail(checkpoint.takeError());
  CheckpointSource source(*checkpoint);
  ReferenceEvaluator evaluator(source);
  NumericsReport report;
  // The instrumentation evaluates between passes, which must not run beside each other then.
  context.disableMultithreading();
  pm.addInstrumentation(std::make_unique<VerifyNumerics>(evaluator, VerifyNumericsOptions(), report));
  LogicalResult result = pm.run(*module);
  context.enableMultithreading();
  if (failed(result) || report.diverged || report.failed)
    return failure();
  progress.note(llvm::formatv("numerics verified after {0} passes", report.verified).str());
  return success();
}

bool Compiler::isGpu() { return !options.gpus.empty() || (module && isForGpu(*module)); }

std::string Compiler::findPtxas(const Twine &lacking) {
  const std::optional<std::string> ptxas = nvptx::findPtxas(options.ptxas);
  if (!ptxas)
    progress.note(("no ptxas on PATH: " + lacking + "; install the CUDA toolkit or name one with --ptxas").str());
  return ptxas.value_or("");
}

LogicalResult Compiler::runObjects() {
  if (isGpu()) {
    const std::string ptxas = findPtxas("the library has PTX only, which the driver assembles when a model is opened");
    if (llvm::Error error = nvptx::compileVariants(*module, ptxas, options.threads,
                                                   options.dumpDirectory.empty() ? nullptr : &imageListings))
      return fail(std::move(error));
    return success();
  }
  if (llvm::Error error =
          x86::compileVariants(*module, options.threads, options.dumpDirectory.empty() ? nullptr : &listings))
    return fail(std::move(error));
  return success();
}

LogicalResult Compiler::verifyObjects() {
  auto checkpoint = openCheckpoint();
  if (!checkpoint)
    return fail(checkpoint.takeError());
  CheckpointSource source(*checkpoint);
  KernelsReport report;
  if (llvm::Error error = verifyKernels(*planned, *module, source, VerifyNumericsOptions(), report))
    return fail(std::move(error));
  if (report.diverged)
    return failure();
  progress.note(
      llvm::formatv("numerics of {0} verified: {1} results", llvm::join(report.variants, ", "), report.compared).str());
  return success();
}

/// The options that make this module again from its checkpoint. From the IR, not from the command line, so that a
/// resumed compilation records what a direct one does.
static std::string describeFlags(ModuleOp module) {
  std::string flags = llvm::formatv("--context={0}", getModel(module).getContext());
  for (auto group : module.getOps<KvGroupOp>()) {
    llvm::raw_string_ostream(flags) << " --compute-type=" << group.getElement();
    break;
  }
  for (auto program : module.getOps<ProgramOp>())
    for (auto dispatch : program.getBody().getOps<DispatchOp>()) {
      // "pool_mean_…" is the kernel of that pooling.
      if (StringRef kernel = dispatch.getKernel(); kernel.consume_front("pool_"))
        flags += (" --pooling=" + kernel.split('_').first).str();
      if (dispatch.getOrigin() == "normalize")
        flags += " --normalize";
    }
  StringRef separator = isForGpu(module) ? " --target=" : " --variants=";
  for (auto variant : module.getOps<VariantOp>()) {
    // PTX comes with any GPU.
    if (variant.getSymName() == "compute_80")
      continue;
    flags += (separator + variant.getSymName()).str();
    separator = ",";
  }
  auto isInvariant = [](VariantOp variant) { return getOrderBands(variant).invariant(); };
  if (isForGpu(module) && llvm::all_of(module.getOps<VariantOp>(), isInvariant))
    flags += " --invariant";
  return flags;
}

LogicalResult Compiler::runPackage() {
  auto checkpoint = openCheckpoint();
  if (!checkpoint)
    return fail(checkpoint.takeError());
  ModelOp model = getModel(*module);

  PackageInput input;
  input.module = *module;
  input.checkpoint = &*checkpoint;
  input.compilerVersion = getCompilerVersion().str();
  input.compilerFlags = describeFlags(*module);
  input.target = isGpu() ? "nvptx64" : "x86-64";
  input.threads = options.threads;
  input.pageBytes = getPageBytes;
  if (auto groups = module->getOps<KvGroupOp>(); !groups.empty())
    input.computeType = (*groups.begin()).getElement();
  auto objects = x86::getObjects(*module);
  if (!objects)
    return fail(objects.takeError());
  std::vector<StringRef> code;
  for (const x86::ObjectFile &object : *objects)
    code.emplace_back(object.bytes.data(), object.bytes.size());
  input.buildId = computeBuildId(*module, code, *checkpoint, input.compilerVersion, input.compilerFlags);
  input.progress = [&](uint64_t done, uint64_t total) { progress.update(done >> 20, total >> 20, "MiB of weights"); };

  std::vector<uint64_t> weightBytes;
  for (auto weight : module->getOps<WeightOp>())
    weightBytes.push_back(packedBytes(weight));
  auto table = compileLibraryTable(*module, input.buildId, weightBytes);
  if (!table)
    return fail(table.takeError());
  // Images of GPUs are part of the table.
  if (isGpu())
    objects->clear();
  objects->push_back(std::move(*table));

  // All three are written under temporary names and get their own names once all are whole.
  std::string name = model.getName().str();
  Outputs outputs;
  if (llvm::Error error = outputs.begin(getOutputDirectory()))
    return fail(std::move(error));
  std::string library = outputs.add(KERF_LIBRARY_PREFIX + name + KERF_LIBRARY_SUFFIX);
  std::string header = outputs.add(name + KERF_HEADER_SUFFIX);
  std::string package = outputs.add(name + KERF_PACKAGE_SUFFIX);
  if (llvm::Error error = x86::linkLibrary(*objects, name, library))
    return fail(std::move(error));
  if (llvm::Error error = writeHeader(input, header))
    return fail(std::move(error));
  if (llvm::Error error = writePackage(input, package, &ignored))
    return fail(std::move(error));
  if (llvm::Error error = outputs.commit())
    return fail(std::move(error));
  for (const std::string &file :
       {KERF_LIBRARY_PREFIX + name + KERF_LIBRARY_SUFFIX, name + KERF_HEADER_SUFFIX, name + KERF_PACKAGE_SUFFIX}) {
    llvm::SmallString<128> path(getOutputDirectory());
    llvm::sys::path::append(path, file);
    progress.file(path);
  }
  return success();
}

LogicalResult Compiler::dump(Phase phase) {
  if (phase == Phase::Package)
    return success();
  if (std::error_code error = llvm::sys::fs::create_directories(options.dumpDirectory, true, llvm::sys::fs::all_all))
    return fail("cannot make the directory " + options.dumpDirectory + ": " + error.message());
  std::string stem = llvm::formatv("{0}-{1}", static_cast<unsigned>(phase) + 1, getPhaseName(phase));
  llvm::SmallString<128> path(options.dumpDirectory);
  llvm::sys::path::append(path, stem + ".mlir");
  if (failed(writeModule(path)))
    return failure();
  if (phase != Phase::Object)
    return success();
  return dumpObjects(stem);
}

LogicalResult Compiler::dumpObjects(StringRef stem) {
  auto objects = x86::getObjects(*module);
  if (!objects)
    return fail(objects.takeError());
  auto write = [&](StringRef name, ArrayRef<std::pair<StringRef, StringRef>> texts) -> LogicalResult {
    for (auto [suffix, text] : texts) {
      llvm::SmallString<128> path(options.dumpDirectory);
      llvm::sys::path::append(path, stem + "-" + name + suffix);
      if (!text.empty() && failed(writeFile(path, [&](llvm::raw_ostream &os) { os << text; })))
        return failure();
    }
    return success();
  };
  for (auto [index, object] : llvm::enumerate(*objects)) {
    StringRef bytes(object.bytes.data(), object.bytes.size());
    if (isGpu()) {
      const nvptx::ImageListing &listing = imageListings[index];
      const bool cubin = nvptx::findVariant(object.name)->cubin;
      if (failed(write(object.name, {{".ll", listing.code.llvmIR},
                                     {".opt.ll", listing.code.optimizedIR},
                                     {".ptx", listing.ptx},
                                     {".cubin", cubin ? bytes : ""},
                                     {".ptxas.txt", listing.report}})))
        return failure();
      continue;
    }
    const x86::Listing &listing = listings[index];
    if (failed(write(
            object.name,
            {{".ll", listing.llvmIR}, {".opt.ll", listing.optimizedIR}, {".s", listing.assembly}, {".o", bytes}})))
      return failure();
  }
  return success();
}

LogicalResult Compiler::dumpEachKernel() {
  if (options.kernelDirectory.empty())
    return success();
  auto write = [&](StringRef name, StringRef text) -> LogicalResult {
    llvm::SmallString<128> path(options.kernelDirectory);
    llvm::sys::path::append(path, name);
    StringRef directory = llvm::sys::path::parent_path(path);
    if (std::error_code error = llvm::sys::fs::create_directories(directory, true, llvm::sys::fs::all_all))
      return fail("cannot make the directory " + directory + ": " + error.message());
    return writeFile(path, [&](llvm::raw_ostream &os) { os << text; });
  };
  const std::string ptxas = isGpu() ? findPtxas("kernels are written as PTX, without cubins") : "";
  if (llvm::Error error = dumpKernels(*module, ptxas, options.threads, write))
    return fail(std::move(error));
  return success();
}

LogicalResult Compiler::writeFile(StringRef path, llvm::function_ref<void(llvm::raw_ostream &)> write) {
  std::string problem;
  auto file = openOutputFile(path, &problem);
  if (!file)
    return fail(problem);
  write(file->os());
  file->os().flush();
  if (std::error_code error = file->os().error()) {
    file->os().clear_error();
    return fail("cannot write " + path + ": " + error.message());
  }
  file->keep();
  if (path != "-")
    progress.file(path);
  return success();
}

LogicalResult Compiler::writeModule(StringRef path) {
  OpPrintingFlags flags;
  // Locations name the parts of the model; later phases report by them.
  flags.enableDebugInfo(true, /*prettyForm=*/false);
  return writeFile(path, [&](llvm::raw_ostream &os) { module->print(os, flags); });
}

PhaseSummary Compiler::summarize(Phase phase) {
  auto count = [&](auto range) { return int64_t(std::distance(range.begin(), range.end())); };
  switch (phase) {
  case Phase::Import:
    return summarizeGraph(*module, ignored.size());
  case Phase::Optimize:
    return summarizeGraph(*module, 0);
  case Phase::Memory: {
    DenseSet<int64_t> slots;
    module->walk([&](SlotOp slot) { slots.insert(slot.getIndex()); });
    return {llvm::formatv("{0} slots", slots.size()), {{"slots", int64_t(slots.size())}}};
  }
  case Phase::Kernels: {
    int64_t dispatches = 0, kernels = 0, variants = count(module->getOps<VariantOp>());
    module->walk([&](DispatchOp) { ++dispatches; });
    module->walk([&](Operation *op) { kernels += isa<KernelOp, GpuKernelOp>(op); });
    kernels /= std::max<int64_t>(variants, 1);
    return {llvm::formatv("{0} dispatches of {1} kernels, {2} variants", dispatches, kernels, variants),
            {{"dispatches", dispatches}, {"kernels", kernels}, {"variants", variants}}};
  }
  case Phase::LLVM:
    return {};
  case Phase::Object: {
    int64_t bytes = 0, files = 0;
    for (auto variant : module->getOps<VariantOp>()) {
      bytes += variant.getObjectAttr().getNumElements();
      ++files;
    }
    return {llvm::formatv("{0} objects, {1} KiB", files, bytes >> 10), {{"objects", files}, {"bytes", bytes}}};
  }
  case Phase::Package:
    return {llvm::formatv("{0}: {1}", getOutputDirectory(), getModel(*module).getName()), {}};
  }
  llvm_unreachable("every phase has a summary");
}
