#include "runtime/loader/Package.h"

#include "kerf/names.h"
#include "runtime/schema/Preamble.h"
#include "runtime/support/Error.h"
#include "runtime/support/Sha256.h"

#include <algorithm>
#include <vector>

namespace kerf::rt {
namespace {

// The deepest table nesting of the schema is five; anything far beyond is an attack.
constexpr unsigned kMostNesting = 32;
constexpr uint64_t kLongestManifest = uint64_t(FLATBUFFERS_MAX_BUFFER_SIZE) - 1;
// Tables may be shared, so that a small file could have any number of them: flatbuffers counts those that it visits,
// but not the strings of a list. Real packages have a few thousand.
constexpr uint32_t kMostTables = 1 << 20, kMostSources = 1 << 20;
// Extents of a weight.
constexpr uint32_t kMostAxes = 16;

// The checks of one file. Each states what was expected and what was found.
class Checker {
public:
  Checker(const MappedFile &file) : file(file) {}

  template <typename... Parts> [[noreturn]] void refuse(const Parts &...parts) const {
    fail(KERF_BAD_ARTIFACT, "'", file.path(), "': ", parts...);
  }

  const schema::Manifest *open(uint64_t &manifestBytes) {
    const schema::Preamble preamble = readPreamble();
    const uint8_t *bytes = file.data() + preamble.manifestOffset;
    const Sha256Digest digest = sha256(bytes, preamble.manifestSize);
    if (std::memcmp(digest.data(), preamble.manifestSha256, digest.size()) != 0)
      refuse("manifest SHA-256 must be ", hexDigits(preamble.manifestSha256, 8), "…, got ", hexDigits(digest.data(), 8),
             "…; the file is damaged, copy or compile it again");
    flatbuffers::Verifier verifier(bytes, preamble.manifestSize, kMostNesting, kMostTables);
    if (!schema::ManifestBufferHasIdentifier(bytes))
      refuse("manifest must have the identifier \"", schema::ManifestIdentifier(), "\"; this is not a Kerf package");
    if (countSources(bytes, preamble.manifestSize) > kMostSources)
      refuse("weights must have at most ", kMostSources, " sources together, got more");
    if (!schema::VerifyManifestBuffer(verifier))
      refuse("manifest is not a valid flatbuffer; the file is damaged, copy or compile it again");
    manifestBytes = preamble.manifestOffset + preamble.manifestSize;
    const schema::Manifest *manifest = schema::GetManifest(bytes);
    if (manifest->schema_major() != schema::kSchemaMajor)
      refuse("schema version must be ", schema::kSchemaMajor, ".x, got ", manifest->schema_major(), ".",
             manifest->schema_minor(), "; ",
             manifest->schema_major() > schema::kSchemaMajor ? "use a newer Kerf runtime" : "compile the model again");
    if (manifest->file_size() != file.size())
      refuse("file must be ", manifest->file_size(), " bytes long, got ", file.size(), "; ",
             file.size() < manifest->file_size() ? "it was cut off, copy it again" : "something was appended to it");
    return manifest;
  }

private:
  // Sources of all weights together; 0 or too few where the buffer is invalid, which its verifier then says.
  static uint64_t countSources(const uint8_t *bytes, uint64_t size) {
    using flatbuffers::Table, flatbuffers::Vector, flatbuffers::Offset;
    flatbuffers::Verifier verifier(bytes, size, kMostNesting, kMostTables);
    auto list = [&](const Table *table, flatbuffers::voffset_t field) -> const Vector<Offset<Table>> * {
      if (!table->VerifyTableStart(verifier) || !table->VerifyOffset(verifier, field))
        return nullptr;
      verifier.EndTable();
      const auto *found = table->GetPointer<const Vector<Offset<Table>> *>(field);
      return verifier.VerifyVector(found) ? found : nullptr;
    };
    uint64_t count = 0;
    const flatbuffers::uoffset_t root = verifier.VerifyOffset(0);
    const auto *weights =
        root ? list(reinterpret_cast<const Table *>(bytes + root), schema::Manifest::VT_WEIGHTS) : nullptr;
    for (uint32_t i = 0; weights && i < weights->size() && count <= kMostSources; ++i) {
      const auto *sources = list(weights->Get(i), schema::Weight::VT_SOURCES);
      count += sources ? sources->size() : 0;
    }
    return count;
  }

  schema::Preamble readPreamble() const {
    static const char lfs[] = "version https://git-lfs";
    if (file.size() >= sizeof lfs - 1 && std::memcmp(file.data(), lfs, sizeof lfs - 1) == 0)
      refuse("this is a Git LFS pointer, not the package; run 'git lfs pull'");
    schema::Preamble preamble;
    if (file.size() < sizeof preamble)
      refuse("a package starts with ", sizeof preamble, " bytes, got ", file.size(),
             "; the file was cut off, copy it again");
    std::memcpy(&preamble, file.data(), sizeof preamble);
    if (std::memcmp(preamble.magic, schema::kMagic, sizeof schema::kMagic) != 0) {
      if (std::memcmp(preamble.magic + 1, schema::kMagic + 1, 4) == 0)
        refuse("the line ends in the magic were changed; the file was copied as text, copy it as binary");
      refuse("magic must be ", hexDigits(schema::kMagic, 8), ", got ", hexDigits(preamble.magic, 8),
             "; this is not a Kerf package");
    }
    if (preamble.version != schema::kPreambleVersion)
      refuse("preamble version must be ", schema::kPreambleVersion, ", got ", preamble.version, "; ",
             preamble.version > schema::kPreambleVersion ? "use a newer Kerf runtime" : "compile the model again");
    if (preamble.bytes != sizeof preamble || preamble.manifestOffset != schema::kManifestOffset)
      refuse("preamble and manifest offset must be ", sizeof preamble, ", got ", preamble.bytes, " and ",
             preamble.manifestOffset, "; the file is damaged");
    if (preamble.manifestSize < 8 || preamble.manifestSize > kLongestManifest)
      refuse("manifest must be 8 to ", kLongestManifest, " bytes long, got ", preamble.manifestSize,
             "; the file is damaged");
    if (preamble.manifestSize > file.size() - preamble.manifestOffset)
      refuse("manifest of ", preamble.manifestSize, " bytes at ", preamble.manifestOffset,
             " must end inside the file of ", file.size(), " bytes; it was cut off, copy it again");
    return preamble;
  }

  const MappedFile &file;
};

// flatbuffers' verifier aligns the count of a vector, but not what follows it.
template <typename T> bool isAligned(const flatbuffers::Vector<T> &vector) {
  return reinterpret_cast<uintptr_t>(vector.Data()) % sizeof(T) == 0;
}

uint64_t checkWeights(const Checker &check, const schema::Manifest &manifest, uint64_t manifestEnd, uint64_t fileSize) {
  struct Range {
    uint64_t begin, end;
    const schema::Weight *weight;
  };
  std::vector<Range> ranges;
  uint64_t total = 0;
  for (const schema::Weight *weight : *manifest.weights()) {
    const char *name = weight->name()->c_str();
    if (weight->offset() % KERF_ALIGNMENT != 0)
      check.refuse("weight '", name, "' must start at a multiple of ", KERF_ALIGNMENT, ", got ", weight->offset());
    if (weight->offset() < manifestEnd)
      check.refuse("weight '", name, "' must start after the manifest's end ", manifestEnd, ", got ", weight->offset());
    if (weight->offset() > fileSize || weight->size() > fileSize - weight->offset())
      check.refuse("weight '", name, "' must end inside the file of ", fileSize, " bytes, got ", weight->size(),
                   " bytes at ", weight->offset());
    if (weight->sha256() && weight->sha256()->size() != 0 && weight->sha256()->size() != 32)
      check.refuse("weight '", name, "' must have a SHA-256 of 32 bytes, got ", weight->sha256()->size());
    if (weight->shape() && weight->shape()->size() > kMostAxes)
      check.refuse("weight '", name, "' must have at most ", kMostAxes, " axes, got ", weight->shape()->size());
    if (weight->shape() && !isAligned(*weight->shape()))
      check.refuse("shape of weight '", name, "' must lie at a multiple of 8; the file is damaged, copy or compile it ",
                   "again");
    if (weight->shape())
      for (const int64_t extent : *weight->shape())
        if (extent < 0)
          check.refuse("weight '", name, "' must have no negative extent, got ", extent);
    ranges.push_back({weight->offset(), weight->offset() + weight->size(), weight});
    total += weight->size();
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range &a, const Range &b) { return a.begin != b.begin ? a.begin < b.begin : a.end < b.end; });
  for (size_t i = 1; i < ranges.size(); ++i)
    if (ranges[i].begin < ranges[i - 1].end)
      check.refuse("weight '", ranges[i].weight->name()->c_str(), "' at ", ranges[i].begin,
                   " must not overlap weight '", ranges[i - 1].weight->name()->c_str(), "', which ends at ",
                   ranges[i - 1].end);
  return total;
}

void checkForm(const Checker &check, const schema::LinearForm &form, const char *program, uint32_t slot) {
  if (!form.coefficients())
    return;
  if (form.coefficients()->size() > KERF_EXTENT_KNOWN)
    check.refuse("slot ", slot, " of program '", program, "' must have at most ", uint32_t(KERF_EXTENT_KNOWN),
                 " coefficients, got ", form.coefficients()->size());
  if (!isAligned(*form.coefficients()))
    check.refuse("coefficients of slot ", slot, " of program '", program,
                 "' must lie at a multiple of 8; the file is damaged, copy or compile it again");
  for (const int64_t coefficient : *form.coefficients())
    if (coefficient < 0)
      check.refuse("slot ", slot, " of program '", program, "' must have no negative coefficient, got ", coefficient);
}

// Each list costs memory in every step; real models have one or two.
constexpr uint32_t kMostWorkLists = 64, kMostResults = 64;

void checkWorkLists(const Checker &check, const schema::Manifest &manifest, const schema::Program &program) {
  const char *name = program.name()->c_str();
  const uint32_t lists = program.work_lists() ? program.work_lists()->size() : 0;
  if (lists > kMostWorkLists)
    check.refuse("program '", name, "' must have at most ", kMostWorkLists, " work lists, got ", lists);
  for (uint32_t i = 0; i < lists; ++i) {
    const schema::WorkList &list = *program.work_lists()->Get(i);
    if (list.group() >= manifest.groups()->size() || list.behind() < 1 || list.ahead() < 0)
      check.refuse("work list ", i, " of program '", name, "' must be over one of ", manifest.groups()->size(),
                   " KV groups, with behind at least 1 and ahead at least 0, got ", list.group(), ", ", list.behind(),
                   " and ", list.ahead());
  }
}

void checkResults(const Checker &check, const schema::Manifest &manifest, const schema::Program &program) {
  const char *name = program.name()->c_str();
  const uint32_t results = program.results() ? program.results()->size() : 0;
  if (results == 0 || results > kMostResults)
    check.refuse("program '", name, "' must state 1 to ", kMostResults, " results, got ", results,
                 "; compile the model again");
  for (uint32_t i = 0; i < results; ++i) {
    const schema::Result &result = *program.results()->Get(i);
    const bool logits = result.kind() == schema::ResultKind::Logits;
    const bool tokens = result.kind() == schema::ResultKind::Tokens;
    if ((!logits && !tokens && result.kind() != schema::ResultKind::Vectors) ||
        result.element() != (tokens ? schema::ElementType::I32 : schema::ElementType::F32))
      check.refuse("result ", i, " of program '", name,
                   "' must be logits or vectors in f32, or tokens in i32, got kind ", uint32_t(result.kind()),
                   " and element ", uint32_t(result.element()));
    if (tokens && result.columns() != 1)
      check.refuse("tokens of program '", name, "' must have one column, got ", result.columns());
    if (logits && result.columns() != manifest.vocabulary())
      check.refuse("logits of program '", name, "' must have a column for each of ", manifest.vocabulary(),
                   " token ids, got ", result.columns());
    if (result.columns() == 0 || result.columns() > uint32_t(INT32_MAX))
      check.refuse("result ", i, " of program '", name, "' must have 1 to ", INT32_MAX, " columns, got ",
                   result.columns());
  }
}

void checkPrograms(const Checker &check, const schema::Manifest &manifest) {
  if (manifest.programs()->size() == 0)
    check.refuse("there must be a program, got none");
  for (const schema::Program *program : *manifest.programs()) {
    if (program->slots())
      for (uint32_t i = 0; i < program->slots()->size(); ++i)
        checkForm(check, *program->slots()->Get(i)->bytes(), program->name()->c_str(), i);
    checkWorkLists(check, manifest, *program);
    checkResults(check, manifest, *program);
  }
}

void checkGroups(const Checker &check, const schema::Manifest &manifest) {
  for (const schema::CacheGroup *group : *manifest.groups()) {
    const char *name = group->name()->c_str();
    if (group->page_size() == 0 || group->planes() == 0 || group->page_bytes() == 0)
      check.refuse("KV group '", name, "' must have planes, page size and page bytes above 0, got ", group->planes(),
                   ", ", group->page_size(), " and ", group->page_bytes());
    if (group->page_size() > (1u << 24) || group->planes() > (1u << 24) || group->page_bytes() > (uint64_t(1) << 40))
      check.refuse("KV group '", name, "' is too large: ", group->planes(), " planes, pages of ", group->page_size(),
                   " positions and ", group->page_bytes(), " bytes");
  }
}

void checkVocabularyIds(const Checker &check, const schema::Manifest &manifest) {
  const schema::Generation *generation = manifest.generation();
  if (!generation)
    return;
  for (const flatbuffers::Vector<int32_t> *ids : {generation->bos(), generation->eos()})
    if (ids)
      for (const int32_t id : *ids)
        if (id < 0 || uint32_t(id) >= manifest.vocabulary())
          check.refuse("begin and end tokens must be below the vocabulary of ", manifest.vocabulary(), ", got ", id);
}

} // namespace

Package::Package(const std::string &path) : file_(path) {
  Checker check(file_);
  manifest_ = check.open(manifestBytes_);
  if (manifest_->build_id()->size() != 32)
    check.refuse("build id must be 32 bytes, got ", manifest_->build_id()->size());
  if (!kerf_model_name_valid(manifest_->model_name()->c_str()))
    check.refuse("model name must be 1 to ", KERF_MODEL_NAME_MAX, " letters, digits, '.', '_' or '-', got '",
                 manifest_->model_name()->c_str(), "'");
  if (manifest_->vocabulary() == 0 || manifest_->vocabulary() > uint32_t(INT32_MAX) || manifest_->context() == 0 ||
      manifest_->context() > uint32_t(INT32_MAX))
    check.refuse("vocabulary and context must be 1 to 2147483647, got ", manifest_->vocabulary(), " and ",
                 manifest_->context());
  weightBytes_ = checkWeights(check, *manifest_, manifestBytes_, file_.size());
  checkGroups(check, *manifest_);
  checkPrograms(check, *manifest_);
  checkVocabularyIds(check, *manifest_);
}

const uint8_t *Package::weight(uint32_t index) const {
  return file_.data() + manifest_->weights()->Get(index)->offset();
}

void Package::verifyWeights() const {
  for (const schema::Weight *weight : *manifest_->weights()) {
    if (!weight->sha256() || weight->sha256()->size() != 32)
      fail(KERF_BAD_ARTIFACT, "'", path(), "': weight '", weight->name()->c_str(), "' has no SHA-256 to verify");
    const Sha256Digest digest = sha256(file_.data() + weight->offset(), weight->size());
    if (std::memcmp(digest.data(), weight->sha256()->data(), digest.size()) != 0)
      fail(KERF_BAD_ARTIFACT, "'", path(), "': SHA-256 of weight '", weight->name()->c_str(), "' must be ",
           hexDigits(weight->sha256()->data(), 8), "…, got ", hexDigits(digest.data(), 8),
           "…; the file is damaged, copy or compile it again");
  }
}

void Package::release(uint32_t index) const {
  const schema::Weight &weight = *manifest_->weights()->Get(index);
  if (weight.size())
    file_.wontNeed(weight.offset(), weight.size());
}

void Package::readAhead() const {
  if (file_.size() > manifestBytes_)
    file_.willNeed(manifestBytes_, file_.size() - manifestBytes_);
}

} // namespace kerf::rt
