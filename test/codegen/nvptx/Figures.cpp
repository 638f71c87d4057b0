#include "test/codegen/nvptx/Figures.h"

#include "codegen/nvptx/KernelBuilder.h"
#include "codegen/nvptx/Lower.h"
#include "test/codegen/nvptx/Cubin.h"
#include "test/codegen/nvptx/Shipped.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"

using namespace kerf;
using namespace kerf::nvptx;
using namespace kerf::test;

namespace {

const llvm::ExitOnError orExit("kernel figures: ");

/// The variant whose code is assembled for an architecture.
Variant variantFor(llvm::StringRef architecture) {
  if (const Variant *variant = findVariant(architecture))
    return *variant;
  Variant newer = *findVariant("compute_80");
  newer.architecture = std::stoul(architecture.drop_front(3).str());
  return newer;
}

std::string ptxOf(const Variant &variant, std::vector<LaunchAttr> &launches, mlir::MLIRContext &context) {
  loadKernelDialects(context);
  auto loc = mlir::UnknownLoc::get(&context);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(loc);
  mlir::OpBuilder builder(module->getBodyRegion());
  auto kernels = mlir::gpu::GPUModuleOp::create(builder, loc, "kernels");
  for (const Shipped &kernel : shippedKernels())
    for (LaunchAttr launch : kernel.emit(kernels, variant))
      launches.push_back(launch);
  if (failed(lowerToLLVMDialect(kernels)))
    std::abort();
  llvm::LLVMContext llvmContext;
  auto code = orExit(translate(kernels, variant, llvmContext));
  return orExit(emitPtx(*code, variant));
}

/// What ptxas says of a function.
struct Resources {
  int registers = -1, shared = 0;
  std::string stack;
};

std::map<std::string, Resources> readReport(llvm::StringRef report, std::string &faults) {
  std::map<std::string, Resources> functions;
  Resources *function = nullptr;
  const llvm::Regex entry("Compiling entry function '([^']*)'"), used("Used ([0-9]+) registers"),
      shared("([0-9]+) bytes smem"), advice("[Ww]arning|\\(C[0-9]+\\)");
  llvm::SmallVector<llvm::StringRef> lines, match;
  llvm::SplitString(report, lines, "\n");
  for (llvm::StringRef line : lines) {
    if (advice.match(line))
      faults += line.str() + "\n";
    if (entry.match(line, &match))
      function = &functions[match[1].str()];
    if (!function)
      continue;
    if (line.contains("bytes stack frame"))
      function->stack = line.trim().str();
    if (used.match(line, &match))
      function->registers = std::stoi(match[1].str());
    if (shared.match(line, &match))
      function->shared = std::stoi(match[1].str());
  }
  return functions;
}

std::string sizes(const unsigned (&counts)[5]) {
  return llvm::formatv("{0,5} {1,5} {2,5} {3,5}", counts[4], counts[3], counts[2], counts[1]).str();
}

} // namespace

std::vector<std::string> kerf::test::assembledArchitectures() {
  std::vector<std::string> names;
  for (const Variant &variant : variants())
    if (variant.cubin)
      names.push_back(variant.name);
  names.push_back("sm_90");
  return names;
}

std::string kerf::test::figuresHead() {
  return llvm::formatv("# LLVM {0}. Of each function: registers of a thread, bytes of shared memory, instructions that "
                       "stand in it; of these\n"
                       "# tensor core products, matrices from shared memory, loads of 128, 64, 32 and 16 bits from "
                       "global memory, copies from there to\n"
                       "# shared memory, stores of 128, 64, 32 and 16 bits.\n"
                       "# {1,-5} {2,-36} {3,4} {4,6} {5,6} {6,5} {7,5} {8,5} {9,5} {10,5} {11,5} {12,6} {13,5} {14,5} "
                       "{15,5} {16,5}\n",
                       LLVM_VERSION_STRING, "arch", "function", "regs", "shared", "instr", "HMMA", "LDSM", "LDG", "64",
                       "32", "16", "LDGSTS", "STG", "64", "32", "16")
      .str();
}

Figures kerf::test::figuresOf(const std::string &ptxas, const std::string &architecture) {
  const Variant variant = variantFor(architecture);
  mlir::MLIRContext context;
  std::vector<LaunchAttr> launches;
  const Assembly assembly = orExit(assemble(ptxas, ptxOf(variant, launches, context), variant));
  Figures figures;
  const auto resources = readReport(assembly.report, figures.faults);
  const auto counts = orExit(countInstructions(assembly.cubin));
  for (LaunchAttr launch : launches) {
    const std::string name = launch.getFunction().str();
    const auto used = resources.find(name);
    const auto counted = counts.find(name);
    if (used == resources.end() || used->second.registers < 0 || counted == counts.end()) {
      figures.faults += name + ": neither ptxas nor the cubin may pass it over\n";
      continue;
    }
    const InstructionCounts &c = counted->second;
    if (used->second.stack != "0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads")
      figures.faults += name + ": " + used->second.stack + "\n";
    if (c.loads[0] || c.stores[0] || c.sharedBytes)
      figures.faults += name + ": loads or stores bytes one by one\n";
    figures.table +=
        llvm::formatv("{0,-7} {1,-36} {2,4} {3,6} {4,6} {5,5} {6,5} {7} {8,6} {9}\n", architecture, name,
                      used->second.registers, used->second.shared + launch.getShared(), c.all, c.matrixProducts,
                      c.matrixLoads, sizes(c.loads), c.asynchronousCopies, sizes(c.stores))
            .str();
  }
  return figures;
}

std::string kerf::test::versionOf(const std::string &ptxas) {
  llvm::SmallString<128> path;
  if (llvm::sys::fs::createTemporaryFile("kerf", "txt", path))
    return {};
  const llvm::StringRef output = path;
  const int status =
      llvm::sys::ExecuteAndWait(ptxas, {ptxas, "--version"}, std::nullopt, {std::nullopt, output, output});
  auto text = llvm::MemoryBuffer::getFile(path);
  llvm::sys::fs::remove(path);
  llvm::SmallVector<llvm::StringRef> match;
  const bool tells = status == 0 && text && llvm::Regex(", V([0-9.]+)").match((*text)->getBuffer(), &match);
  return tells ? match[1].str() : std::string();
}
