// What every program of a build with sanitizers asks of them; ASAN_OPTIONS and the like override it.
const char *__asan_default_options(void);
const char *__tsan_default_options(void);

// LLVM's headers poison memory that LLVM's allocators have not given out. The packaged libraries, which take from the
// same blocks, are built without that and do not say what they take. And AddressSanitizer goes through the whole rest
// of a text at each search in it, which makes linear searches quadratic.
const char *__asan_default_options(void) { return "allow_user_poisoning=0:intercept_memmem=0"; }

// A race ends the program, as what the others find does.
const char *__tsan_default_options(void) { return "halt_on_error=1"; }
