// MODEL.kerf: any manifest, with a preamble and a hash that fit it, so that only the checks of its content stand. It is
// refused with a message, or opens, and then all that the API says of a model can be asked for and text be generated.
// Input: the manifest's bytes.
#include "kerf/kerf.h"
#include "kerf/names.h"
#include "test/fuzz/Fuzz.h"
#include "test/runtime/fake/FakePackage.h"

#include <cstring>
#include <memory>
#include <random>

using namespace kerf;
using kerf::fuzz::must;
using schema::ManifestT;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

// Enough for the hand-written model's weights.
static constexpr size_t kMostBytes = 64 << 10;

// The length that the manifest says the file has, if that is reasonable: else nothing but that would be refused.
static size_t fileBytes(const uint8_t *manifest, size_t size) {
  flatbuffers::Verifier verifier(manifest, size);
  if (size < 8 || !schema::VerifyManifestBuffer(verifier))
    return 0;
  const uint64_t stated = schema::GetManifest(manifest)->file_size();
  return stated <= kMostBytes ? stated : 0;
}

static void use(kerf_model *model) {
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  must(kerf_model_get_info(model, &info, nullptr) == KERF_OK && kerf_model_name_valid(info.name),
       "the model has a name");
  must(std::strlen(info.chat_template) + std::strlen(info.compiler_flags) < kMostBytes, "its texts end");
  kerf_model_verify(model, nullptr);

  int32_t ids[64];
  size_t count = 0, bytes = 0;
  char text[256];
  if (kerf_tokenize(model, "ab \xc3\xa9 <end>\xff", 12, 0, ids, std::size(ids), &count, nullptr) == KERF_OK)
    must(kerf_detokenize(model, ids, std::min(count, std::size(ids)), 0, text, sizeof text, &bytes, nullptr) == KERF_OK,
         "ids decode");

  kerf_context_options options = {sizeof options, 1, 0};
  kerf_plan_options plan = {sizeof plan, 8, 2, 0, 0, 0, 0};
  kerf_plan_report report = {};
  report.struct_size = sizeof report;
  kerf_context *context = nullptr;
  must(kerf_context_create(model, &options, &context, nullptr) == KERF_OK, "a context can be made");
  plan.memory_limit = 64 << 20;
  if (kerf_context_plan(context, &plan, &report, nullptr) == KERF_OK) {
    must(report.total <= plan.memory_limit, "a plan stays within its limit");
    const int32_t prompt[] = {1, 2, 3};
    kerf_generate_options generate = {};
    generate.struct_size = sizeof generate;
    kerf_generate_options_init(model, &generate, nullptr);
    generate.prompt_ids = prompt;
    generate.prompt_id_count = 3;
    generate.max_tokens = 4;
    kerf_generate_result result = {};
    result.struct_size = sizeof result;
    kerf_generate(context, &generate, &result, nullptr);
    kerf_generate_result_free(&result);
  }
  kerf_context_close(context);
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const fuzz::MemoryFile file;
  file.write(test::withManifest({reinterpret_cast<const char *>(data), size}, fileBytes(data, size)));
  kerf_model *model = nullptr;
  kerf_error error = {};
  const kerf_code code = kerf_model_open(file.path().c_str(), &test::fakeLibrary(), nullptr, &model, &error);
  must((code == KERF_OK) == (model != nullptr), "a model is given out just if it opened");
  if (model)
    use(model);
  else
    must(code == KERF_BAD_ARTIFACT && std::strstr(error.message, file.path().c_str()), "a refusal names the file");
  kerf_model_close(model);
  return 0;
}

// Half of the mutations are of bytes; the others change one thing in the tables and write them anew.
namespace {

using Random = std::minstd_rand;

template <typename T> void mutateScalar(T &value, Random &) {
  LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(&value), sizeof value, sizeof value);
}
template <typename T> void mutateAll(std::vector<T> &values, Random &random) {
  if (values.empty() || random() % 8 == 0)
    values.resize(random() % 4);
  else
    mutateScalar(values[random() % values.size()], random);
}
void mutateText(std::string &text, Random &) {
  std::string grown = text;
  grown.resize(text.size() + 16);
  grown.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(grown.data()), text.size(), grown.size()));
  text = grown;
}
// Drops, doubles or changes an entry.
template <typename T, typename Change>
void mutateEntries(std::vector<std::unique_ptr<T>> &entries, Random &random, Change change) {
  const size_t kind = random() % 8;
  if (entries.empty() || kind == 0)
    entries.push_back(std::make_unique<T>());
  else if (kind == 1)
    entries.erase(entries.begin() + random() % entries.size());
  else if (std::unique_ptr<T> &entry = entries[random() % entries.size()])
    change(*entry);
}

void mutateTokenizer(schema::TokenizerT &t, Random &random) {
  switch (random() % 10) {
  case 0:
    return mutateAll(t.token_bytes, random);
  case 1:
    return mutateAll(t.token_offsets, random);
  case 2:
    if (t.model)
      mutateAll(t.model->byte_tokens, random);
    return;
  case 3:
    if (t.model)
      mutateAll(t.model->merges, random);
    return;
  case 4:
    if (t.model) {
      t.model->ignore_merges = random() % 2;
      mutateAll(t.model->whole_pieces, random);
    }
    return;
  case 5:
    return mutateAll(random() % 2 ? t.prefix_ids : t.suffix_ids, random);
  case 6:
    return mutateEntries(t.normalizers, random,
                         [&](schema::NormalizerStepT &step) { mutateScalar(step.form, random); });
  case 7:
    return mutateEntries(t.pre_tokenizers, random, [&](schema::PreTokenizerStepT &step) {
      step.kind = schema::PreTokenizerKind(random() % 3);
      step.behavior = schema::SplitBehavior(random() % 6);
      step.invert = random() % 2;
      mutateText(step.pattern, random);
    });
  default:
    return mutateEntries(t.added_tokens, random, [&](schema::AddedTokenT &token) {
      token.special = random() % 2;
      token.normalized = random() % 2;
      token.lstrip = random() % 2;
      random() % 2 ? mutateScalar(token.id, random) : mutateText(token.content, random);
    });
  }
}

void mutateManifest(ManifestT &m, Random &random) {
  switch (random() % 16) {
  case 0:
    return mutateScalar(random() % 2 ? m.vocabulary : m.context, random);
  case 1:
    return mutateText(random() % 2 ? m.model_name : m.chat_template, random);
  case 2:
    return mutateScalar(random() % 2 ? m.schema_major : m.schema_minor, random);
  case 3:
    return mutateAll(m.build_id, random);
  case 4:
    return mutateScalar(m.stack_bytes, random);
  case 5:
    return mutateScalar(m.file_size, random);
  case 6:
    return mutateEntries(m.groups, random, [&](schema::CacheGroupT &group) {
      random() % 2 ? mutateScalar(group.page_bytes, random) : mutateScalar(group.page_size, random);
    });
  case 7:
    mutateEntries(m.programs, random, [&](schema::ProgramT &program) {
      mutateEntries(program.slots, random, [&](schema::SlotT &slot) {
        if (slot.bytes)
          mutateAll(slot.bytes->coefficients, random);
      });
    });
    // A slot must have them to be written; entries made anew and copies of others do not.
    for (std::unique_ptr<schema::ProgramT> &program : m.programs)
      for (std::unique_ptr<schema::SlotT> &slot : program->slots)
        if (!slot->bytes)
          slot->bytes = std::make_unique<schema::LinearFormT>();
    return;
  case 8:
    if (!m.generation)
      m.generation = std::make_unique<schema::GenerationT>();
    mutateScalar(m.generation->temperature, random);
    mutateScalar(m.generation->top_p, random);
    mutateScalar(m.generation->top_k, random);
    m.generation->do_sample = true;
    return mutateAll(m.generation->eos, random);
  case 9:
  case 10:
    return mutateEntries(m.weights, random, [&](schema::WeightT &weight) {
      switch (random() % 4) {
      case 0:
        return mutateScalar(weight.offset, random);
      case 1:
        return mutateScalar(weight.size, random);
      case 2:
        return mutateAll(weight.shape, random);
      default:
        return mutateAll(weight.sha256, random);
      }
    });
  default:
    if (!m.tokenizer)
      m.tokenizer = std::make_unique<schema::TokenizerT>();
    return mutateTokenizer(*m.tokenizer, random);
  }
}

} // namespace

// Unpacking reads vectors of 64-bit numbers, which a verified buffer may have at any multiple of 4.
static bool isAligned(const schema::Manifest &manifest) {
  auto aligned = [](const flatbuffers::Vector<int64_t> *numbers) {
    return !numbers || reinterpret_cast<uintptr_t>(numbers->Data()) % sizeof(int64_t) == 0;
  };
  for (const schema::Weight *weight : *manifest.weights())
    if (!aligned(weight->shape()))
      return false;
  for (const schema::Program *program : *manifest.programs())
    for (uint32_t i = 0; program->slots() && i < program->slots()->size(); ++i)
      if (!aligned(program->slots()->Get(i)->bytes()->coefficients()))
        return false;
  return true;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize, unsigned seed) {
  Random random(seed);
  flatbuffers::Verifier verifier(data, size);
  if (random() % 2 || size < 8 || !schema::VerifyManifestBuffer(verifier) || !isAligned(*schema::GetManifest(data)))
    return LLVMFuzzerMutate(data, size, maxSize);
  std::unique_ptr<ManifestT> manifest(schema::UnPackManifest(data));
  mutateManifest(*manifest, random);
  flatbuffers::FlatBufferBuilder builder;
  schema::FinishManifestBuffer(builder, schema::Manifest::Pack(builder, manifest.get()));
  if (builder.GetSize() > maxSize)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::memcpy(data, builder.GetBufferPointer(), builder.GetSize());
  return builder.GetSize();
}
