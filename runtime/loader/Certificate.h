/// The peak-memory certificate: its terms, and their evaluation at given ceilings.
#ifndef KERF_RUNTIME_LOADER_CERTIFICATE_H
#define KERF_RUNTIME_LOADER_CERTIFICATE_H

#include "kerf/kerf.h"
#include "runtime/loader/Package.h"

#include <array>
#include <string>
#include <vector>

namespace kerf::rt {

/// The parts of a program that need memory.
struct ProgramTerms {
  std::vector<kerf_linear_form> slots, results; ///< bytes of each
  uint32_t workLists = 0;
};

/// What the certificate depends on, the ceilings apart.
struct CertificateTerms {
  uint64_t weightBytes = 0;
  bool gpu = false;
  uint64_t deviceWeightBytes = 0; ///< of a GPU's memory, as placeWeights lays them out
  uint64_t manifestBytes = 0;     ///< mapped manifest and tokenizer
  std::vector<kerf_cache_group> groups;
  std::vector<ProgramTerms> programs;
  uint32_t attentionTile = 1;
  uint64_t kernelStack = 0; ///< most that a task of any kernel uses
  uint32_t dispatches = 0;  ///< of all programs
  uint32_t vocabulary = 0;
  uint32_t context = 0;
  bool wholeTexts = false; ///< every program takes texts as a whole: between steps no keys are kept
};

/// Stack that a pool thread touches before and beside a kernel: start-up, thread-local storage, pthreadpool's frames.
inline constexpr uint64_t kThreadStack = 64 * 1024;
/// The driver hands out a GPU's memory in blocks of this size.
inline constexpr uint64_t kDeviceBlock = 2 * 1024 * 1024;
/// Every weight in a GPU's memory starts at a multiple of this: what the widest copies want (TMA: 128).
inline constexpr uint64_t kDeviceWeightAlignment = 256;
/// Small records of a context: handles, pthreadpool's own, heap headers.
inline constexpr uint64_t kContextRecords = 256 * 1024;
/// What the tokenizer builds beside the mapped tables: compiled patterns, the index of added tokens.
inline constexpr uint64_t kTokenizerRecords = 2 * 1024 * 1024;
/// A dispatch with its resolved operands and its profile.
inline constexpr uint64_t kDispatchRecord = 256;
/// The same of a GPU, with the parameters of its launches.
inline constexpr uint64_t kDeviceDispatchRecord = 1024;
/// Longest sum of coefficient * extent that is taken seriously.
inline constexpr uint64_t kMostBytes = uint64_t(1) << 60;

/// A plan's ceilings with defaults filled in.
struct Ceilings {
  uint32_t tokens, sequences, context, logitRows, pages, workItems, threads;
  bool wholeTexts;
};

/// Sizes of the step arrays, in elements; shared by certificate and allocation.
struct GroupSizes {
  uint32_t pagesPerSequence; ///< entries of one page table
  uint32_t pages;            ///< physical pages
};

/// The terms as the package alone states them.
CertificateTerms certificateTerms(const Package &package);

/// Where each weight lies in a GPU's memory; the last element is the size.
std::vector<uint64_t> placeWeights(const Package &package);

/// Fills in defaults and checks ranges; throws KERF_BAD_ARGUMENT.
Ceilings resolveCeilings(const CertificateTerms &terms, uint32_t threads, const kerf_plan_options &options);

/// Page table and pool sizes of a group: as planned, or enough for all sequences at full length, or, where texts are
/// taken as a whole, for those of any step.
GroupSizes groupSizes(const kerf_cache_group &group, const Ceilings &ceilings);

/// The extents of the largest step.
std::array<int64_t, KERF_EXTENT_COUNT> largestExtents(const Ceilings &ceilings);

/// Bytes of a result: its columns for each of its rows.
kerf_linear_form resultBytes(uint32_t kind, uint32_t columns);

/// Value of a form, at least 0; throws KERF_BAD_ARGUMENT above kMostBytes, naming `what`.
uint64_t evaluate(const kerf_linear_form &form, const std::array<int64_t, KERF_EXTENT_COUNT> &extents,
                  const char *what);

/// Offsets of slots in the arena, or of results in theirs: one after another, each a multiple of 64; the last element
/// is the size. `what` names the whole in errors.
std::vector<uint64_t> layOut(const std::vector<kerf_linear_form> &pieces,
                             const std::array<int64_t, KERF_EXTENT_COUNT> &extents, const char *what);

/// Work lists that a step fills in: most of any program.
uint32_t workLists(const CertificateTerms &terms);

/// Bytes of the arrays that a step fills in, each rounded up to 64.
uint64_t stepArrayBytes(const CertificateTerms &terms, const Ceilings &ceilings);

/// Bytes of one group's KV pool.
uint64_t cachePoolBytes(const kerf_cache_group &group, const Ceilings &ceilings);

/// The whole certificate; what is available is left 0. struct_size is that of this version.
kerf_plan_report evaluateCertificate(const CertificateTerms &terms, const Ceilings &ceilings);

/// The form as text, e.g. "256 + 1024 T + 64 S"; extents are named 1, T, S, R, W, A, C.
std::string formatForm(const kerf_linear_form &form);

} // namespace kerf::rt

#endif
