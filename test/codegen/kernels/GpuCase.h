// A run of a GPU kernel as files, to be played again by what knows nothing of the compiler.
#ifndef KERF_TEST_CODEGEN_KERNELS_GPUCASE_H
#define KERF_TEST_CODEGEN_KERNELS_GPUCASE_H

#include "test/codegen/kernels/GpuRun.h"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kerf::test {

/// What an operand's elements are; `Bytes` (ids, slots, work items, kinds unknown) are compared as they are.
enum class GpuElement { Bytes, F32, F16, BF16 };

/// An operand before a run, and after it; nothing there where the run left it as it was.
struct GpuOperand {
  GpuElement element = GpuElement::Bytes;
  /// The operand whose memory this one is: itself, or one before it, and then there are no bytes here.
  size_t memory = 0;
  std::vector<char> before, after;
};

/// A run, and how exactly another device must give the same. A case file has lines of text, which `write` shows, then
/// the bytes of every operand before the run and of those that it changed after it.
struct GpuCase {
  /// The test that ran it.
  std::string test;
  /// Its PTX: the name of a file beside it, without ".ptx", of hexadecimal digits.
  std::string image;
  /// The kernel uses only instructions of which every device gives the same bits.
  bool exact = false;
  /// Otherwise a number may differ by this, times the greatest of its operand, and by a unit of its own last place.
  double slack = 0;
  int64_t rows = 0;
  uint64_t scratch = 0;
  std::vector<GpuLaunch> launches;
  std::vector<GpuOperand> operands;

  /// The launches that the rows select, by name, and the rows.
  std::string describe() const;
  /// Worst difference over all operands as a share of what is allowed, at most 1 where all is well; `problem` then says
  /// nothing, else where the first mistake is. `got` are the operands after another run; those that are another's are
  /// not looked at.
  double compare(const std::vector<std::vector<char>> &got, std::string &problem) const;

  /// Throws rt::Error where the file cannot be written.
  void write(const std::filesystem::path &path) const;
  /// Throws rt::Error where the file cannot be read or is no case.
  static GpuCase read(const std::filesystem::path &path);
};

/// Whether PTX has only instructions of which every device gives the same bits: no approximations, no tensor cores.
bool isExact(const std::string &ptx);

/// Keeps runs in a folder: of each image and each choice of its launches one, that of most rows whose case has at most
/// 48 KiB, or else the smallest.
class CaseRecorder {
public:
  /// That of the folder which KERF_RECORD_CASES names; null where it names none.
  static CaseRecorder *get();
  /// Keeps the run, if it is better than what is there. Ends the program where it cannot.
  void add(GpuCase run, const std::string &ptx);

private:
  explicit CaseRecorder(std::filesystem::path folder);
  std::filesystem::path folder;
  /// Size and rows of what is there, by the file.
  std::map<std::string, std::pair<size_t, int64_t>> known;
};

} // namespace kerf::test

#endif // KERF_TEST_CODEGEN_KERNELS_GPUCASE_H
