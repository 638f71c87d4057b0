#include "codegen/driver/Diagnostics.h"

#include "dialects/kerf/KerfDialect.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/WithColor.h"

using namespace mlir;
using namespace kerf;

static StringRef nameOf(DiagnosticSeverity severity) {
  switch (severity) {
  case DiagnosticSeverity::Error:
    return "error";
  case DiagnosticSeverity::Warning:
    return "warning";
  case DiagnosticSeverity::Note:
    return "note";
  case DiagnosticSeverity::Remark:
    return "remark";
  }
  llvm_unreachable("every severity has a name");
}

static void print(Diagnostic &diagnostic) {
  llvm::raw_ostream &stream = diagnostic.getSeverity() == DiagnosticSeverity::Error     ? llvm::WithColor::error()
                              : diagnostic.getSeverity() == DiagnosticSeverity::Warning ? llvm::WithColor::warning()
                              : diagnostic.getSeverity() == DiagnosticSeverity::Note    ? llvm::WithColor::note()
                                                                                        : llvm::WithColor::remark();
  if (auto name = diagnostic.getLocation()->findInstanceOf<NameLoc>())
    stream << name.getName().getValue() << ": ";
  stream << diagnostic << '\n';
}

DiagnosticPrinter::DiagnosticPrinter(llvm::SourceMgr &sources, MLIRContext &context, Progress &progress)
    : SourceMgrDiagnosticHandler(sources, &context) {
  // A whole module beside every message would hide it.
  context.printOpOnDiagnostic(false);
  setHandler([&](Diagnostic &diagnostic) {
    // Which part of the model it is about.
    auto part = diagnostic.getLocation()->findInstanceOf<NameLoc>();
    const std::string text = (part ? part.getName().str() + ": " : "") + diagnostic.str();
    progress.interrupt(nameOf(diagnostic.getSeverity()), text, [&] {
      if (diagnostic.getLocation()->findInstanceOf<FileLineColLoc>())
        return emitDiagnostic(diagnostic);
      print(diagnostic);
      for (Diagnostic &note : diagnostic.getNotes())
        print(note);
    });
  });
}

PhaseSummary kerf::summarizeGraph(ModuleOp module, size_t ignored) {
  auto weightOps = module.getOps<WeightOp>();
  int64_t ops = 0, weights = std::distance(weightOps.begin(), weightOps.end());
  module.walk([&](CostOpInterface) { ++ops; });
  PhaseSummary summary{llvm::formatv("{0} ops, {1} weights", ops, weights), {{"ops", ops}, {"weights", weights}}};
  if (ignored) {
    summary.text += llvm::formatv(", {0} keys of the checkpoint without effect (-v lists them)", ignored);
    summary.counts.push_back({"ignored_keys", int64_t(ignored)});
  }
  return summary;
}
