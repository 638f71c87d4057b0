#include "codegen/x86/StepRunner.h"

#include <algorithm>

using namespace kerf::x86;

StepRunner::StepRunner(const kerf_library &library, const kerf_program &program, const kerf_variant &variant,
                       llvm::ArrayRef<const void *> weights, llvm::ArrayRef<std::vector<int32_t>> sequences)
    : program(program), variant(variant), weights(weights) {
  const int64_t tile = variant.attention_tile;
  workItems.resize(program.work_list_count);
  for (auto [number, ids] : llvm::enumerate(sequences)) {
    const int64_t row = this->ids.size(), length = ids.size();
    if (length) {
      firstRows.push_back(int32_t(row));
      rowCounts.push_back(int32_t(length));
    }
    for (int64_t position = 0; position < length; ++position) {
      this->ids.push_back(ids[position]);
      positions.push_back(int32_t(position));
      logitRows.push_back(int32_t(row + position));
    }
    for (auto [items, list] : llvm::zip(workItems, llvm::ArrayRef(program.work_lists, program.work_list_count)))
      for (int64_t position = 0; position < length; position += tile) {
        const int64_t rows = std::min(tile, length - position);
        const int64_t first = list.behind == KERF_UNBOUNDED ? 0 : std::max<int64_t>(0, position + 1 - list.behind);
        items.push_back({int32_t(row + position), int32_t(rows), int32_t(number), int32_t(position), int32_t(first),
                         int32_t(std::min(length, position + rows + int64_t(list.ahead))), list.behind, list.ahead});
      }
  }
  extents[KERF_EXTENT_ONE] = 1;
  extents[KERF_EXTENT_TOKENS] = ids.size();
  extents[KERF_EXTENT_SEQUENCES] = firstRows.size();
  extents[KERF_EXTENT_LOGIT_ROWS] = logitRows.size();
  extents[KERF_EXTENT_WORK_ITEMS] = workItems.empty() ? 0 : workItems.front().size();
  for (uint32_t group = 0; group < library.group_count; ++group)
    fillGroup(library.groups[group], sequences);
  for (uint32_t slot = 0; slot < program.slot_count; ++slot)
    slots.emplace_back(evaluate(program.slots[slot].bytes));
  for (uint32_t result = 0; result < program.result_count; ++result)
    results.emplace_back(uint64_t(extents[program.results[result].extent]) * program.results[result].columns *
                         sizeof(float));
}

// Pages are given out from the last to the first, so that nothing relies on their order.
void StepRunner::fillGroup(const kerf_cache_group &group, llvm::ArrayRef<std::vector<int32_t>> sequences) {
  Group &arrays = groups.emplace_back();
  const size_t pageSize = group.page_size;
  size_t count = 0;
  for (const std::vector<int32_t> &ids : sequences)
    count += (ids.size() + pageSize - 1) / pageSize;
  arrays.pageBegin.push_back(0);
  for (const std::vector<int32_t> &ids : sequences) {
    for (size_t position = 0; position < ids.size(); ++position) {
      if (position % pageSize == 0)
        arrays.pages.push_back(int32_t(--count));
      arrays.slots.push_back(arrays.pages.back() * int32_t(pageSize) + int32_t(position % pageSize));
    }
    arrays.pageBegin.push_back(int32_t(arrays.pages.size()));
  }
  for (uint32_t plane = 0; plane < group.planes; ++plane)
    arrays.planes.emplace_back(arrays.pages.size() * group.page_bytes);
}

uint64_t StepRunner::evaluate(const kerf_linear_form &form) const {
  int64_t sum = 0;
  for (unsigned e = 0; e < KERF_EXTENT_COUNT; ++e)
    sum += form.coefficient[e] * extents[e];
  return uint64_t(sum);
}

void *StepRunner::resolve(const kerf_operand &operand) {
  switch (operand.kind) {
  case KERF_OPERAND_SLOT:
    return slot(operand.index);
  case KERF_OPERAND_WEIGHT:
    return const_cast<void *>(weights[operand.index]);
  case KERF_OPERAND_CACHE:
    return groups[operand.index].planes[operand.plane].data();
  case KERF_OPERAND_RESULT:
    return result(operand.index);
  default:
    break;
  }
  switch (operand.index) {
  case KERF_STEP_TOKEN_IDS:
    return ids.data();
  case KERF_STEP_POSITIONS:
    return positions.data();
  case KERF_STEP_LOGIT_ROWS:
    return logitRows.data();
  case KERF_STEP_FIRST_ROWS:
    return firstRows.data();
  case KERF_STEP_ROW_COUNTS:
    return rowCounts.data();
  case KERF_STEP_WORK_ITEMS:
    return workItems[operand.plane].data();
  case KERF_STEP_SLOTS:
    return groups[operand.plane].slots.data();
  case KERF_STEP_PAGE_BEGIN:
    return groups[operand.plane].pageBegin.data();
  default:
    return groups[operand.plane].pages.data();
  }
}

void StepRunner::run(uint32_t number) {
  const kerf_dispatch &dispatch = program.dispatches[number];
  const kerf_kernel &kernel = variant.kernels[dispatch.kernel];
  std::vector<void *> operands;
  for (uint32_t i = 0; i < dispatch.operand_count; ++i)
    operands.push_back(resolve(dispatch.operands[i]));
  const int64_t rows = extents[dispatch.extent], tasks = (rows + kernel.tile - 1) / kernel.tile * kernel.columns;
  for (int64_t task = 0; task < tasks; ++task)
    kernel.run(operands.data(), rows, task);
}
