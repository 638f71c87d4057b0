#include "runtime/context/Context.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <pthread.h>

namespace kerf::rt {
namespace {

// Hands out pieces of memory, each rounded up to the alignment.
class Carver {
public:
  explicit Carver(uint8_t *at) : at_(at) {}
  template <typename T> T *take(uint64_t count) {
    T *piece = reinterpret_cast<T *>(at_);
    at_ += (count * sizeof(T) + KERF_ALIGNMENT - 1) / KERF_ALIGNMENT * KERF_ALIGNMENT;
    return piece;
  }

private:
  uint8_t *at_;
};

// Pool threads have the process's default stack size; the kernels say what they need of it.
void checkStack(uint64_t kernelStack) {
  pthread_attr_t attributes;
  size_t size = 0;
  if (pthread_getattr_default_np(&attributes) != 0)
    return;
  pthread_attr_getstacksize(&attributes, &size);
  pthread_attr_destroy(&attributes);
  if (size && kernelStack + kThreadStack > size)
    fail(KERF_OUT_OF_MEMORY, "the default thread stack must be at least ", formatBytes(kernelStack + kThreadStack),
         " for this model, got ", formatBytes(size), "; raise it with 'ulimit -s'");
}

uint64_t resultsBytes(const CertificateTerms &terms, const Ceilings &ceilings) {
  uint64_t most = 0;
  for (const ProgramTerms &program : terms.programs)
    most = std::max(most, layOut(program.results, largestExtents(ceilings), "the results").back());
  return most;
}

} // namespace

Plan::Plan(const Model &model, Engine &engine, Context &context, const Ceilings &ceilings,
           const kerf_plan_report &report, bool poison)
    : ceilings(ceilings), report(report), pages(engine, model.terms().groups, ceilings, poison),
      stepArrays(engine.allocate(stepArrayBytes(model.terms(), ceilings), true, "the step arrays")),
      sampler(uint64_t(model.terms().vocabulary) * 8, "the sampler"),
      results(engine.allocate(resultsBytes(model.terms(), ceilings), true, "the results")) {
  for (uint32_t i = 0; i < ceilings.sequences; ++i)
    sequences.push_back({&context, i, 0, 0, false});
  growths.resize(ceilings.sequences);
  members.resize(ceilings.sequences);
  layOutStep(model);

  const auto largest = largestExtents(ceilings);
  uint64_t arenaBytes = 0;
  for (const ProgramTerms &terms : model.terms().programs) {
    const kerf_program &tables = programsOf(model.library())[uint32_t(programs.size())];
    programs.push_back(
        {&tables, layOut(terms.slots, largest, "the arena"), layOut(terms.results, largest, "the results"), nullptr});
    arenaBytes = std::max(arenaBytes, programs.back().slots.back());
  }
  arena = engine.allocate(arenaBytes, false, "the arena");
  for (Program &program : programs)
    program.executable =
        engine.prepare({*program.tables, [&](const kerf_operand &operand) { return resolve(model, operand, program); },
                        deviceAddress(rowsByExtent), largest});
}

void Plan::layOutStep(const Model &model) {
  Carver carver(stepArrays->host());
  rowsByExtent = carver.take<int32_t>(KERF_EXTENT_COUNT);
  ids = carver.take<int32_t>(ceilings.tokens);
  positions = carver.take<int32_t>(ceilings.tokens);
  logitRows = carver.take<int32_t>(ceilings.logitRows);
  samplings = carver.take<kerf_sampling>(ceilings.logitRows);
  firstRows = carver.take<int32_t>(ceilings.sequences);
  rowCounts = carver.take<int32_t>(ceilings.sequences);
  tokens = carver.take<int32_t>(ceilings.logitRows);
  for (uint32_t list = 0; list < workLists(model.terms()); ++list)
    workItems.push_back(carver.take<kerf_work_item>(ceilings.workItems));
  extents.resize(std::max<size_t>(1, workItems.size()));
  for (const kerf_cache_group &group : model.terms().groups) {
    GroupArrays arrays;
    arrays.slots = carver.take<int32_t>(ceilings.tokens);
    arrays.pageBegin = carver.take<int32_t>(uint64_t(ceilings.sequences) + 1);
    arrays.pages = carver.take<int32_t>(uint64_t(groupSizes(group, ceilings).pagesPerSequence) * ceilings.sequences);
    groups.push_back(arrays);
  }
}

uint64_t Plan::deviceAddress(const void *array) const {
  return stepArrays->address() + uint64_t(static_cast<const uint8_t *>(array) - stepArrays->host());
}

uint64_t Plan::resolve(const Model &model, const kerf_operand &operand, const Program &program) const {
  switch (operand.kind) {
  case KERF_OPERAND_SLOT:
    return arena->address() + program.slots[operand.index];
  case KERF_OPERAND_WEIGHT:
    return model.device().weight(operand.index);
  case KERF_OPERAND_CACHE:
    return pages.plane(operand.index, operand.plane);
  case KERF_OPERAND_RESULT:
    return results->address() + program.results[operand.index];
  default:
    return deviceAddress(stepArray(operand));
  }
}

const void *Plan::stepArray(const kerf_operand &operand) const {
  switch (operand.index) {
  case KERF_STEP_TOKEN_IDS:
    return ids;
  case KERF_STEP_POSITIONS:
    return positions;
  case KERF_STEP_LOGIT_ROWS:
    return logitRows;
  case KERF_STEP_SAMPLING:
    return samplings;
  case KERF_STEP_FIRST_ROWS:
    return firstRows;
  case KERF_STEP_ROW_COUNTS:
    return rowCounts;
  case KERF_STEP_WORK_ITEMS:
    return workItems[operand.plane];
  case KERF_STEP_SLOTS:
    return groups[operand.plane].slots;
  case KERF_STEP_PAGE_BEGIN:
    return groups[operand.plane].pageBegin;
  default:
    return groups[operand.plane].pages;
  }
}

Context::Context(std::shared_ptr<const Model> model, uint32_t threads, bool poison)
    : model_(std::move(model)),
      engine_(model_->device().makeEngine(resolveCeilings(model_->terms(), threads, {}).threads)), poison_(poison) {}

void Context::plan(const kerf_plan_options &options) {
  if (plan_)
    for (const kerf_sequence &sequence : plan_->sequences)
      if (sequence.open)
        fail(KERF_BAD_ARGUMENT, "every sequence must be closed before another plan, got one of ", sequence.length,
             " tokens that is open");
  plan_.reset();
  ran_ = nullptr;
  const Ceilings ceilings = resolveCeilings(model_->terms(), engine_->threads(), options);
  const kerf_plan_report report = model_->certificate(ceilings, options.memory_limit);
  const std::string parts = " (weights " + formatBytes(report.weights) + ", KV " + formatBytes(report.cache) +
                            ", arena " + formatBytes(report.arena) + ")";
  const char *advice = "; lower max_tokens, max_sequences or context";
  if (report.device > report.device_available)
    fail(KERF_OUT_OF_MEMORY, "the plan needs ", formatBytes(report.device), " of the GPU's memory", parts, ", but ",
         options.memory_limit ? "the memory limit allows " : "the GPU has only ", formatBytes(report.device_available),
         advice);
  if (report.total > report.available)
    fail(KERF_OUT_OF_MEMORY, "the plan needs ", formatBytes(report.total),
         report.device ? " of the host's memory" : parts, ", but ",
         report.device || !options.memory_limit ? "the system has only " : "the memory limit allows ",
         formatBytes(report.available), advice);
  checkStack(model_->terms().kernelStack);
  plan_ = std::make_unique<Plan>(*model_, *engine_, *this, ceilings, report, poison_);
}

Plan &Context::needPlan() const {
  if (!plan_)
    fail(KERF_BAD_ARGUMENT, "kerf_context_plan must come first");
  return *plan_;
}

kerf_sequence *Context::createSequence() {
  Plan &plan = needPlan();
  for (kerf_sequence &sequence : plan.sequences)
    if (!sequence.open) {
      sequence.open = true;
      sequence.length = 0;
      return &sequence;
    }
  fail(KERF_BAD_ARGUMENT, "at most ", plan.sequences.size(), " sequences can be open, as planned; close one or plan ",
       "for more");
}

kerf_sequence *Context::forkSequence(const kerf_sequence &from) {
  kerf_sequence *sequence = createSequence();
  plan_->pages.share(from.index, sequence->index, from.length);
  sequence->length = from.length;
  return sequence;
}

void Context::truncateSequence(kerf_sequence &sequence, uint32_t length) {
  if (length > sequence.length)
    fail(KERF_BAD_ARGUMENT, "length must be at most the sequence's ", sequence.length, ", got ", length);
  plan_->pages.shrink(sequence.index, length);
  sequence.length = length;
}

void Context::closeSequence(kerf_sequence &sequence) {
  plan_->pages.shrink(sequence.index, 0);
  sequence.length = 0;
  sequence.open = false;
}

} // namespace kerf::rt
