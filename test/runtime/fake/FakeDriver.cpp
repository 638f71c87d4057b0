#include "test/runtime/fake/FakeDriver.h"

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

kerf::test::FakeDriver &kerf::test::fakeDriver() {
  void *library = dlopen(KERF_FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
  void *function = library ? dlsym(library, "kerf_fake_driver") : nullptr;
  if (!function) {
    std::fprintf(stderr, "no fake driver: %s\n", dlerror());
    std::abort();
  }
  return *reinterpret_cast<FakeDriver *(*)()>(function)();
}
