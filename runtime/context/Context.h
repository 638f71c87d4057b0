/// A context: memory, threads and sequences of a running model.
#ifndef KERF_RUNTIME_CONTEXT_CONTEXT_H
#define KERF_RUNTIME_CONTEXT_CONTEXT_H

#include "runtime/context/KvPages.h"
#include "runtime/loader/Model.h"

#include <atomic>
#include <memory>
#include <vector>

namespace kerf::rt {
class Context;
}

/// The C handle of a sequence: a record in its context's plan.
struct kerf_sequence {
  kerf::rt::Context *context;
  uint32_t index;
  uint32_t length;
  uint64_t step; ///< the last step that named it
  bool open;
};

namespace kerf::rt {

/// Everything that a plan fixes. Built once, never grown.
class Plan {
public:
  /// Takes all memory and resolves all operands; throws KERF_OUT_OF_MEMORY. `engine` must outlive the plan.
  Plan(const Model &model, Engine &engine, Context &context, const Ceilings &ceilings, const kerf_plan_report &report,
       bool poison);

  Ceilings ceilings;
  kerf_plan_report report;
  KvPages pages;
  std::vector<kerf_sequence> sequences;
  /// For each sequence in the step being made.
  std::vector<KvPages::Growth> growths;
  std::vector<kerf_sequence *> members;

  /// Arrays of the step, in one piece of shared memory: where the host fills them in.
  struct GroupArrays {
    int32_t *slots, *pageBegin, *pages;
  };
  std::unique_ptr<Memory> stepArrays;
  int32_t *rowsByExtent = nullptr; ///< the sizes of the step once more, for kernels of a GPU
  int32_t *ids = nullptr, *positions = nullptr, *logitRows = nullptr, *firstRows = nullptr, *rowCounts = nullptr;
  kerf_sampling *samplings = nullptr;      ///< by row of logits
  int32_t *tokens = nullptr;               ///< by row of logits: what the host drew, where the program does not
  std::vector<kerf_work_item *> workItems; ///< by work list; programs use the first ones
  std::vector<GroupArrays> groups;
  std::vector<Extents> extents;                 ///< sizes of the step, by work list; at least one
  bool singleRows = false, severalRows = false; ///< whether some work item has one row, and more
  bool draws = false;                           ///< whether some row wants a token

  /// Candidates of the sampler: vocabulary entries of 8 bytes.
  GuardedBuffer sampler;
  /// Used by all programs, of which one runs at a time. The host reads the results.
  std::unique_ptr<Memory> arena, results;
  struct Program {
    const kerf_program *tables;
    std::vector<uint64_t> slots, results; ///< offsets
    std::unique_ptr<Executable> executable;
  };
  std::vector<Program> programs; ///< as in the library

private:
  void layOutStep(const Model &model);
  uint64_t resolve(const Model &model, const kerf_operand &operand, const Program &program) const;
  const void *stepArray(const kerf_operand &operand) const;
  uint64_t deviceAddress(const void *array) const;
};

/// A context. One thread at a time, cancel() apart.
class Context {
public:
  /// Starts the engine. `threads` 0 means usableThreads().
  Context(std::shared_ptr<const Model> model, uint32_t threads, bool poison);

  /// The model.
  const Model &model() const { return *model_; }
  /// What steps run on.
  const Engine &engine() const { return *engine_; }
  /// Makes a plan in place of the one before; throws Error and leaves none.
  void plan(const kerf_plan_options &options);
  /// The plan in force; throws KERF_BAD_ARGUMENT when there is none.
  Plan &needPlan() const;
  /// The plan in force, or NULL.
  Plan *planOrNull() const { return plan_.get(); }

  /// Opens a sequence; throws KERF_BAD_ARGUMENT when all are in use.
  kerf_sequence *createSequence();
  /// Opens a sequence that shares the tokens of `from`.
  kerf_sequence *forkSequence(const kerf_sequence &from);
  /// Forgets tokens from `length` on.
  void truncateSequence(kerf_sequence &sequence, uint32_t length);
  /// Gives a sequence back.
  void closeSequence(kerf_sequence &sequence);

  /// Runs a step of a program (an index of the library's); throws Error, and then every sequence is as it was.
  /// Allocates nothing unless it fails.
  void run(uint32_t program, const kerf_step &step);
  /// Runs the program "step".
  void step(const kerf_step &step) { run(model_->needProgram("step", "a step"), step); }
  /// Rows that result `index` of the program that ran last has; 0 when it has no such result or failed.
  uint32_t resultRows(uint32_t index) const;
  /// A row of it, or NULL. Belongs to the context, until the next run.
  const float *resultRow(uint32_t index, uint32_t row) const;
  /// Rows of logits of the last step.
  uint32_t logitRows() const { return resultRows(logitsResult()); }
  /// Row of the logits; NULL where a token was drawn from it.
  const float *logits(uint32_t row) const;
  /// The token drawn from a row; -1 where there is none.
  int32_t token(uint32_t row) const;

  /// Ends what runs now.
  void cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  /// Whether cancel() came since the last clearCancel().
  bool cancelled() const { return cancelled_.load(std::memory_order_relaxed); }
  /// Makes cancels from before now void.
  void clearCancel() { cancelled_.store(false, std::memory_order_relaxed); }
  /// While alive, step() leaves the cancel flag to its owner, so that one between two steps is not lost.
  class CancelScope {
  public:
    explicit CancelScope(Context &context) : context_(context) {
      context_.clearCancel();
      context_.cancelOwned_ = true;
    }
    ~CancelScope() { context_.cancelOwned_ = false; }
    CancelScope(const CancelScope &) = delete;
    CancelScope &operator=(const CancelScope &) = delete;

  private:
    Context &context_;
  };

private:
  struct Counts {
    uint32_t tokens = 0, logitRows = 0, members = 0;
  };
  kerf_step_entry entry(const kerf_step &step, uint32_t index) const;
  Counts validate(const kerf_step &step, const kerf_program &program);
  void fill(const kerf_step &step, const Counts &counts, const kerf_program &program);
  void sendArrays(const Counts &counts, const kerf_program &program);
  bool execute(const kerf_step &step, const Counts &counts, const Plan::Program &program);
  void fetchResults(const Plan::Program &program);
  void fetchLogits(const Plan::Program &program, uint32_t index);
  void drawTokens(const Plan::Program &program);
  uint32_t logitsResult() const;

  std::shared_ptr<const Model> model_;
  std::unique_ptr<Engine> engine_;
  bool poison_;
  std::unique_ptr<Plan> plan_;
  std::atomic<bool> cancelled_{false};
  bool cancelOwned_ = false;
  uint64_t steps_ = 0;
  /// The program that ran last and the sizes of its step; none when it failed.
  const Plan::Program *ran_ = nullptr;
  Extents ranWith_ = {};
};

} // namespace kerf::rt

/// The C handle.
struct kerf_context {
  kerf::rt::Context impl;
};

#endif
