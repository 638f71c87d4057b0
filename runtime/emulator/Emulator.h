/// What a test asks of the emulator beside the driver's functions. C, found by dlsym in libkerf-emulator.so.
///
/// One device; all functions may be called from any thread. Settings are also taken from the environment when the
/// library is first used (docs/emulator.md): KERF_EMULATOR_SEED, KERF_EMULATOR_THREADS, KERF_EMULATOR_FAIL,
/// KERF_EMULATOR_CAPABILITY, KERF_EMULATOR_MEMORY, KERF_EMULATOR_COUNTS.
#ifndef KERF_RUNTIME_EMULATOR_EMULATOR_H
#define KERF_RUNTIME_EMULATOR_EMULATOR_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// As if the process had just begun: no contexts, no memory, no findings, settings of the environment. What was handed
/// out before must not be used again.
void kerf_emulator_reset(void);
/// Order of warps and blocks, the moment at which copies land, and how long work waits in a stream: 0 is the default.
/// One seed gives one report.
void kerf_emulator_set_seed(uint64_t seed);
/// Host threads that run blocks; 0: as many as there are CPUs. The report does not depend on it.
void kerf_emulator_set_threads(unsigned threads);
/// Makes calls fail: "FUNCTION:N:ERROR" lets call N (from 1, counted from now) of the driver's FUNCTION, by the name of
/// its symbol, return ERROR, by name or number; several with commas between. ERROR of a launch or a copy that is
/// asynchronous comes at the next synchronization and stays if it is one that the driver does not recover from. Returns
/// 0, or -1 for a text it does not understand, and then nothing changes. An empty text ends it.
int kerf_emulator_fail(const char *text);
/// What was found since the last clear: races, undefined values, faults; one to a paragraph. Valid until the next call
/// of the emulator from this thread.
const char *kerf_emulator_report(void);
/// Findings, those left out of the report because they repeat one included.
uint64_t kerf_emulator_findings(void);
/// Forgets findings. A fault of the context stays.
void kerf_emulator_clear(void);
/// Instructions of warps that were executed since the last reset, and of lanes if `lanes` is not 0.
uint64_t kerf_emulator_instructions(int lanes);

#ifdef __cplusplus
}
#endif

#endif
