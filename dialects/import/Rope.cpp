//===- Rope.cpp - rotary position embeddings and their variants -----------===//

#include "dialects/import/Rope.h"

#include "dialects/import/Json.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <cmath>
#include <numbers>

using namespace kerf;
using namespace llvm;

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

/// `theta^(2i / headDim)`, the wavelength of pair `i` over 2π.
static float wavelength(double theta, int64_t pair, int64_t headDim) {
  float exponent = float(2 * pair) / float(headDim);
  return float(std::pow(double(float(theta)), double(exponent)));
}

static float llama3(const RopeConfig &rope, float inverse) {
  // torch divides a number by a tensor as reciprocal times number, which rounds twice.
  float length = 1.0f / inverse * float(2 * std::numbers::pi);
  double original = double(rope.originalMaxPositions);
  if (length > float(original / rope.lowFreqFactor))
    return inverse / float(rope.factor);
  if (length < float(original / rope.highFreqFactor))
    return inverse;
  float smooth =
      (1.0f / length * float(original) - float(rope.lowFreqFactor)) / float(rope.highFreqFactor - rope.lowFreqFactor);
  return (1.0f - smooth) * inverse / float(rope.factor) + smooth * inverse;
}

/// The dimension that makes `rotations` turns within the training context (YaRN, section 3.2).
static double correctionDim(const RopeConfig &rope, double rotations, int64_t headDim) {
  return headDim * std::log(double(rope.originalMaxPositions) / (rotations * 2 * std::numbers::pi)) /
         (2 * std::log(rope.theta));
}

static void yarn(const RopeConfig &rope, int64_t headDim, std::vector<float> &inverse) {
  double low = correctionDim(rope, rope.betaFast, headDim);
  double high = correctionDim(rope, rope.betaSlow, headDim);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, double(headDim - 1));
  if (low == high)
    high += 0.001; // transformers' guard against a division by zero
  for (int64_t pair = 0; pair < headDim / 2; ++pair) {
    float length = wavelength(rope.theta, pair, headDim);
    float divided = 1.0f / (float(rope.factor) * length), kept = 1.0f / length;
    float ramp = std::clamp((float(pair) - float(low)) / float(high - low), 0.0f, 1.0f);
    float share = 1.0f - ramp;
    inverse[pair] = divided * (1.0f - share) + kept * share;
  }
}

/// YaRN's logarithm of the factor, weighted.
static double logScale(double factor, double weight) { return 0.1 * weight * std::log(factor) + 1.0; }

RopeFrequencies kerf::ropeInverseFrequencies(const RopeConfig &rope, int64_t headDim) {
  RopeFrequencies result;
  for (int64_t pair = 0; pair < headDim / 2; ++pair)
    result.inverse.push_back(1.0f / wavelength(rope.theta, pair, headDim));
  switch (rope.type) {
  case RopeType::Default:
    break;
  case RopeType::Linear:
    for (float &inverse : result.inverse)
      inverse /= float(rope.factor);
    break;
  case RopeType::Llama3:
    for (float &inverse : result.inverse)
      inverse = llama3(rope, inverse);
    break;
  case RopeType::Yarn:
    yarn(rope, headDim, result.inverse);
    if (rope.attentionFactor)
      result.attentionFactor = float(*rope.attentionFactor);
    else if (rope.mscale != 0 && rope.mscaleAllDim != 0)
      result.attentionFactor = float(logScale(rope.factor, rope.mscale) / logScale(rope.factor, rope.mscaleAllDim));
    else
      result.attentionFactor = float(logScale(rope.factor, 1));
    break;
  }
  return result;
}

//===----------------------------------------------------------------------===//
// Reading
//===----------------------------------------------------------------------===//

static constexpr NumberRange kPositive{0, 1e9, /*minExclusive=*/true};
static constexpr NumberRange kFactor{1, 1e6};
static constexpr NumberRange kTheta{1, 1e15, /*minExclusive=*/true};

/// Reads the type, which transformers before 4.45 called `type`.
static std::optional<RopeType> readType(ObjectReader &reader) {
  StringRef key = reader.has("rope_type") ? "rope_type" : "type";
  std::string type = reader.stringOr(key, "default");
  for (StringRef other : {"rope_type", "type"})
    if (reader.stringOr(other, type) != type)
      reader.wrong(other, "be \"" + Twine(type) + "\" like '" + key + "'");
  auto result = StringSwitch<std::optional<RopeType>>(type)
                    .Case("default", RopeType::Default)
                    .Case("linear", RopeType::Linear)
                    .Case("llama3", RopeType::Llama3)
                    .Case("yarn", RopeType::Yarn)
                    .Default(std::nullopt);
  if (!result)
    reader.wrong(key, "be one of default, linear, llama3 and yarn");
  return result;
}

/// Reads the members that `rope.type` has.
static void readParameters(ObjectReader &reader, RopeConfig &rope, int64_t maxPositions) {
  bool stretches = rope.type == RopeType::Llama3 || rope.type == RopeType::Yarn;
  if (stretches)
    rope.originalMaxPositions = reader.integerOr("original_max_position_embeddings", maxPositions, {1, 1 << 30});
  if (rope.type == RopeType::Linear || rope.type == RopeType::Llama3)
    rope.factor = reader.number("factor", kFactor);
  if (rope.type == RopeType::Llama3) {
    rope.lowFreqFactor = reader.number("low_freq_factor", kPositive);
    rope.highFreqFactor = reader.number("high_freq_factor", kPositive);
    if (rope.highFreqFactor <= rope.lowFreqFactor)
      reader.wrong("high_freq_factor", "be above low_freq_factor, " + formatNumber(rope.lowFreqFactor));
  }
  if (rope.type != RopeType::Yarn)
    return;
  double implied = double(maxPositions) / double(rope.originalMaxPositions);
  rope.factor = reader.numberOr("factor", implied, kFactor);
  if (rope.factor < 1)
    reader.problem(formatv("key 'factor' must be stated where max_position_embeddings, {0}, is below "
                           "original_max_position_embeddings, {1}",
                           maxPositions, rope.originalMaxPositions));
  // As in transformers, 0 stands for the default.
  auto orDefault = [](double value, double fallback) { return value == 0 ? fallback : value; };
  rope.betaFast = orDefault(reader.numberOr("beta_fast", 32, {0, 1e6}), 32);
  rope.betaSlow = orDefault(reader.numberOr("beta_slow", 1, {0, 1e6}), 1);
  if (rope.betaFast < rope.betaSlow)
    reader.wrong("beta_fast", "not be below beta_slow, " + formatNumber(rope.betaSlow));
  rope.truncate = reader.booleanOr("truncate", true);
  rope.attentionFactor = reader.optionalNumber("attention_factor", kPositive);
  rope.mscale = reader.numberOr("mscale", 0, {0, 1e3});
  rope.mscaleAllDim = reader.numberOr("mscale_all_dim", 0, {0, 1e3});
}

RopeConfig kerf::readRope(ObjectReader &config, int64_t maxPositions, double defaultTheta) {
  RopeConfig rope;
  bool newForm = config.has("rope_parameters");
  if (newForm && config.has("rope_scaling"))
    config.problem("must have one of 'rope_parameters' and 'rope_scaling', got both");
  std::optional<double> outer = config.optionalNumber("rope_theta", kTheta);
  ObjectReader scaling = config.object("rope_scaling");
  ObjectReader parameters = config.object("rope_parameters");
  ObjectReader &reader = newForm ? parameters : scaling;
  std::optional<double> inner = reader.optionalNumber("rope_theta", kTheta);
  if (outer && inner && *outer != *inner)
    config.wrong("rope_theta", "be the " + formatNumber(*inner) + " that '" + reader.where() + "' has");
  rope.theta = inner ? *inner : outer.value_or(defaultTheta);
  for (ObjectReader *place : {&config, &reader})
    place->allowOnly("partial_rotary_factor", 1.0, "the whole head turns", "Kerf turns the whole head only");
  std::optional<RopeType> type = readType(reader);
  if (!type) {
    // What the other members mean depends on the type, and it has been refused already.
    reader.forEach([](StringRef, simdjson::dom::element) {});
    return rope;
  }
  rope.type = *type;
  readParameters(reader, rope, maxPositions);
  reader.finish("no rope of this type has it");
  return rope;
}
