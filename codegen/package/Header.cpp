//===- Header.cpp - writes MODEL.h ----------------------------------------===//
#include "codegen/package/Header.h"

#include "codegen/package/OutputFile.h"
#include "codegen/package/Weights.h"
#include "dialects/kerf/KerfPrograms.h"
#include "kerf/abi.h"
#include "kerf/names.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <limits>

using namespace mlir;
using namespace kerf;

namespace {

// The certificate's constants, as runtime/loader/Certificate.h has them; a test compares the two evaluations.
constexpr uint64_t kThreadStack = 64 * 1024;
constexpr uint64_t kContextRecords = 256 * 1024;
constexpr uint64_t kTokenizerRecords = 2 * 1024 * 1024;
constexpr uint64_t kDispatchRecord = 256;
constexpr uint64_t kDeviceBlock = 2 * 1024 * 1024;
constexpr uint64_t kDeviceWeightAlignment = 256;

/// Writes the parts of one header.
class HeaderWriter {
public:
  HeaderWriter(const PackageInput &input, const PackageSizes &sizes, StringRef ident)
      : input(input), sizes(sizes), ident(ident.str()), macro("KERF_" + ident.upper()), module(input.module),
        model(getModel(input.module)), gpu(isForGpu(input.module)), block(gpu ? kDeviceBlock : 4096), out(text) {}

  std::string write() {
    writeHead();
    writeConstants();
    writeOpen();
    writePeak();
    out << "#ifdef __cplusplus\n}\n#endif\n#endif\n";
    return std::move(text);
  }

private:
  /// A line of text with $i for the identifier, $I for the prefix of macros.
  void line(StringRef pattern) {
    for (size_t at = 0; at < pattern.size(); ++at) {
      if (pattern[at] == '$' && at + 1 < pattern.size() && (pattern[at + 1] == 'i' || pattern[at + 1] == 'I'))
        out << (pattern[++at] == 'i' ? "kerf_" + ident : macro);
      else
        out << pattern[at];
    }
    out << '\n';
  }
  void define(const llvm::Twine &name, const llvm::Twine &value, const llvm::Twine &comment) {
    line(("/// " + comment).str());
    line(("#define $I_" + name + " " + value).str());
  }

  void writeHead();
  void writeConstants();
  void writeOpen();
  void writePeak();
  void writeCache();
  void writeArena();
  void writeResults();
  std::string evaluate(const LinearForm &form);

  const PackageInput &input;
  const PackageSizes &sizes;
  std::string ident, macro;
  ModuleOp module;
  ModelOp model;
  const bool gpu;
  /// What memory comes in multiples of.
  const uint64_t block;
  std::string text;
  llvm::raw_string_ostream out;
};

/// Text from a checkpoint as it may stand in a comment.
std::string plain(StringRef text) {
  std::string result = text.str();
  for (char &c : result)
    if (!llvm::isAlnum(c) && !StringRef("._-+ ").contains(c))
      c = '_';
  return result;
}

void HeaderWriter::writeHead() {
  line(("/// The model " + model.getName() + ", an " + plain(model.getArchitecture()) + ", compiled by Kerf " +
        plain(input.compilerVersion) + ".")
           .str());
  line("///");
  line(("/// Link with " KERF_LIBRARY_PREFIX + model.getName() + KERF_LIBRARY_SUFFIX " and libkerf; open " +
        model.getName() + KERF_PACKAGE_SUFFIX ":")
           .str());
  line("///");
  line("///     kerf_model *model;");
  line("///     kerf_error error;");
  line(
      ("///     if ($i_open(\"" + model.getName() + KERF_PACKAGE_SUFFIX "\", NULL, &model, &error) != KERF_OK)").str());
  line("///       fprintf(stderr, \"%s\\n\", error.message);");
  line(("#ifndef KERF_MODEL_" + ident + "_H"));
  line(("#define KERF_MODEL_" + ident + "_H"));
  line("");
  line("#include <kerf/kerf.h>");
  line("#include <string.h>");
  line("");
  line(("#if KERF_ABI_VERSION != " + llvm::Twine(KERF_ABI_VERSION)).str());
  line(("#error \"model " + model.getName() + " was compiled for version " + llvm::Twine(KERF_ABI_VERSION) +
        " of kerf/abi.h, which is another here: compile the model again\"")
           .str());
  line("#endif");
  line("");
  line("#ifdef __cplusplus");
  line("extern \"C\" {");
  line("#endif");
  line("");
  line(("/// What " KERF_LIBRARY_PREFIX + model.getName() + KERF_LIBRARY_SUFFIX " exports: kernels and programs.")
           .str());
  line("extern const kerf_library $i_library;");
  line("");
}

void HeaderWriter::writeConstants() {
  define("NAME", "\"" + model.getName() + "\"", "The model's name.");
  define("VOCABULARY", llvm::Twine(model.getVocabulary()) + "u", "Columns of the logits.");
  define("CONTEXT", llvm::Twine(model.getContext()) + "u", "Longest sequence, in tokens.");
  define("HIDDEN", llvm::Twine(model.getHidden()) + "u", "Features of a token between layers.");
  define("LAYERS", llvm::Twine(model.getLayers()) + "u", "Layers.");
  define("WEIGHT_BYTES", "UINT64_C(" + llvm::Twine(sizes.weightBytes) + ")", "Bytes of the packed weights.");
  define("FILE_BYTES", "UINT64_C(" + llvm::Twine(sizes.fileBytes) + ")", "Length of the package.");
  define("HAS_TOKENIZER", sizes.hasTokenizer ? "1" : "0", "Whether the package turns text into ids.");
  define("BUILD_ID", "\"" + toHex(input.buildId) + "\"", "The compilation: equal in package, library and header.");
  std::string bytes;
  for (uint8_t byte : input.buildId)
    bytes += llvm::formatv("\\x{0}", llvm::utohexstr(byte, /*LowerCase=*/true, 2)).str();
  define("BUILD_ID_BYTES", "\"" + bytes + "\"", "The same as 32 bytes, as in kerf_library.build_id.");
  for (ProgramOp program : module.getOps<ProgramOp>())
    for (auto [index, result] : llvm::enumerate(program.getResults().getAsRange<ResultAttr>())) {
      if (result.getKind() == ResultKind::Tokens) // drawn by kerf_context_step
        continue;
      const bool logits = result.getKind() == ResultKind::Logits;
      const std::string name = StringRef(plain(program.getSymName())).upper();
      define(name + (index ? "_" + std::to_string(index) : "") + "_COLUMNS", llvm::Twine(result.getColumns()) + "u",
             "What program '" + plain(program.getSymName()) + "' gives: " +
                 (logits ? "logits, for each row that wants them" : "a vector for each sequence") + ", in f32.");
    }
  line("");
}

void HeaderWriter::writeOpen() {
  line("/// Opens the package; as kerf_model_open with this model's library, which must also be of this header's");
  line("/// compilation (KERF_BAD_ARTIFACT).");
  line("static inline kerf_code $i_open(const char *path, const kerf_model_options *options, kerf_model **out,");
  line("                                kerf_error *error) {");
  line("  if (memcmp($i_library.build_id, $I_BUILD_ID_BYTES, 32) != 0) {");
  line("    if (out)");
  line("      *out = NULL;");
  line("    if (error) {");
  line("      error->code = KERF_BAD_ARTIFACT;");
  line(("      strcpy(error->message, \"build id of the library must be that of " + model.getName() +
        KERF_HEADER_SUFFIX ", but differs; use header, library and package of one compilation\");")
           .str());
  line("    }");
  line("    return KERF_BAD_ARTIFACT;");
  line("  }");
  line("  return kerf_model_open(path, &$i_library, options, out, error);");
  line("}");
  line("");
}

/// `form` in the function's variables, by the saturating helper.
std::string HeaderWriter::evaluate(const LinearForm &form) {
  static constexpr const char *variables[KERF_EXTENT_KNOWN] = {"1", "T", "A", "R", "W", "T * C", "A * C"};
  std::string value = "UINT64_C(" + std::to_string(form.coefficient[KERF_EXTENT_ONE]) + ")";
  for (unsigned e = 1; e < KERF_EXTENT_KNOWN; ++e)
    if (form.coefficient[e])
      value = "kerf_" + ident + "_add(" + value + ", " + variables[e] + ", UINT64_C(" +
              std::to_string(form.coefficient[e]) + "))";
  return value;
}

void HeaderWriter::writeCache() {
  for (KvGroupOp group : module.getOps<KvGroupOp>()) {
    const std::string perSequence =
        ("(C + " + llvm::Twine(group.getPageSize() - 1) + "u) / " + llvm::Twine(group.getPageSize()) + "u").str();
    line(("  /* KV group " + plain(group.getSymName()) + ": " + llvm::Twine(group.getPlanes()) + " planes, pages of " +
          llvm::Twine(group.getPageSize()) + " positions */")
             .str());
    line("  {");
    line("    const uint64_t table = " + perSequence + ", pages = table * S;");
    line("    if (pages * " + std::to_string(group.getPageSize()) + "u > INT32_MAX)");
    line("      return UINT64_MAX;");
    line(("    sum = $i_add(sum, 1, $i_round($i_add(" + llvm::Twine(KERF_ALIGNMENT * group.getPlanes()) +
          ", pages, UINT64_C(" + llvm::Twine(uint64_t(group.getPlanes()) * input.pageBytes(group)) +
          ")) / 64u * 64u, " + llvm::Twine(block) + "));")
             .str());
    line("    step += $i_round(T * 4, 64) + $i_round((S + 1) * 4, 64) + $i_round(pages * 4, 64);");
    if (!gpu)
      line("    sum = $i_add(sum, 1, pages * 8 + S * (table * 4 + 4));");
    line("  }");
  }
}

void HeaderWriter::writeArena() {
  for (ProgramOp program : module.getOps<ProgramOp>()) {
    line("  /* arena of program " + plain(program.getSymName()) + " */");
    line("  {");
    line("    uint64_t slots = 0;");
    for (SizeAttr size : program.getSlots().getAsRange<SizeAttr>())
      line("    slots = $i_add(slots, 1, $i_round(" + evaluate(getLinearForm(size)) + ", 64));");
    line("    if (arena < slots)");
    line("      arena = slots;");
    line("  }");
  }
}

void HeaderWriter::writeResults() {
  for (ProgramOp program : module.getOps<ProgramOp>()) {
    line("  /* results of program " + plain(program.getSymName()) + " */");
    line("  {");
    line("    uint64_t bytes = 0;");
    for (auto result : program.getResults().getAsRange<ResultAttr>()) {
      const LinearForm size = LinearForm::of(result.getColumns() * 4, static_cast<kerf_extent>(result.getRows()));
      line("    bytes = $i_add(bytes, 1, $i_round(" + evaluate(size) + ", 64));");
    }
    line("    if (results < bytes)");
    line("      results = bytes;");
    line("  }");
  }
}

void HeaderWriter::writePeak() {
  int64_t tile = std::numeric_limits<int64_t>::max(), stack = 0;
  uint64_t dispatches = 0, lists = 0;
  for (VariantOp variant : module.getOps<VariantOp>()) {
    tile = std::min(tile, variant.getAttentionTile());
    for (KernelOp kernel : variant.getOps<KernelOp>())
      stack = std::max(stack, kernel.getStack());
  }
  for (ProgramOp program : module.getOps<ProgramOp>()) {
    dispatches += llvm::range_size(program.getOps<DispatchOp>());
    lists = std::max<uint64_t>(lists, program.getWorkLists().size());
  }

  if (!gpu)
    define("THREAD_BYTES", "UINT64_C(" + llvm::Twine(uint64_t(stack) + kThreadStack) + ")",
           "What each thread of a context adds to the peak.");
  line("");
  line("/// sum + count * bytes, or UINT64_MAX where that has more than 64 bits.");
  line("static inline uint64_t $i_add(uint64_t sum, uint64_t count, uint64_t bytes) {");
  line("  return bytes != 0 && count > (UINT64_MAX - sum) / bytes ? UINT64_MAX : sum + count * bytes;");
  line("}");
  line("");
  line("/// The first multiple of `to` at or above `bytes`, or UINT64_MAX where that has more than 64 bits.");
  line("static inline uint64_t $i_round(uint64_t bytes, uint64_t to) {");
  line("  return bytes > UINT64_MAX - to ? UINT64_MAX : (bytes + to - 1) / to * to;");
  line("}");
  line("");
  if (gpu) {
    line(
        "/// The peak-memory certificate: the most of a GPU's memory that the model and one context use, in bytes, as");
    line("/// kerf_plan_report.device states it: each part in blocks of 2 MiB. What the driver takes for itself is not "
         "in it.");
    line("///");
    line("///     weights + KV pages + arena + step arrays + results");
  } else {
    line("/// The peak-memory certificate: the most that the model and one context use, in bytes, for every CPU "
         "variant of");
    line("/// the library (kerf_model_certificate, once the model is open, evaluates it for the variant in use).");
    line("///");
    line("///     weights + manifest + KV pages + arena + step arrays + results + sampler + page tables + stacks");
  }
  line("///");
  line("/// The arguments are those of kerf_plan_options, zero for the default, with as many KV pages as every "
       "sequence");
  line("/// needs at full length. `threads` is that of the context, at least 1. UINT64_MAX where a plan of that size "
       "is");
  line("/// refused.");
  line("static inline uint64_t $i_peak_bytes(uint32_t max_tokens, uint32_t max_sequences, uint32_t context,");
  line("                                     uint32_t max_logit_rows, uint32_t threads) {");
  line("  const uint64_t C = context ? context : $I_CONTEXT;");
  line("  const uint64_t T = max_tokens ? max_tokens : C < 512u ? C : 512u;");
  line("  const uint64_t S = max_sequences ? max_sequences : 1u;");
  line("  const uint64_t asked = max_logit_rows ? max_logit_rows : S, R = asked < T ? asked : T;");
  line("  const uint64_t A = S < T ? S : T; /* sequences with rows in a step */");
  line(("  const uint64_t items = (T + A * " + llvm::Twine(tile - 1) + "u) / " + llvm::Twine(tile) +
        "u, W = items < T ? items : T; /* attention work list */")
           .str());
  line("  uint64_t sum, arena = 0, step = 0, results = 0;");
  line("  const uint64_t most = UINT64_C(1) << 24;");
  line("  if (C > $I_CONTEXT || T > most || S > most || asked > most)");
  line("    return UINT64_MAX;");
  if (gpu) {
    uint64_t weights = 0;
    for (WeightOp weight : module.getOps<WeightOp>())
      weights += llvm::alignTo(packedBytes(weight), kDeviceWeightAlignment);
    line(("  (void)threads;\n  /* weights */\n  sum = UINT64_C(" + llvm::Twine(llvm::alignTo(weights, block)) + ");")
             .str());
  } else {
    line("  /* weights, manifest and the context's own records */");
    line(("  sum = $I_WEIGHT_BYTES + UINT64_C(" +
          llvm::Twine(sizes.manifestBytes + (sizes.hasTokenizer ? kTokenizerRecords : 0)) + ") + UINT64_C(" +
          llvm::Twine(kContextRecords + dispatches * kDispatchRecord) + ") + S * 64;")
             .str());
  }
  line(("  step += " + llvm::Twine(KERF_EXTENT_COUNT * sizeof(int32_t)) +
        "u + 2 * $i_round(T * 4, 64) + 2 * $i_round(R * 4, 64) + $i_round(R * " + llvm::Twine(sizeof(kerf_sampling)) +
        "u, 64) + 2 * $i_round(S * 4, 64) + " + llvm::Twine(lists) + "u * $i_round(W * " +
        llvm::Twine(sizeof(kerf_work_item)) + "u, 64);")
           .str());
  writeCache();
  writeArena();
  writeResults();
  for (const char *part : {"arena", "step", "results"})
    line(llvm::formatv("  sum = $i_add(sum, 1, $i_round({0}, {1}));", part, block).str());
  if (!gpu) {
    line("  /* sampler, stacks */");
    line("  sum = $i_add(sum, 1, $i_round((uint64_t)$I_VOCABULARY * 8, 4096));");
    line("  sum = $i_add(sum, threads ? threads : 1u, $I_THREAD_BYTES);");
  }
  line("  return sum > UINT64_C(1) << 60 ? UINT64_MAX : sum;");
  line("}");
  line("");
}

} // namespace

llvm::Expected<std::string> kerf::makeHeader(const PackageInput &input, const PackageSizes &sizes) {
  char ident[KERF_SYMBOL_MAX];
  const std::string name = getModel(input.module).getName().str();
  if (!kerf_model_identifier(name.c_str(), ident))
    return importError("model name must make an identifier, got '" + name + "'");
  return HeaderWriter(input, sizes, ident).write();
}

llvm::Error kerf::writeHeader(const PackageInput &input, StringRef path) {
  llvm::Expected<PackageSizes> sizes = measurePackage(input);
  if (!sizes)
    return sizes.takeError();
  llvm::Expected<std::string> text = makeHeader(input, *sizes);
  if (!text)
    return text.takeError();
  llvm::Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return file.takeError();
  if (llvm::Error error = file->write(0, *text))
    return error;
  return file->complete();
}
