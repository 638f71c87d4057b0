#include "runtime/cpu/Features.h"

#include "runtime/loader/Tables.h"
#include "runtime/support/Error.h"

#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace kerf::rt {
namespace {

#if defined(__x86_64__)

// XCR0 bits, Intel SDM volume 1, 13.3: SSE and AVX; opmask, upper ZMM, ZMM16-31; tile configuration and data.
constexpr uint64_t kStateAvx = 0x6, kStateAvx512 = 0xe0, kStateAmx = 0x60000;

uint64_t savedState() {
  uint32_t low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

// Linux hands out the 8 KiB of tile state only on request: Documentation/arch/x86/xstate.rst.
bool permitAmx() {
  constexpr int kArchReqXcompPerm = 0x1023, kXfeatureTileData = 18;
  return syscall(SYS_arch_prctl, kArchReqXcompPerm, kXfeatureTileData) == 0;
}

bool has(uint32_t value, int bit) { return value >> bit & 1; }

// Bits from the Intel SDM volume 2, CPUID.
uint64_t detect() {
  uint32_t a, b, c, d;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !has(c, 27)) // OSXSAVE
    return 0;
  const uint64_t state = savedState();
  const bool avx = has(c, 28), fma = has(c, 12), f16c = has(c, 29);
  uint32_t b7, c7, d7;
  if (!__get_cpuid_count(7, 0, &a, &b7, &c7, &d7))
    return 0;
  const bool avx2 = has(b7, 5), bmi2 = has(b7, 8);
  if (!avx || !fma || !f16c || !avx2 || !bmi2 || (state & kStateAvx) != kStateAvx)
    return 0;
  uint64_t features = KERF_CPU_AVX2;

  const bool avx512 = has(b7, 16) && has(b7, 17) && has(b7, 28) && has(b7, 30) && has(b7, 31); // F, DQ, CD, BW, VL
  if (!avx512 || (state & kStateAvx512) != kStateAvx512)
    return features;
  features |= KERF_CPU_AVX512;
  uint32_t a71 = 0;
  if (__get_cpuid_count(7, 1, &a71, &b, &c, &d) && has(a71, 5))
    features |= KERF_CPU_AVX512_BF16;
  if (has(d7, 24) && has(d7, 22) && (state & kStateAmx) == kStateAmx && permitAmx()) // AMX-TILE, AMX-BF16
    features |= KERF_CPU_AMX_BF16;
  return features;
}

#else

uint64_t detect() { return 0; }

#endif

std::string variantNames(const kerf_library &library) {
  std::string names;
  for (uint32_t i = 0; i < library.variant_count; ++i)
    names += (i ? ", " : "") + std::string(variantsOf(library)[i].name);
  return names;
}

} // namespace

uint64_t cpuFeatures() {
  static const uint64_t features = detect();
  return features;
}

std::string formatFeatures(uint64_t features) {
  static const struct {
    uint64_t bit;
    const char *name;
  } table[] = {{KERF_CPU_AVX2, "AVX2"},
               {KERF_CPU_AVX512, "AVX-512"},
               {KERF_CPU_AVX512_BF16, "AVX-512 BF16"},
               {KERF_CPU_AMX_BF16, "AMX-BF16"}};
  std::string text;
  for (const auto &[bit, name] : table)
    if (features & bit) {
      text += (text.empty() ? "" : " + ") + std::string(name);
      features &= ~bit;
    }
  if (features)
    text += (text.empty() ? "" : " + ") + std::string("features unknown to this runtime");
  return text.empty() ? "none" : text;
}

std::string cpuName() {
#if defined(__x86_64__)
  uint32_t words[12] = {};
  for (uint32_t i = 0; i < 3; ++i)
    if (!__get_cpuid(0x80000002u + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2], &words[4 * i + 3]))
      return "unknown CPU";
  char name[sizeof words + 1] = {};
  std::memcpy(name, words, sizeof words);
  std::string text = name;
  while (!text.empty() && text.back() == ' ')
    text.pop_back();
  return text;
#else
  return "not an x86-64 CPU";
#endif
}

uint32_t chooseVariant(const kerf_library &library, const char *forced, uint64_t features) {
  const char *from = "variant";
  if (!forced || !*forced) {
    forced = std::getenv("KERF_CPU_VARIANT");
    from = "KERF_CPU_VARIANT";
  }
  if (forced && *forced) {
    for (uint32_t i = 0; i < library.variant_count; ++i) {
      const kerf_variant &variant = variantsOf(library)[i];
      if (std::strcmp(variant.name, forced) != 0)
        continue;
      if (variant.features & ~features)
        fail(KERF_UNSUPPORTED_CPU, "variant '", forced, "' must have ", formatFeatures(variant.features), ", but ",
             cpuName(), " lacks ", formatFeatures(variant.features & ~features), " or its system does not allow it");
      return i;
    }
    fail(KERF_BAD_ARGUMENT, from, " must be one of ", variantNames(library), ", got '", forced, "'");
  }
  for (uint32_t i = library.variant_count; i-- > 0;)
    if (!(variantsOf(library)[i].features & ~features))
      return i;
  fail(KERF_UNSUPPORTED_CPU, "the CPU must have ", formatFeatures(variantsOf(library)[0].features), " at least, got ",
       cpuName(), " with ", formatFeatures(features), "; run on a CPU with AVX2 (x86-64-v3: Intel Haswell, AMD Zen)");
}

} // namespace kerf::rt
