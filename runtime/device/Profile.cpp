#include "runtime/device/Profile.h"

#include "runtime/loader/Tables.h"

namespace kerf::rt {

double evaluateCost(const kerf_linear_form &form, const Extents &extents) {
  double sum = 0;
  for (unsigned e = 0; e < KERF_EXTENT_KNOWN; ++e)
    sum += double(form.coefficient[e]) * double(extents[e]);
  return sum;
}

uint32_t workListOf(const kerf_dispatch &dispatch) {
  for (const kerf_operand &operand : operandsOf(dispatch))
    if (operand.kind == KERF_OPERAND_STEP && operand.index == KERF_STEP_WORK_ITEMS)
      return operand.plane;
  return 0;
}

Profile::Profile(const kerf_program &program, const std::function<const char *(uint32_t)> &kernelName)
    : program_(program) {
  for (const kerf_dispatch &dispatch : dispatchesOf(program)) {
    kerf_profile_row row = {};
    row.struct_size = sizeof row;
    row.dispatch = uint32_t(rows_.size());
    row.kernel = kernelName(dispatch.kernel);
    row.origin = dispatch.origin ? dispatch.origin : "";
    rows_.push_back(row);
  }
}

void Profile::enable(bool enable) {
  enabled_ = enable;
  for (kerf_profile_row &row : rows_)
    row.calls = row.nanoseconds = row.tasks = 0, row.bytes = row.operations = 0;
}

void Profile::add(uint32_t index, uint64_t nanoseconds, uint64_t tasks, const Extents &extents) {
  const kerf_dispatch &dispatch = dispatchesOf(program_)[index];
  kerf_profile_row &row = rows_[index];
  ++row.calls;
  row.nanoseconds += nanoseconds;
  row.tasks += tasks;
  row.bytes += evaluateCost(dispatch.bytes, extents);
  row.operations += evaluateCost(dispatch.operations, extents);
}

} // namespace kerf::rt
