// Runs the dispatches of a loaded model library one by one, for checks: on one thread, with every slot in sight.
#ifndef KERF_CODEGEN_X86_STEPRUNNER_H
#define KERF_CODEGEN_X86_STEPRUNNER_H

#include "kerf/abi.h"

#include "llvm/ADT/ArrayRef.h"

#include <array>
#include <cstddef>
#include <functional>
#include <vector>

namespace kerf::x86 {

/// One step of a program that takes whole sequences from their beginning and wants all logits.
class StepRunner {
public:
  /// `weights` are the packed weights, in the library's order. All must outlive the runner.
  StepRunner(const kerf_library &library, const kerf_program &program, const kerf_variant &variant,
             llvm::ArrayRef<const void *> weights, llvm::ArrayRef<std::vector<int32_t>> sequences);

  /// Runs all tasks of one dispatch. Those before it must have been run.
  void run(uint32_t dispatch);
  /// Memory of a slot and of a result. What was not written yet is NaN in every element type.
  std::byte *slot(uint32_t index) { return slots[index].data(); }
  std::byte *result(uint32_t index) { return results[index].data(); }

private:
  /// Memory that starts at a multiple of KERF_ALIGNMENT.
  class Buffer {
  public:
    explicit Buffer(uint64_t bytes) : memory(bytes + KERF_ALIGNMENT, std::byte(0xff)) {}
    std::byte *data() {
      const uintptr_t start = reinterpret_cast<uintptr_t>(memory.data());
      return memory.data() + (KERF_ALIGNMENT - start % KERF_ALIGNMENT) % KERF_ALIGNMENT;
    }

  private:
    std::vector<std::byte> memory;
  };
  struct Group {
    std::vector<int32_t> slots, pageBegin, pages;
    std::vector<Buffer> planes;
  };
  void fillGroup(const kerf_cache_group &group, llvm::ArrayRef<std::vector<int32_t>> sequences);
  void *resolve(const kerf_operand &operand);
  uint64_t evaluate(const kerf_linear_form &form) const;

  const kerf_program &program;
  const kerf_variant &variant;
  llvm::ArrayRef<const void *> weights;
  std::array<int64_t, KERF_EXTENT_COUNT> extents{};
  std::vector<int32_t> ids, positions, logitRows, firstRows, rowCounts;
  std::vector<std::vector<kerf_work_item>> workItems;
  std::vector<Group> groups;
  std::vector<Buffer> slots, results;
};

} // namespace kerf::x86
#endif // KERF_CODEGEN_X86_STEPRUNNER_H
