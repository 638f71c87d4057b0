#include "runtime/context/Context.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <cstring>
#include <pthread.h>

namespace kerf::rt {
namespace {

// Hands out pieces of one buffer, each rounded up to the alignment.
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

Plan::Plan(const Model &model, Context &context, const Ceilings &ceilings, const kerf_plan_report &report, bool poison)
    : ceilings(ceilings), report(report), pages(model.terms().groups, ceilings, poison),
      sampler(uint64_t(model.terms().vocabulary) * 8, "the sampler"), arena(0, "the arena"),
      results(resultsBytes(model.terms(), ceilings), "the results"),
      stepArrays_(stepArrayBytes(model.terms(), ceilings), "the step arrays") {
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
  arena = GuardedBuffer(arenaBytes, "the arena");
  for (Program &program : programs)
    program.dispatcher =
        std::make_unique<Dispatcher>(*program.tables, model.variant(),
                                     [&](const kerf_operand &operand) { return resolve(model, operand, program); });
}

void Plan::layOutStep(const Model &model) {
  Carver carver(stepArrays_.data());
  ids = carver.take<int32_t>(ceilings.tokens);
  positions = carver.take<int32_t>(ceilings.tokens);
  logitRows = carver.take<int32_t>(ceilings.logitRows);
  firstRows = carver.take<int32_t>(ceilings.sequences);
  rowCounts = carver.take<int32_t>(ceilings.sequences);
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

void *Plan::resolve(const Model &model, const kerf_operand &operand, const Program &program) const {
  switch (operand.kind) {
  case KERF_OPERAND_SLOT:
    return arena.data() + program.slots[operand.index];
  case KERF_OPERAND_WEIGHT:
    return const_cast<uint8_t *>(model.package().weight(operand.index));
  case KERF_OPERAND_CACHE:
    return pages.plane(operand.index, operand.plane);
  case KERF_OPERAND_RESULT:
    return results.data() + program.results[operand.index];
  default:
    break;
  }
  switch (operand.index) {
  case KERF_STEP_TOKEN_IDS:
    return ids;
  case KERF_STEP_POSITIONS:
    return positions;
  case KERF_STEP_LOGIT_ROWS:
    return logitRows;
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
    : model_(std::move(model)), pool_(resolveCeilings(model_->terms(), threads, {}).threads), poison_(poison) {}

void Context::plan(const kerf_plan_options &options) {
  if (plan_)
    for (const kerf_sequence &sequence : plan_->sequences)
      if (sequence.open)
        fail(KERF_BAD_ARGUMENT, "every sequence must be closed before another plan, got one of ", sequence.length,
             " tokens that is open");
  plan_.reset();
  ran_ = nullptr;
  const Ceilings ceilings = resolveCeilings(model_->terms(), pool_.count(), options);
  kerf_plan_report report = evaluateCertificate(model_->terms(), ceilings);
  report.available = options.memory_limit ? options.memory_limit : availableMemory();
  if (report.total > report.available)
    fail(KERF_OUT_OF_MEMORY, "the plan needs ", formatBytes(report.total), " (weights ", formatBytes(report.weights),
         ", KV ", formatBytes(report.cache), ", arena ", formatBytes(report.arena), "), but ",
         options.memory_limit ? "the memory limit allows " : "the system has only ", formatBytes(report.available),
         "; lower max_tokens, max_sequences or context");
  checkStack(model_->terms().kernelStack);
  plan_ = std::make_unique<Plan>(*model_, *this, ceilings, report, poison_);
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
