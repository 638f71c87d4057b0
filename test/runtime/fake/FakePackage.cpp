#include "test/runtime/fake/FakePackage.h"

#include "runtime/support/Sha256.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace kerf::test {
namespace {

std::unique_ptr<schema::LinearFormT> form(const kerf_linear_form &from) {
  auto made = std::make_unique<schema::LinearFormT>();
  made->coefficients.assign(from.coefficient, from.coefficient + KERF_EXTENT_KNOWN);
  return made;
}

std::unique_ptr<schema::TokenizerT> byteTokenizer() {
  auto tokenizer = std::make_unique<schema::TokenizerT>();
  const std::string end = "<end>", special = "<mark>";
  for (int i = 0; i < 256; ++i)
    tokenizer->token_bytes.push_back(uint8_t(i));
  tokenizer->token_bytes.insert(tokenizer->token_bytes.end(), end.begin(), end.end());
  tokenizer->token_bytes.insert(tokenizer->token_bytes.end(), special.begin(), special.end());
  for (uint32_t i = 0; i <= 256; ++i)
    tokenizer->token_offsets.push_back(i);
  tokenizer->token_offsets.push_back(uint32_t(256 + end.size()));
  tokenizer->token_offsets.push_back(uint32_t(256 + end.size() + special.size()));
  tokenizer->model = std::make_unique<schema::BpeModelT>();
  for (uint32_t i = 0; i < 256; ++i)
    tokenizer->model->byte_tokens.push_back(i);
  tokenizer->model->merges = {schema::MergeSlot(0xffffffffu, 0, 0, 0)};
  for (const auto &[id, content] : {std::pair(kEndToken, end), std::pair(kSpecialToken, special)}) {
    auto added = std::make_unique<schema::AddedTokenT>();
    added->id = uint32_t(id);
    added->content = content;
    added->special = true;
    tokenizer->added_tokens.push_back(std::move(added));
  }
  return tokenizer;
}

template <typename T> std::string asBytes(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

} // namespace

FakePackage::FakePackage(uint64_t seed) : weights(makeWeights(seed)) {
  const kerf_library &library = fakeLibrary();
  manifest.schema_major = schema::kSchemaMajor;
  manifest.schema_minor = schema::kSchemaMinor;
  manifest.build_id.assign(library.build_id, library.build_id + 32);
  manifest.compiler_version = "0.1.0-test";
  manifest.compiler_flags = "--fake";
  manifest.target = "x86-64";
  manifest.model_name = library.model_name;
  manifest.architecture = "FakeForCausalLM";
  manifest.vocabulary = kVocabulary;
  manifest.hidden = kHidden;
  manifest.layers = 1;
  manifest.context = kContext;
  const char *names[] = {"embedding", "output", "next"};
  for (uint32_t i = 0; i < library.weight_count; ++i) {
    auto weight = std::make_unique<schema::WeightT>();
    weight->name = names[i];
    weight->shape = {kVocabulary, i == 2 ? 1 : int64_t(kHidden)};
    weight->element = i == 2 ? schema::ElementType::I32 : schema::ElementType::F32;
    weight->format = i == 2 ? "i32" : "f32";
    weight->layout = "rows";
    weight->size = library.weight_bytes[i];
    weight->sources = {std::string("checkpoint.") + names[i]};
    manifest.weights.push_back(std::move(weight));
  }
  for (uint32_t i = 0; i < library.group_count; ++i) {
    auto group = std::make_unique<schema::CacheGroupT>();
    group->name = "group" + std::to_string(i);
    group->planes = library.groups[i].planes;
    group->heads = 1;
    group->head_dim = kHidden;
    group->page_size = library.groups[i].page_size;
    group->page_bytes = library.groups[i].page_bytes;
    manifest.groups.push_back(std::move(group));
  }
  for (uint32_t p = 0; p < library.program_count; ++p) {
    const kerf_program &from = library.programs[p];
    auto program = std::make_unique<schema::ProgramT>();
    program->name = from.name;
    program->dispatches = from.dispatch_count;
    program->dispatches_per_layer = 2;
    for (uint32_t i = 0; i < from.slot_count; ++i) {
      auto slot = std::make_unique<schema::SlotT>();
      slot->name = "slot" + std::to_string(i);
      slot->bytes = form(from.slots[i].bytes);
      program->slots.push_back(std::move(slot));
    }
    for (uint32_t i = 0; i < from.work_list_count; ++i) {
      auto list = std::make_unique<schema::WorkListT>();
      list->group = from.work_lists[i].group;
      list->behind = from.work_lists[i].behind;
      list->ahead = from.work_lists[i].ahead;
      program->work_lists.push_back(std::move(list));
    }
    for (uint32_t i = 0; i < from.result_count; ++i) {
      auto result = std::make_unique<schema::ResultT>();
      result->kind = schema::ResultKind(from.results[i].kind);
      result->columns = from.results[i].columns;
      program->results.push_back(std::move(result));
    }
    manifest.programs.push_back(std::move(program));
  }
  uint32_t tile = 0;
  for (uint32_t i = 0; i < library.variant_count; ++i) {
    manifest.variants.push_back(library.variants[i].name);
    tile = std::max(tile, library.variants[i].attention_tile);
  }
  manifest.attention_tile = tile;
  manifest.stack_bytes = 512;
  manifest.generation = std::make_unique<schema::GenerationT>();
  manifest.generation->eos = {kEndToken};
  manifest.tokenizer = byteTokenizer();
}

std::string FakePackage::bytes() const {
  const std::string data[] = {asBytes(weights.embedding), asBytes(weights.output), asBytes(weights.next)};
  schema::ManifestT full = manifest;
  for (size_t i = 0; i < full.weights.size() && i < 3; ++i)
    if (full.weights[i]->sha256.empty()) {
      const rt::Sha256Digest digest = rt::sha256(data[i].data(), data[i].size());
      full.weights[i]->sha256.assign(digest.begin(), digest.end());
    }
  // Offsets do not change the manifest's length as long as none is 0, which flatbuffers leaves out.
  std::string manifestBytes;
  uint64_t fileSize = 1;
  std::vector<uint64_t> offsets(full.weights.size(), 64);
  for (int pass = 0; pass < 2; ++pass) {
    for (size_t i = 0; i < full.weights.size(); ++i)
      full.weights[i]->offset = manifest.weights[i]->offset ? manifest.weights[i]->offset : offsets[i];
    full.file_size = manifest.file_size ? manifest.file_size : fileSize;
    flatbuffers::FlatBufferBuilder builder;
    schema::FinishManifestBuffer(builder, schema::Manifest::Pack(builder, &full));
    manifestBytes.assign(reinterpret_cast<const char *>(builder.GetBufferPointer()), builder.GetSize());
    uint64_t at = schema::alignUp(schema::kManifestOffset + manifestBytes.size(), schema::kSegmentAlignment);
    for (size_t i = 0; i < full.weights.size(); ++i) {
      offsets[i] = at;
      at = schema::alignUp(at + data[i].size(), KERF_ALIGNMENT);
    }
    fileSize = at;
  }
  std::string file = withManifest(manifestBytes, fileSize);
  for (size_t i = 0; i < full.weights.size() && i < 3; ++i)
    file.replace(offsets[i], data[i].size(), data[i]);
  return file;
}

void FakePackage::write(const std::string &path) const { writeFile(path, bytes()); }

std::string withManifest(const std::string &manifest, size_t size) {
  const rt::Sha256Digest digest = rt::sha256(manifest.data(), manifest.size());
  uint8_t hash[32];
  std::copy(digest.begin(), digest.end(), hash);
  const schema::Preamble preamble = schema::makePreamble(manifest.size(), hash);
  std::string file(reinterpret_cast<const char *>(&preamble), sizeof preamble);
  file += manifest;
  file.resize(std::max(size, file.size()));
  return file;
}

void writeFile(const std::string &path, const std::string &bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), std::streamsize(bytes.size()));
  file.close();
  if (!file) {
    std::fprintf(stderr, "cannot write %s\n", path.c_str());
    std::abort();
  }
}

std::string readFile(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace kerf::test
