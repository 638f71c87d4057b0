// kerf_context_*, kerf_sequence_* and the profile.
#include "runtime/api/Options.h"
#include "runtime/context/SavedSequence.h"

using namespace kerf::rt;

namespace {

kerf_sequence &openSequence(const kerf_sequence *sequence) {
  needArgument(sequence, "sequence");
  if (!sequence->open)
    fail(KERF_BAD_ARGUMENT, "the sequence must be open");
  return const_cast<kerf_sequence &>(*sequence);
}

} // namespace

kerf_code kerf_context_create(kerf_model *model, const kerf_context_options *options, kerf_context **out,
                              kerf_error *error) {
  return guarded(error, [&] {
    needArgument(out, "out");
    *out = nullptr;
    needArgument(model, "model");
    const kerf_context_options read = readStruct(options, "kerf_context_options");
    if (read.threads > 4096)
      fail(KERF_BAD_ARGUMENT, "threads must be at most 4096, got ", read.threads);
    *out = new kerf_context{Context(model->impl, read.threads, read.poison != 0)};
  });
}

void kerf_context_close(kerf_context *context) { delete context; }

uint32_t kerf_context_threads(const kerf_context *context) { return context ? context->impl.engine().threads() : 0; }

kerf_code kerf_context_plan(kerf_context *context, const kerf_plan_options *options, kerf_plan_report *report,
                            kerf_error *error) {
  return guarded(error, [&] {
    needArgument(context, "context");
    context->impl.plan(readStruct(options, "kerf_plan_options"));
    if (report)
      writeStruct(report, context->impl.needPlan().report, "kerf_plan_report");
  });
}

kerf_code kerf_context_report(const kerf_context *context, kerf_plan_report *report, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(context, "context");
    writeStruct(report, context->impl.needPlan().report, "kerf_plan_report");
  });
}

uint32_t kerf_context_free_pages(const kerf_context *context, uint32_t group) {
  const Plan *plan = context ? context->impl.planOrNull() : nullptr;
  return plan && group < plan->pages.groupCount() ? plan->pages.freePages(group) : 0;
}

void kerf_context_cancel(kerf_context *context) {
  if (context)
    context->impl.cancel();
}

kerf_code kerf_sequence_create(kerf_context *context, kerf_sequence **out, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(out, "out");
    *out = nullptr;
    needArgument(context, "context");
    *out = context->impl.createSequence();
  });
}

kerf_code kerf_sequence_fork(const kerf_sequence *sequence, kerf_sequence **out, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(out, "out");
    *out = nullptr;
    const kerf_sequence &from = openSequence(sequence);
    *out = from.context->forkSequence(from);
  });
}

kerf_code kerf_sequence_truncate(kerf_sequence *sequence, uint32_t length, kerf_error *error) {
  return guarded(error, [&] {
    kerf_sequence &open = openSequence(sequence);
    open.context->truncateSequence(open, length);
  });
}

uint32_t kerf_sequence_length(const kerf_sequence *sequence) { return sequence ? sequence->length : 0; }

void kerf_sequence_close(kerf_sequence *sequence) {
  if (sequence && sequence->open)
    sequence->context->closeSequence(*sequence);
}

kerf_code kerf_sequence_save(const kerf_sequence *sequence, void *bytes, size_t capacity, size_t *size,
                             kerf_error *error) {
  return guarded(error, [&] {
    needArgument(size, "size");
    *size = 0;
    const kerf_sequence &open = openSequence(sequence);
    if (capacity)
      needArgument(bytes, "bytes");
    *size = savedBytes(open);
    if (!capacity)
      return;
    if (capacity < *size)
      fail(KERF_BAD_ARGUMENT, "capacity must be at least the ", *size, " bytes that the sequence takes, got ",
           capacity);
    saveSequence(open, static_cast<uint8_t *>(bytes));
  });
}

kerf_code kerf_sequence_restore(kerf_context *context, const void *bytes, size_t size, kerf_sequence **out,
                                kerf_error *error) {
  return guarded(error, [&] {
    needArgument(out, "out");
    *out = nullptr;
    needArgument(context, "context");
    needArgument(bytes, "bytes");
    *out = restoreSequence(context->impl, {static_cast<const uint8_t *>(bytes), size});
  });
}

kerf_code kerf_context_step(kerf_context *context, const kerf_step *step, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(context, "context");
    needArgument(step, "step");
    context->impl.step(readStruct(step, "kerf_step"));
  });
}

uint32_t kerf_context_logit_rows(const kerf_context *context) { return context ? context->impl.logitRows() : 0; }

const float *kerf_context_logits(const kerf_context *context, uint32_t row) {
  return context ? context->impl.logits(row) : nullptr;
}

int32_t kerf_context_token(const kerf_context *context, uint32_t row) {
  return context ? context->impl.token(row) : -1;
}

kerf_code kerf_context_profile(kerf_context *context, int enable, kerf_error *error) {
  return guarded(error, [&] {
    needArgument(context, "context");
    for (const Plan::Program &program : context->impl.needPlan().programs)
      program.executable->setProfiling(enable != 0);
  });
}

kerf_code kerf_context_profile_row(const kerf_context *context, uint32_t index, kerf_profile_row *row,
                                   kerf_error *error) {
  return guarded(error, [&] {
    needArgument(context, "context");
    uint32_t before = 0;
    for (const Plan::Program &program : context->impl.needPlan().programs) {
      const Profile &profile = program.executable->profile();
      if (index - before < profile.size())
        return writeStruct(row, profile.row(index - before), "kerf_profile_row");
      before += profile.size();
    }
    fail(KERF_BAD_ARGUMENT, "index must be below ", before, ", got ", index);
  });
}
