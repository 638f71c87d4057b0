// Damaged packages: cut off at every length of the manifest, every byte of it changed, and tables that share their
// parts so that a small file looks large. All are refused with a message or open and can be used; none crashes.
#include "test/fuzz/Fuzz.h"
#include "test/runtime/fake/Fixture.h"

#include <cstring>
#include <ctime>
#include <functional>
#include <random>

using namespace kerf::test;
namespace schema = kerf::schema;

namespace {

class PackageDamageTest : public testing::Test {
protected:
  PackageDamageTest() {
    schema::Preamble preamble;
    std::memcpy(&preamble, good.data(), sizeof preamble);
    manifest = good.substr(sizeof preamble, preamble.manifestSize);
  }

  /// Opens a file of these bytes; what opens is used.
  kerf_code open(const std::string &bytes) {
    file.write(bytes);
    kerf_model *model = nullptr;
    error = {};
    const kerf_code code = kerf_model_open(file.path().c_str(), &fakeLibrary(), nullptr, &model, &error);
    EXPECT_EQ(code == KERF_OK, model != nullptr);
    if (model)
      use(model);
    else
      EXPECT_TRUE(code == KERF_BAD_ARTIFACT && says(file.path())) << error.message;
    kerf_model_close(model);
    return code;
  }
  bool says(const std::string &text) { return std::string(error.message).find(text) != std::string::npos; }
  /// The whole file with another manifest, hashed anew so that only the checks of its content stand.
  std::string with(const std::string &changed) const {
    std::string bytes = withManifest(changed, good.size());
    const size_t weights = schema::alignUp(64 + manifest.size(), schema::kSegmentAlignment);
    return bytes.replace(weights, good.size() - weights, good, weights);
  }

  kerf::fuzz::MemoryFile file;
  const std::string good = FakePackage().bytes();
  std::string manifest;
  kerf_error error = {};

private:
  static void use(kerf_model *model) {
    kerf_model_info info = {};
    info.struct_size = sizeof info;
    EXPECT_EQ(kerf_model_get_info(model, &info, nullptr), KERF_OK);
    kerf_model_verify(model, nullptr);
    int32_t ids[32];
    size_t count = 0, bytes = 0;
    char text[64];
    if (kerf_tokenize(model, "a \xc3\xa9<end>", 9, 0, ids, 32, &count, nullptr) == KERF_OK)
      EXPECT_EQ(kerf_detokenize(model, ids, std::min<size_t>(count, 32), 0, text, 64, &bytes, nullptr), KERF_OK);
    const kerf_plan_options plan = {sizeof plan, 8, 2, 0, 0, 0, 1 << 30};
    kerf_plan_report report = {};
    report.struct_size = sizeof report;
    kerf_model_certificate(model, 1, &plan, &report, nullptr);
  }
};

TEST_F(PackageDamageTest, CutOffAtEveryLength) {
  for (size_t size = 0; size < 64 + manifest.size(); ++size) {
    ASSERT_NE(open(good.substr(0, size)), KERF_OK) << size;
    ASSERT_TRUE(says("cut off, copy it again")) << size << ": " << error.message;
  }
}

TEST_F(PackageDamageTest, ManifestOfEveryLength) {
  for (size_t size = 0; size < manifest.size(); ++size)
    ASSERT_NE(open(with(manifest.substr(0, size))), KERF_OK) << size;
}

TEST_F(PackageDamageTest, EveryByteChanged) {
  for (size_t i = 0; i < 64 + manifest.size(); ++i)
    for (char mask : {'\x01', '\x80'}) {
      std::string changed = good;
      changed[i] ^= mask;
      ASSERT_NE(open(changed), KERF_OK) << i;
    }
}

TEST_F(PackageDamageTest, EveryByteChangedAndHashedAnew) {
  size_t opened = 0, refused = 0;
  for (size_t i = 0; i < manifest.size(); ++i)
    for (char mask : {'\x01', '\x80', '\xff'}) {
      std::string changed = manifest;
      changed[i] ^= mask;
      ++(open(with(changed)) == KERF_OK ? opened : refused);
    }
  // Padding and texts may hold anything.
  EXPECT_GT(opened, manifest.size() / 10);
  EXPECT_GT(refused, manifest.size());
}

TEST_F(PackageDamageTest, SeveralBytesChangedAndHashedAnew) {
  std::mt19937_64 random(1);
  int refusals = 0;
  for (int i = 0; i < 1000; ++i) {
    std::string changed = manifest;
    for (uint64_t flips = 1 + random() % 3; flips--;)
      changed[random() % changed.size()] = char(random() % 4 ? random() : 0xff);
    refusals += open(with(changed)) != KERF_OK;
  }
  EXPECT_GT(refusals, 150);
}

// A vector of 64-bit numbers that begins 4 bytes late: flatbuffers' verifier accepts it, and reading it is undefined.
TEST_F(PackageDamageTest, NumbersOutOfLine) {
  auto moved = [&](FakePackage &package, auto table, flatbuffers::voffset_t field) {
    std::string bytes = package.bytes();
    schema::Preamble preamble;
    std::memcpy(&preamble, bytes.data(), sizeof preamble);
    std::string changed = bytes.substr(sizeof preamble, preamble.manifestSize);
    auto *at = reinterpret_cast<flatbuffers::Table *>(const_cast<void *>(table(schema::GetManifest(changed.data()))))
                   ->GetAddressOf(field);
    flatbuffers::WriteScalar(at, flatbuffers::ReadScalar<flatbuffers::uoffset_t>(at) + 4);
    return withManifest(changed, bytes.size());
  };
  // What was the first number is now the count, and must look like one.
  FakePackage package;
  package.manifest.weights[0]->shape = {1, 1};
  package.manifest.programs[0]->slots[0]->bytes->coefficients = {1, 1};
  auto weight = [](const schema::Manifest *m) -> const void * { return m->weights()->Get(0); };
  auto form = [](const schema::Manifest *m) -> const void * { return m->programs()->Get(0)->slots()->Get(0)->bytes(); };
  EXPECT_EQ(open(moved(package, weight, schema::Weight::VT_SHAPE)), KERF_BAD_ARTIFACT);
  EXPECT_TRUE(says("shape of weight 'embedding' must lie at a multiple of 8")) << error.message;
  EXPECT_EQ(open(moved(package, form, schema::LinearForm::VT_COEFFICIENTS)), KERF_BAD_ARTIFACT);
  EXPECT_TRUE(says("coefficients of slot 0 of program 'step' must lie at a multiple of 8")) << error.message;
}

TEST_F(PackageDamageTest, NamesDoNotCommandTheTerminal) {
  FakePackage package;
  package.manifest.weights[1]->name = "\x1b[2J\xc2\x9b\xc3\xa9";
  package.manifest.weights[1]->shape = {-1};
  EXPECT_EQ(open(package.bytes()), KERF_BAD_ARTIFACT);
  EXPECT_TRUE(says("weight '?[2J??é' must have no negative extent, got -1")) << error.message;
}

// A manifest with the given lists, and what else is required.
std::string build(const std::function<void(flatbuffers::FlatBufferBuilder &, schema::ManifestT &,
                                           std::vector<flatbuffers::Offset<schema::Weight>> &,
                                           std::vector<flatbuffers::Offset<schema::Program>> &)> &fill) {
  flatbuffers::FlatBufferBuilder builder;
  schema::ManifestT from = FakePackage().manifest;
  std::vector<flatbuffers::Offset<schema::Weight>> weights;
  std::vector<flatbuffers::Offset<schema::Program>> programs;
  fill(builder, from, weights, programs);
  auto id = builder.CreateVector(from.build_id);
  auto text = builder.CreateString("fake-model");
  auto weightList = builder.CreateVector(weights);
  auto programList = builder.CreateVector(programs);
  auto groups = builder.CreateVector(std::vector<flatbuffers::Offset<schema::CacheGroup>>());
  auto variants = builder.CreateVectorOfStrings({"narrow"});
  schema::ManifestBuilder manifest(builder);
  manifest.add_schema_major(schema::kSchemaMajor);
  manifest.add_build_id(id);
  for (auto add : {&schema::ManifestBuilder::add_compiler_version, &schema::ManifestBuilder::add_target,
                   &schema::ManifestBuilder::add_model_name, &schema::ManifestBuilder::add_architecture})
    (manifest.*add)(text);
  manifest.add_weights(weightList);
  manifest.add_programs(programList);
  manifest.add_groups(groups);
  manifest.add_variants(variants);
  schema::FinishManifestBuffer(builder, manifest.Finish());
  return {reinterpret_cast<const char *>(builder.GetBufferPointer()), builder.GetSize()};
}

TEST_F(PackageDamageTest, ListsSharedByManyTables) {
  const std::clock_t begin = std::clock();
  // 100,000 weights with the same 100,000 sources: a file of 5 MB that would take 10^10 looks.
  const std::string sources = build([](auto &builder, auto &, auto &weights, auto &) {
    auto text = builder.CreateString("w");
    auto shape = builder.CreateVector(std::vector<int64_t>{1});
    auto all = builder.CreateVector(std::vector<flatbuffers::Offset<flatbuffers::String>>(100000, text));
    weights.assign(100000, schema::CreateWeight(builder, text, shape, schema::ElementType::F32, text, text, 0, 0, all));
  });
  EXPECT_EQ(open(withManifest(sources, sources.size() + 64)), KERF_BAD_ARTIFACT);
  EXPECT_TRUE(says("weights must have at most 1048576 sources together, got more")) << error.message;

  const std::string slots = build([](auto &builder, auto &, auto &, auto &programs) {
    auto text = builder.CreateString("p");
    auto slot = schema::CreateSlot(builder, text, schema::CreateLinearForm(builder));
    auto all = builder.CreateVector(std::vector<flatbuffers::Offset<schema::Slot>>(100000, slot));
    programs.assign(100000, schema::CreateProgram(builder, text, all));
  });
  EXPECT_EQ(open(withManifest(slots, slots.size() + 64)), KERF_BAD_ARTIFACT);
  EXPECT_TRUE(says("manifest is not a valid flatbuffer")) << error.message;
  EXPECT_LT(double(std::clock() - begin) / CLOCKS_PER_SEC, 30);
}

} // namespace
