// The golden encoders and the vectors that transformers and PyTorch's pooling give (test/goldens/README.md).
#ifndef KERF_TEST_NUMERICS_ENCODERS_H
#define KERF_TEST_NUMERICS_ENCODERS_H

#include "dialects/import/Sentence.h"
#include "test/numerics/Goldens.h"

#include <algorithm>

namespace kerf::test {

/// The directory of the golden encoders.
inline const std::string encodersDirectory = KERF_TEST_DATA "/goldens/encoders";

/// An encoder and a pooling.
struct Encoder {
  const char *name;
  /// Which of the golden's vectors.
  const char *pooling;
  SentencePooling mode;
  /// The checkpoint's files say so; where they do not, the import must be told.
  bool stated;
};
inline constexpr Encoder encoders[] = {
    {"bert-mean", "mean", SentencePooling::Mean, true},  {"bert-cls", "first", SentencePooling::First, true},
    {"bert-bare", "mean", SentencePooling::Mean, false}, {"bert-bare", "first", SentencePooling::First, false},
    {"bert-bare", "last", SentencePooling::Last, false}, {"bert-bare", "max", SentencePooling::Max, false}};

/// The prompts of a golden and the vectors of one pooling.
struct Texts {
  std::vector<std::vector<int32_t>> ids;
  std::vector<std::vector<float>> vectors;

  explicit Texts(const Encoder &encoder) {
    SafeTensorsFile file =
        llvm::cantFail(SafeTensorsFile::open(encodersDirectory + "/" + encoder.name + "/golden.safetensors"));
    while (const TensorInfo *tensor = file.find("ids_" + std::to_string(ids.size()))) {
      const std::vector<int64_t> wide = readTensor<int64_t>(file, *tensor);
      const std::string name = std::string(encoder.pooling) + "_" + std::to_string(ids.size());
      ids.emplace_back(wide.begin(), wide.end());
      vectors.push_back(readTensor<float>(file, *file.find(name)));
    }
  }
};

/// A test's name for it.
inline std::string testName(const Encoder &encoder) {
  std::string name = std::string(encoder.name) + "_" + encoder.pooling;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

} // namespace kerf::test
#endif // KERF_TEST_NUMERICS_ENCODERS_H
