// A saved sequence: refused with a message, or restored to one that is as long as was saved, can be continued and is
// saved again as the same bytes.
// Input: the bytes; if the first of them is 'K', they get the size and the SHA-256 that fit, so that only the other
// checks stand.
#include "kerf/kerf.h"
#include "runtime/support/Sha256.h"
#include "test/fuzz/Fuzz.h"
#include "test/runtime/fake/FakePackage.h"

#include <cstring>

using namespace kerf;
using kerf::fuzz::must;

static kerf_context *context() {
  static kerf_context *made = [] {
    static const fuzz::MemoryFile file;
    file.write(test::FakePackage().bytes());
    static kerf_model *model = nullptr;
    kerf_context *context = nullptr;
    kerf_model_options narrow = {};
    narrow.struct_size = sizeof narrow;
    narrow.variant = "narrow";
    const kerf_context_options options = {sizeof options, 1, 0};
    const kerf_plan_options plan = {sizeof plan, 8, 2, 32, 0, 0, 0};
    must(kerf_model_open(file.path().c_str(), &test::fakeLibrary(), &narrow, &model, nullptr) == KERF_OK &&
             kerf_context_create(model, &options, &context, nullptr) == KERF_OK &&
             kerf_context_plan(context, &plan, nullptr, nullptr) == KERF_OK,
         "there is a context");
    return context;
  }();
  return made;
}

// Offsets of SavedSequence.h.
static void fit(std::string &bytes) {
  if (bytes.size() < 128)
    return;
  const uint64_t size = bytes.size();
  bytes[0] = char(0x89);
  std::memcpy(bytes.data() + 16, &size, sizeof size);
  std::memset(bytes.data() + 96, 0, 32);
  const rt::Sha256Digest digest = rt::sha256(bytes.data(), bytes.size());
  std::memcpy(bytes.data() + 96, digest.data(), digest.size());
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string bytes(reinterpret_cast<const char *>(data), size);
  if (size && data[0] == 'K')
    fit(bytes);
  const uint32_t free = kerf_context_free_pages(context(), 0);
  kerf_sequence *sequence = nullptr;
  kerf_error error = {};
  const kerf_code code = kerf_sequence_restore(context(), bytes.data(), bytes.size(), &sequence, &error);
  must((code == KERF_OK) == (sequence != nullptr), "a sequence is given out just if it was restored");
  if (!sequence) {
    must(error.message[0] != 0, "a refusal says why");
    must(kerf_context_free_pages(context(), 0) == free, "a refusal takes no pages");
    return 0;
  }
  std::string again(bytes.size(), '\0');
  size_t taken = 0;
  must(kerf_sequence_save(sequence, again.data(), again.size(), &taken, nullptr) == KERF_OK && taken == bytes.size(),
       "what was restored can be saved");
  must(again.substr(128) == bytes.substr(128), "what is saved is what was restored");
  const uint32_t length = kerf_sequence_length(sequence);
  const int32_t id = 1;
  const kerf_step_entry entry = {sequence, &id, 1, KERF_LOGITS_LAST, nullptr};
  const kerf_step step = {sizeof step, sizeof entry, 1, &entry};
  must(kerf_context_step(context(), &step, nullptr) == (length < 32 ? KERF_OK : KERF_BAD_ARGUMENT),
       "what was restored can be continued");
  kerf_sequence_close(sequence);
  must(kerf_context_free_pages(context(), 0) == free, "its pages are given back");
  return 0;
}
