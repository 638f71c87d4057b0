//===- RopeTest.cpp - rope frequencies against transformers ---------------===//
//
// rope.json is written by write_rope_goldens.py.
//
//===----------------------------------------------------------------------===//

#include "test/import/TestFiles.h"

#include <cmath>

using namespace kerf;
using namespace kerf::test;
using simdjson::dom::element;

TEST(Rope, FrequenciesEqualTransformers) {
  JsonDocument goldens = llvm::cantFail(JsonDocument::readFile(KERF_TEST_DATA "/import/rope.json"));
  size_t cases = 0;
  for (element golden : simdjson::dom::array(goldens.root()["cases"].get_array().value_unsafe())) {
    SCOPED_TRACE(std::string(golden["name"].get_string().value_unsafe()));
    Problems problems;
    std::vector<IgnoredKey> ignored;
    ObjectReader reader("config.json", golden, problems, ignored);
    RopeConfig rope = readRope(reader, reader.integer("max_position_embeddings", {}), 10000);
    RopeFrequencies got = ropeInverseFrequencies(rope, reader.integer("head_dim", {}));
    ASSERT_EQ(message(problems.take()), "");
    EXPECT_EQ(got.attentionFactor, float(reader.number("attention_factor", {})));
    simdjson::dom::array expected = golden["inv_freq"].get_array().value_unsafe();
    ASSERT_EQ(got.inverse.size(), expected.size());
    for (auto [i, value] : llvm::enumerate(expected)) {
      // torch's power is allowed one unit in the last place (SLEEF, u10), which the divisions after it may double.
      float wanted = float(element(value).get_double().value_unsafe());
      float unit = std::nextafter(wanted, 1e30f) - wanted;
      EXPECT_NEAR(got.inverse[i], wanted, 2 * unit) << "pair " << i;
    }
    ++cases;
  }
  EXPECT_GE(cases, 12u);
}

/// The rope of a configuration with `changes`.
static RopeConfig ropeOf(const Changes &changes) {
  llvm::Expected<TransformerConfig> config = readConfig(llamaConfig(changes));
  EXPECT_TRUE(!!config) << message(config.takeError());
  EXPECT_TRUE(!config || config->rope) << "the configuration has no rope";
  return config && config->rope ? *config->rope : RopeConfig();
}

static std::string refusal(const Changes &changes) { return message(readConfig(llamaConfig(changes))); }

TEST(Rope, ReadsBothForms) {
  for (const Changes &changes :
       {Changes{{"rope_theta", "5e5"},
                {"rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":1,\"high_freq_factor\":4,"
                                 "\"original_max_position_embeddings\":64}"}},
        Changes{{"rope_parameters", "{\"rope_type\":\"llama3\",\"rope_theta\":5e5,\"factor\":8,\"low_freq_factor\":1,"
                                    "\"high_freq_factor\":4,\"original_max_position_embeddings\":64}"}}}) {
    RopeConfig rope = ropeOf(changes);
    EXPECT_EQ(rope.type, RopeType::Llama3);
    EXPECT_EQ(rope.theta, 5e5);
    EXPECT_EQ(rope.factor, 8);
    EXPECT_EQ(rope.originalMaxPositions, 64);
  }
  EXPECT_EQ(ropeOf({}).theta, 10000);
  EXPECT_EQ(ropeOf({{"rope_scaling", "{\"type\":\"linear\",\"factor\":2}"}}).type, RopeType::Linear);
}

TEST(Rope, TakesTheContextOfTrainingFromTheModelWhereNotStated) {
  EXPECT_EQ(ropeOf({{"rope_scaling", "{\"type\":\"yarn\",\"factor\":2}"}}).originalMaxPositions, 128);
}

TEST(Rope, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(refusal({{"rope_scaling", "{\"type\":\"dynamic\",\"factor\":2}"}}),
            "config.json: rope_scaling: key 'type' must be one of default, linear, llama3 and yarn, got \"dynamic\"");
  EXPECT_EQ(refusal({{"rope_scaling", "{\"type\":\"linear\",\"rope_type\":\"yarn\",\"factor\":2}"}}),
            "config.json: rope_scaling: key 'type' must be \"yarn\" like 'rope_type', got \"linear\"");
  EXPECT_EQ(refusal({{"rope_scaling", "{\"type\":\"linear\",\"factor\":2,\"beta_fast\":3}"}}),
            "config.json: rope_scaling: key 'beta_fast' is not understood; no rope of this type has it");
  EXPECT_EQ(refusal({{"rope_scaling", "{\"type\":\"linear\"}"}}),
            "config.json: rope_scaling: key 'factor' must be a number, got none");
  EXPECT_EQ(refusal({{"rope_scaling", "{\"type\":\"linear\",\"factor\":0.5}"}}),
            "config.json: rope_scaling: key 'factor' must be a number not below 1 and not above 1e+06, got 0.5");
  EXPECT_EQ(refusal({{"rope_scaling", "2"}}), "config.json: rope_scaling: must be an object, got 2");
  EXPECT_EQ(refusal({{"rope_theta", "1"}}),
            "config.json: key 'rope_theta' must be a number above 1 and not above 1e+15, got 1");
  EXPECT_EQ(refusal({{"partial_rotary_factor", "0.5"}}),
            "config.json: key 'partial_rotary_factor' must be 1 (Kerf turns the whole head only), got 0.5");
}

TEST(Rope, RefusesContradictions) {
  EXPECT_EQ(refusal({{"rope_theta", "500"}, {"rope_parameters", "{\"rope_theta\":600}"}}),
            "config.json: key 'rope_theta' must be the 600 that 'config.json: rope_parameters' has, got 500");
  EXPECT_NE(refusal({{"rope_scaling", "{\"type\":\"linear\",\"factor\":2}"}, {"rope_parameters", "{}"}})
                .find("must have one of 'rope_parameters' and 'rope_scaling', got both"),
            std::string::npos);
  EXPECT_EQ(
      refusal({{"rope_scaling", "{\"type\":\"llama3\",\"factor\":2,\"low_freq_factor\":4,\"high_freq_factor\":4}"}}),
      "config.json: rope_scaling: key 'high_freq_factor' must be above low_freq_factor, 4, got 4");
  EXPECT_EQ(refusal({{"rope_scaling", "{\"type\":\"yarn\",\"factor\":2,\"beta_fast\":1,\"beta_slow\":2}"}}),
            "config.json: rope_scaling: key 'beta_fast' must not be below beta_slow, 2, got 1");
  EXPECT_EQ(refusal({{"rope_scaling", "{\"type\":\"yarn\",\"original_max_position_embeddings\":256}"}}),
            "config.json: rope_scaling: key 'factor' must be stated where max_position_embeddings, 128, is below "
            "original_max_position_embeddings, 256");
}
