// What transformers says of checkpoints (test/goldens/README.md).
#ifndef KERF_TEST_NUMERICS_GOLDENS_H
#define KERF_TEST_NUMERICS_GOLDENS_H

#include "dialects/import/SafeTensors.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <string>
#include <vector>

namespace kerf::test {

/// The directory of the golden checkpoints.
inline const std::string modelsDirectory = KERF_TEST_DATA "/goldens/models";

/// Their names.
inline std::set<std::string> goldenModels() {
  std::set<std::string> names;
  std::error_code code;
  for (llvm::sys::fs::directory_iterator it(modelsDirectory, code), end; it != end && !code; it.increment(code))
    names.insert(llvm::sys::path::filename(it->path()).str());
  return names;
}

/// The numbers of a tensor whose type is T.
template <typename T> std::vector<T> readTensor(const SafeTensorsFile &file, const TensorInfo &tensor) {
  std::vector<T> values(tensor.bytes / sizeof(T));
  llvm::cantFail(
      file.read(tensor, 0, llvm::MutableArrayRef(reinterpret_cast<char *>(values.data()), values.size() * sizeof(T))));
  return values;
}

/// A prompt and the logits that transformers gives for each of its tokens.
struct Golden {
  /// The prompt.
  std::vector<int32_t> ids;
  /// tokens × vocabulary.
  std::vector<float> logits;
};

/// The goldens of the checkpoint in `directory`.
inline std::vector<Golden> readGoldens(const std::string &directory) {
  SafeTensorsFile file = llvm::cantFail(SafeTensorsFile::open(directory + "/golden.safetensors"));
  std::vector<Golden> goldens;
  while (const TensorInfo *ids = file.find("ids_" + std::to_string(goldens.size()))) {
    const TensorInfo *logits = file.find("logits_" + std::to_string(goldens.size()));
    EXPECT_EQ(ids->dtypeName, "I64");
    std::vector<int64_t> wide = readTensor<int64_t>(file, *ids);
    goldens.push_back({std::vector<int32_t>(wide.begin(), wide.end()), readTensor<float>(file, *logits)});
  }
  return goldens;
}

/// The largest difference, relative to the largest number of `want`; infinite where `got` is not finite.
inline double relativeError(const std::vector<float> &got, const std::vector<float> &want) {
  double difference = 0, largest = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (!std::isfinite(got[i]))
      return INFINITY;
    difference = std::max(difference, std::abs(double(got[i]) - want[i]));
    largest = std::max(largest, std::abs(double(want[i])));
  }
  return difference / largest;
}

} // namespace kerf::test
#endif // KERF_TEST_NUMERICS_GOLDENS_H
