//===- Package.cpp - writes MODEL.kerf ------------------------------------===//
//
// The manifest stands before the weights but states their hashes. It is built twice: with the hashes still zero, to
// know its length and so every offset, and again when the weights are packed. Numbers are stored at full width and
// hashes have one length, so both manifests are equally long.
//
//===----------------------------------------------------------------------===//
#include "codegen/package/Package.h"

#include "codegen/package/Generation.h"
#include "codegen/package/TokenizerCheck.h"
#include "codegen/package/TokenizerJson.h"
#include "dialects/kerf/KerfPrograms.h"
#include "kerf/names.h"
#include "runtime/schema/Preamble.h"
#include "runtime/schema/package_generated.h"
#include "runtime/support/Sha256.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Threading.h"

#include <algorithm>
#include <limits>

using namespace mlir;
using namespace kerf;

namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;

template <typename T> std::string textOf(T value) {
  std::string text;
  llvm::raw_string_ostream(text) << value;
  return text;
}

llvm::Expected<schema::ElementType> elementOf(Type type, const llvm::Twine &what) {
  if (type && type.isF32())
    return schema::ElementType::F32;
  if (type && type.isF16())
    return schema::ElementType::F16;
  if (type && type.isBF16())
    return schema::ElementType::BF16;
  return importError(what + " must be f32, f16 or bf16, got " + (type ? textOf(type) : "none"));
}

/// What the manifest says besides the weights, checked.
struct Facts {
  ModelOp model;
  std::vector<KvGroupOp> groups;
  std::vector<ProgramOp> programs;
  std::vector<VariantOp> variants;
  schema::ElementType computeType = schema::ElementType::F32;
  schema::GenerationT generation;
  uint32_t attentionTile = 0;
  uint64_t stackBytes = 0;
  OrderBands bands;
};

llvm::Error checkRange(const llvm::Twine &what, int64_t value, int64_t most) {
  if (value >= 1 && value <= most)
    return llvm::Error::success();
  return importError(what + " must be 1 to " + llvm::Twine(most) + ", got " + llvm::Twine(value));
}

llvm::Error checkVariants(Facts &facts) {
  for (VariantOp variant : facts.variants) {
    if (llvm::Error error =
            checkRange("attention_tile of variant '" + variant.getSymName() + "'", variant.getAttentionTile(), 1 << 16))
      return error;
    facts.attentionTile = std::max<uint32_t>(facts.attentionTile, variant.getAttentionTile());
    for (KernelOp kernel : variant.getOps<KernelOp>())
      facts.stackBytes = std::max<uint64_t>(facts.stackBytes, kernel.getStack());
    const OrderBands bands = getOrderBands(variant);
    llvm::append_range(facts.bands.firstRows, bands.firstRows);
    facts.bands.byItem |= bands.byItem;
  }
  llvm::sort(facts.bands.firstRows);
  facts.bands.firstRows.erase(llvm::unique(facts.bands.firstRows), facts.bands.firstRows.end());
  return llvm::Error::success();
}

llvm::Error checkPrograms(const Facts &facts) {
  if (facts.programs.empty())
    return importError("the module must hold a kerf.program, got none; run the kernels phase first");
  for (ProgramOp program : facts.programs) {
    if (program.getResults().empty())
      return importError("program '" + program.getSymName() + "' must state its results, got none");
    for (auto result : program.getResults().getAsRange<ResultAttr>())
      if (result.getKind() == ResultKind::Logits && result.getColumns() != ModelOp(facts.model).getVocabulary())
        return importError("logits of program '" + program.getSymName() + "' must have " +
                           llvm::Twine(ModelOp(facts.model).getVocabulary()) + " columns, got " +
                           llvm::Twine(result.getColumns()));
    for (auto list : program.getWorkLists().getAsRange<WorkAttr>())
      if (llvm::none_of(facts.groups, [&](KvGroupOp g) { return g.getSymNameAttr() == list.getGroup().getAttr(); }))
        return importError("work lists of program '" + program.getSymName() + "' must be over a kerf.kv_group, got '" +
                           list.getGroup().getValue() + "'");
  }
  return llvm::Error::success();
}

llvm::Error checkWeightNames(ArrayRef<PackedWeight> weights, const TensorSource &tensors) {
  for (const PackedWeight &weight : weights) {
    auto source = cast<SourceAttrInterface>(WeightOp(weight.op).getSource());
    llvm::Expected<SourceEvaluator> evaluator = SourceEvaluator::create(source, tensors);
    if (!evaluator)
      return importError("weight '" + WeightOp(weight.op).getSymName() + "': " + llvm::toString(evaluator.takeError()));
  }
  return llvm::Error::success();
}

/// Builds the manifest of one package.
class Packager {
public:
  explicit Packager(const PackageInput &input) : input(input) {}

  /// Checks the module, plans the weights and fixes every offset. Reads no weight.
  llvm::Error plan();
  /// Writes the file.
  llvm::Error write(StringRef path);

  PackageSizes sizes;
  std::vector<IgnoredKey> ignored;

private:
  llvm::Error gather();
  llvm::Error build(FlatBufferBuilder &builder);
  Offset<schema::Weight> buildWeight(FlatBufferBuilder &builder, PackedWeight &weight);
  Offset<schema::CacheGroup> buildGroup(FlatBufferBuilder &builder, KvGroupOp group);
  Offset<schema::Program> buildProgram(FlatBufferBuilder &builder, ProgramOp program);

  const PackageInput &input;
  Facts facts;
  SourceHashes sources;
  std::string tokenizer; // path of tokenizer.json, if there is one
  std::vector<PackedWeight> weights;
};

llvm::Error Packager::gather() {
  assert(input.checkpoint && input.pageBytes && "a package needs a checkpoint and the size of a page");
  ModuleOp module = input.module;
  facts.model = getModel(module);
  if (!facts.model)
    return importError("the module must hold a kerf.model, got none");
  const std::string name = facts.model.getName().str();
  if (!kerf_model_name_valid(name.c_str()))
    return importError("model name must be 1 to " + llvm::Twine(KERF_MODEL_NAME_MAX) +
                       " letters, digits, '.', '_' or '-', not starting with '.' or '-', got '" + name + "'");
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  for (auto [what, value] : {std::pair<StringRef, int64_t>("vocabulary", facts.model.getVocabulary()),
                             {"context", facts.model.getContext()},
                             {"hidden", facts.model.getHidden()},
                             {"layers", facts.model.getLayers()}})
    if (llvm::Error error = checkRange(what, value, most))
      return error;
  llvm::append_range(facts.groups, module.getOps<KvGroupOp>());
  llvm::append_range(facts.programs, module.getOps<ProgramOp>());
  llvm::append_range(facts.variants, module.getOps<VariantOp>());
  if (llvm::Error error = checkPrograms(facts))
    return error;
  if (facts.variants.empty())
    return importError("the module must hold a kerf.variant, got none; run the kernels phase first");
  if (llvm::Error error = checkVariants(facts))
    return error;
  return readGeneration(*input.checkpoint, facts.model.getVocabulary(), facts.generation, ignored);
}

llvm::Error Packager::plan() {
  if (llvm::Error error = gather())
    return error;
  llvm::Expected<std::vector<PackedWeight>> planned = planWeights(input.module);
  if (!planned)
    return planned.takeError();
  weights = std::move(*planned);
  if (llvm::Error error = checkWeightNames(weights, CheckpointSource(*input.checkpoint)))
    return error;
  Type compute = input.computeType;
  for (size_t i = 0; i < weights.size() && !compute; ++i)
    if (weights[i].op.getTensorType().getRank() == 2)
      compute = weights[i].op.getTensorType().getElementType();
  llvm::Expected<schema::ElementType> element = elementOf(compute, "element type of the computation");
  if (!element)
    return element.takeError();
  facts.computeType = *element;

  llvm::Expected<SourceHashes> hashes = hashSources(*input.checkpoint);
  if (!hashes)
    return hashes.takeError();
  sources = std::move(*hashes);
  if (llvm::any_of(sources, [](const auto &source) { return source.first == "tokenizer.json"; })) {
    llvm::Expected<std::string> path = input.checkpoint->tokenizerPath();
    if (!path)
      return path.takeError();
    tokenizer = std::move(*path);
  } else {
    ignored.push_back({"tokenizer.json", "the checkpoint has none: the package takes and gives token ids, not text"});
  }

  FlatBufferBuilder builder;
  if (llvm::Error error = build(builder))
    return error;
  if (const schema::Tokenizer *table = schema::GetManifest(builder.GetBufferPointer())->tokenizer())
    if (std::string problem = checkTokenizer(*table); !problem.empty())
      return importError("tokenizer.json: " + problem);
  sizes.manifestBytes = schema::kManifestOffset + builder.GetSize();
  sizes.hasTokenizer = !tokenizer.empty();
  for (const PackedWeight &weight : weights)
    sizes.weightBytes += weight.bytes;
  sizes.fileBytes = placeWeights(weights, sizes.manifestBytes);
  return llvm::Error::success();
}

Offset<schema::Weight> Packager::buildWeight(FlatBufferBuilder &builder, PackedWeight &weight) {
  const RankedTensorType type = weight.op.getTensorType();
  std::vector<std::string> names;
  cast<SourceAttrInterface>(weight.op.getSource()).walkTensors([&](StringRef name) { names.push_back(name.str()); });
  const auto shape = builder.CreateVector(std::vector<int64_t>(type.getShape().begin(), type.getShape().end()));
  const auto tensors = builder.CreateVectorOfStrings(names);
  const auto hash = builder.CreateVector(weight.sha256.data(), weight.sha256.size());
  const auto name = builder.CreateString(weight.op.getSymName().str());
  const auto format = builder.CreateString(textOf(Attribute(weight.op.getFormat())));
  const auto layout = builder.CreateString(weight.layout);
  return schema::CreateWeight(builder, name, shape, *elementOf(type.getElementType(), "weight"), format, layout,
                              weight.offset, weight.bytes, tensors, hash);
}

Offset<schema::CacheGroup> Packager::buildGroup(FlatBufferBuilder &builder, KvGroupOp group) {
  const auto name = builder.CreateString(group.getSymName().str());
  return schema::CreateCacheGroup(builder, name, uint32_t(group.getPlanes()), uint32_t(group.getHeads()),
                                  uint32_t(group.getHeadDim()), *elementOf(group.getElement(), "KV group"),
                                  uint32_t(group.getPageSize()), input.pageBytes(group));
}

Offset<schema::Program> Packager::buildProgram(FlatBufferBuilder &builder, ProgramOp program) {
  std::vector<Offset<schema::Slot>> slots;
  for (auto [index, size] : llvm::enumerate(program.getSlots().getAsRange<SizeAttr>())) {
    const LinearForm form = getLinearForm(size);
    const auto coefficients = builder.CreateVector(form.coefficient.data(), KERF_EXTENT_KNOWN);
    const auto bytes = schema::CreateLinearForm(builder, coefficients);
    slots.push_back(schema::CreateSlot(builder, builder.CreateString("slot" + std::to_string(index)), bytes));
  }
  std::vector<Offset<schema::WorkList>> lists;
  for (auto list : program.getWorkLists().getAsRange<WorkAttr>()) {
    const MaskRange range = cast<MaskAttrInterface>(list.getMask()).getRange();
    const auto group =
        llvm::find_if(facts.groups, [&](KvGroupOp g) { return g.getSymNameAttr() == list.getGroup().getAttr(); });
    lists.push_back(schema::CreateWorkList(builder, uint32_t(group - facts.groups.begin()), getMaskBound(range.behind),
                                           getMaskBound(range.ahead)));
  }
  std::vector<Offset<schema::Result>> results;
  for (auto result : program.getResults().getAsRange<ResultAttr>())
    results.push_back(schema::CreateResult(builder, schema::ResultKind(result.getKind()), uint32_t(result.getColumns()),
                                           result.getKind() == ResultKind::Tokens ? schema::ElementType::I32
                                                                                  : schema::ElementType::F32));
  const auto name = builder.CreateString(program.getSymName().str());
  const auto slotVector = builder.CreateVector(slots);
  const auto listVector = builder.CreateVector(lists);
  const auto resultVector = builder.CreateVector(results);
  return schema::CreateProgram(builder, name, slotVector, uint32_t(llvm::range_size(program.getOps<DispatchOp>())),
                               dispatchesPerLayer(program), listVector, resultVector);
}

llvm::Error Packager::build(FlatBufferBuilder &builder) {
  // Every number has its place even where it is its default, so that the length does not depend on offsets.
  builder.ForceDefaults(true);
  ModelOp model = facts.model;
  Offset<schema::Tokenizer> tokens;
  if (!tokenizer.empty()) {
    std::vector<IgnoredKey> again;
    llvm::Expected<Offset<schema::Tokenizer>> built =
        buildTokenizer(builder, tokenizer, sizes.manifestBytes ? again : ignored);
    if (!built)
      return built.takeError();
    tokens = *built;
  }
  std::vector<Offset<schema::Weight>> packed;
  for (PackedWeight &weight : weights)
    packed.push_back(buildWeight(builder, weight));
  std::vector<Offset<schema::CacheGroup>> groups;
  for (KvGroupOp group : facts.groups) {
    if (llvm::Expected<schema::ElementType> element =
            elementOf(group.getElement(), "element of KV group '" + group.getSymName() + "'");
        !element)
      return element.takeError();
    groups.push_back(buildGroup(builder, group));
  }
  std::vector<Offset<schema::Program>> programs;
  for (ProgramOp program : facts.programs)
    programs.push_back(buildProgram(builder, program));
  std::vector<std::string> variants;
  for (VariantOp variant : facts.variants)
    variants.push_back(variant.getSymName().str());
  std::vector<Offset<schema::KeyValue>> hashes;
  for (const auto &[name, hash] : sources)
    hashes.push_back(schema::CreateKeyValue(builder, builder.CreateString(name), builder.CreateString(hash)));

  const auto weightVector = builder.CreateVector(packed);
  const auto groupVector = builder.CreateVector(groups);
  const auto programVector = builder.CreateVector(programs);
  const auto variantVector = builder.CreateVectorOfStrings(variants);
  const auto hashVector = builder.CreateVector(hashes);
  const auto generation = schema::CreateGeneration(builder, &facts.generation);
  const auto buildId = builder.CreateVector(input.buildId.data(), input.buildId.size());
  const auto version = builder.CreateString(input.compilerVersion);
  const auto flags = builder.CreateString(input.compilerFlags);
  const auto target = builder.CreateString(input.target);
  const auto name = builder.CreateString(model.getName().str());
  const auto architecture = builder.CreateString(model.getArchitecture().str());
  Offset<flatbuffers::String> chat, plan;
  if (input.checkpoint->chatTemplate())
    chat = builder.CreateString(*input.checkpoint->chatTemplate());
  std::vector<Offset<schema::KeyValue>> chatTokens;
  for (const auto &[name, text] : input.checkpoint->chatTokens())
    chatTokens.push_back(schema::CreateKeyValueDirect(builder, name.c_str(), text.c_str()));
  const auto chatTokenVector = chatTokens.empty() ? 0 : builder.CreateVector(chatTokens);
  if (!input.plan.empty())
    plan = builder.CreateString(input.plan);

  const auto firstRows = builder.CreateVector(facts.bands.firstRows.data(), facts.bands.firstRows.size());
  const auto bands = schema::CreateOrderBands(builder, firstRows, facts.bands.byItem);

  schema::ManifestBuilder manifest(builder);
  manifest.add_schema_major(schema::kSchemaMajor);
  manifest.add_schema_minor(schema::kSchemaMinor);
  manifest.add_build_id(buildId);
  manifest.add_compiler_version(version);
  manifest.add_compiler_flags(flags);
  manifest.add_target(target);
  manifest.add_model_name(name);
  manifest.add_architecture(architecture);
  manifest.add_vocabulary(uint32_t(model.getVocabulary()));
  manifest.add_hidden(uint32_t(model.getHidden()));
  manifest.add_layers(uint32_t(model.getLayers()));
  manifest.add_context(uint32_t(model.getContext()));
  manifest.add_compute_type(facts.computeType);
  manifest.add_weights(weightVector);
  manifest.add_groups(groupVector);
  manifest.add_programs(programVector);
  manifest.add_variants(variantVector);
  manifest.add_attention_tile(facts.attentionTile);
  manifest.add_stack_bytes(facts.stackBytes);
  manifest.add_generation(generation);
  if (!tokens.IsNull())
    manifest.add_tokenizer(tokens);
  if (!chat.IsNull())
    manifest.add_chat_template(chat);
  if (!chatTokenVector.IsNull())
    manifest.add_chat_tokens(chatTokenVector);
  manifest.add_source_hashes(hashVector);
  if (!plan.IsNull())
    manifest.add_plan(plan);
  manifest.add_file_size(sizes.fileBytes);
  manifest.add_order_bands(bands);
  schema::FinishManifestBuffer(builder, manifest.Finish());
  return llvm::Error::success();
}

llvm::Error Packager::write(StringRef path) {
  llvm::Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return file.takeError();
  if (llvm::Error error = file->reserve(sizes.fileBytes))
    return error;
  const unsigned threads = input.threads ? input.threads : llvm::hardware_concurrency().compute_thread_count();
  if (llvm::Error error = packWeights(weights, CheckpointSource(*input.checkpoint), *file, threads, input.progress))
    return error;
  FlatBufferBuilder builder;
  if (llvm::Error error = build(builder))
    return error;
  // tokenizer.json is read twice; were it replaced in between, the offsets would be wrong.
  if (schema::kManifestOffset + builder.GetSize() != sizes.manifestBytes)
    return importError("the checkpoint must not change during the compilation, but its tokenizer.json did");
  const rt::Sha256Digest digest = rt::sha256(builder.GetBufferPointer(), builder.GetSize());
  uint8_t hash[32];
  llvm::copy(digest, hash);
  const schema::Preamble preamble = schema::makePreamble(builder.GetSize(), hash);
  if (llvm::Error error = file->write(0, {reinterpret_cast<const char *>(&preamble), sizeof preamble}))
    return error;
  if (llvm::Error error = file->write(schema::kManifestOffset,
                                      {reinterpret_cast<const char *>(builder.GetBufferPointer()), builder.GetSize()}))
    return error;
  return file->complete();
}

} // namespace

uint32_t kerf::dispatchesPerLayer(ProgramOp program) {
  return uint32_t(llvm::count_if(program.getOps<DispatchOp>(),
                                 [](DispatchOp dispatch) { return dispatch.getOrigin().starts_with("layers.0."); }));
}

llvm::Expected<PackageSizes> kerf::measurePackage(const PackageInput &input) {
  Packager packager(input);
  if (llvm::Error error = packager.plan())
    return std::move(error);
  return packager.sizes;
}

llvm::Error kerf::writePackage(const PackageInput &input, StringRef path, std::vector<IgnoredKey> *ignored) {
  Packager packager(input);
  if (llvm::Error error = packager.plan())
    return error;
  if (ignored)
    llvm::append_range(*ignored, packager.ignored);
  return packager.write(path);
}
