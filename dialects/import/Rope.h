//===- Rope.h - rotary position embeddings and their variants ---*- C++ -*-===//
#ifndef KERF_DIALECTS_IMPORT_ROPE_H
#define KERF_DIALECTS_IMPORT_ROPE_H

#include <cstdint>
#include <optional>
#include <vector>

namespace kerf {

class ObjectReader;

/// How the frequencies of rope are stretched to contexts longer than those of training.
enum class RopeType {
  /// Not at all: Su et al., "RoFormer", 2021.
  Default,
  /// All divided by one factor: Chen et al., "Extending Context Window … via Positional Interpolation", 2023.
  Linear,
  /// Low ones divided, high ones kept, a ramp over wavelengths between: Llama 3.1.
  Llama3,
  /// The same with a ramp over dimensions, and attention made sharper: Peng et al., "YaRN", 2023.
  Yarn
};

/// Rope as config.json states it. Fields that its type does not use keep their defaults.
struct RopeConfig {
  /// The variant.
  RopeType type = RopeType::Default;
  /// Base of the geometric series of frequencies; above 1.
  double theta = 10000;
  /// How much longer the context becomes; not below 1.
  double factor = 1;
  /// Context of training (Llama3, Yarn).
  int64_t originalMaxPositions = 0;
  /// Wavelengths above `originalMaxPositions / lowFreqFactor` are divided (Llama3).
  double lowFreqFactor = 1;
  /// Wavelengths below `originalMaxPositions / highFreqFactor` are kept (Llama3).
  double highFreqFactor = 4;
  /// Rotations within the training context from which a dimension is kept (Yarn).
  double betaFast = 32;
  /// Rotations within the training context up to which a dimension is divided (Yarn).
  double betaSlow = 1;
  /// The ramp's ends are rounded outwards to whole dimensions (Yarn).
  bool truncate = true;
  /// Scale of cosine and sine; computed from the other fields where absent (Yarn).
  std::optional<double> attentionFactor;
  /// Weights of log(factor) in numerator and denominator of the computed scale; 0 if not stated (Yarn).
  double mscale = 0, mscaleAllDim = 0;
};

/// The numbers that a rope kernel needs.
struct RopeFrequencies {
  /// Radians per position of each pair of elements `(i, i + headDim / 2)`: `headDim / 2` values.
  std::vector<float> inverse;
  /// Multiplies cosine and sine.
  float attentionFactor = 1;
};

/// The frequencies for heads of `headDim` elements. Follows transformers 5 operation by operation, rounding to f32
/// where torch does, so that long positions get the same angles as there: a last bit in a frequency is a hundredth of
/// a radian at position 100,000. Powers are rounded correctly, where torch's may be one unit off.
RopeFrequencies ropeInverseFrequencies(const RopeConfig &rope, int64_t headDim);

/// Reads rope out of config.json, in the form of transformers 4 (`rope_theta`, `rope_scaling`) or 5
/// (`rope_parameters`). `maxPositions` is the model's context, `defaultTheta` holds where none is stated.
RopeConfig readRope(ObjectReader &config, int64_t maxPositions, double defaultTheta);

} // namespace kerf

#endif // KERF_DIALECTS_IMPORT_ROPE_H
