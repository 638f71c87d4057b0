// The C API: any sequence of calls on one model and its contexts, with any arguments that C can check. A call fails
// with a message or does what it says; a sequence is as long as what was put into it.
#include "kerf/kerf.h"
#include "test/fuzz/Fuzz.h"
#include "test/runtime/fake/FakePackage.h"

#include <algorithm>
#include <cstring>
#include <fuzzer/FuzzedDataProvider.h>
#include <vector>

using namespace kerf;
using kerf::fuzz::must;

namespace {

kerf_model *model() {
  static kerf_model *opened = [] {
    static const fuzz::MemoryFile file;
    file.write(test::FakePackage().bytes());
    kerf_model *made = nullptr;
    kerf_error error;
    must(kerf_model_open(file.path().c_str(), &test::fakeLibrary(), nullptr, &made, &error) == KERF_OK, error.message);
    return made;
  }();
  return opened;
}

// A struct as a later version of Kerf would give it: with more behind it than this one knows.
template <typename T> struct Given {
  T is = {};
  uint8_t beyond[320] = {};
};

class Calls {
public:
  explicit Calls(FuzzedDataProvider &input) : input(input) {}
  ~Calls() {
    for (kerf_sequence *sequence : sequences)
      kerf_sequence_close(sequence);
    kerf_context_close(context);
  }

  void run() {
    const kerf_context_options options = {sizeof options, 1, input.ConsumeBool()};
    must(kerf_context_create(model(), input.ConsumeBool() ? &options : nullptr, &context, nullptr) == KERF_OK,
         "a context can be made");
    while (input.remaining_bytes())
      one();
  }

private:
  // Any size that the caller may truthfully state, mostly the right one.
  template <typename T> void setSize(Given<T> &given) {
    given.is.struct_size = input.ConsumeBool() ? uint32_t(sizeof(T)) : small() * 4;
    given.beyond[0] = input.ConsumeIntegralInRange<uint8_t>(0, 15) == 0;
  }
  uint32_t small() { return input.ConsumeIntegralInRange<uint32_t>(0, 80); }
  kerf_sequence *any() {
    return sequences.empty() || input.ConsumeIntegralInRange(0, 15) == 0
               ? nullptr
               : sequences[input.ConsumeIntegralInRange<size_t>(0, sequences.size() - 1)];
  }

  void checked(kerf_code code) {
    must(code == error.code, "the error has the code that is returned");
    must((code == KERF_OK) == (error.message[0] == 0), "a failure has a message");
    must(std::memchr(error.message, 0, sizeof error.message), "the message ends");
  }

  void one() {
    error = {};
    switch (input.ConsumeIntegralInRange(0, 9)) {
    case 0:
      return plan();
    case 1: {
      kerf_sequence *made = nullptr;
      checked(kerf_sequence_create(context, &made, &error));
      return keep(made, 0);
    }
    case 2: {
      kerf_sequence *made = nullptr, *from = any();
      const uint32_t length = kerf_sequence_length(from);
      checked(kerf_sequence_fork(from, &made, &error));
      return keep(made, length);
    }
    case 3:
      if (kerf_sequence *sequence = any()) {
        const uint32_t length = small(), before = kerf_sequence_length(sequence);
        checked(kerf_sequence_truncate(sequence, length, &error));
        must(kerf_sequence_length(sequence) == (error.code == KERF_OK ? length : before), "truncate keeps its word");
      }
      return;
    case 4:
      if (kerf_sequence *sequence = any()) {
        kerf_sequence_close(sequence);
        std::erase(sequences, sequence);
      }
      return;
    case 5:
      return step();
    case 6:
      return generate();
    case 7:
      return tokenize();
    case 8:
      kerf_context_cancel(context);
      return;
    default:
      return ask();
    }
  }

  void plan() {
    Given<kerf_plan_options> given;
    setSize(given);
    kerf_plan_options &options = given.is;
    options.max_tokens = input.ConsumeBool() ? small() : input.ConsumeIntegral<uint32_t>();
    options.max_sequences = small();
    options.context = input.ConsumeBool() ? small() : input.ConsumeIntegral<uint32_t>();
    options.max_logit_rows = input.ConsumeBool() ? small() : input.ConsumeIntegral<uint32_t>();
    options.kv_pages = input.ConsumeBool() ? small() : input.ConsumeIntegral<uint32_t>();
    options.memory_limit = 4 << 20;
    if (options.struct_size < sizeof options) // the limit would be that of the machine
      options.struct_size = 2;
    kerf_plan_report report = {};
    report.struct_size = sizeof report;
    checked(kerf_model_certificate(model(), 1, &options, &report, &error));
    checked(kerf_context_plan(context, &options, nullptr, &error));
    if (error.code == KERF_OK) {
      sequences.clear();
      must(report.total <= options.memory_limit, "a plan stays within its limit");
    }
  }

  void keep(kerf_sequence *made, uint32_t length) {
    must((error.code == KERF_OK) == (made != nullptr), "a sequence is given out just if there is one");
    if (!made)
      return;
    must(kerf_sequence_length(made) == length, "a new sequence has the length of what it was made of");
    sequences.push_back(made);
  }

  std::vector<int32_t> someIds() {
    std::vector<int32_t> ids(small());
    for (int32_t &id : ids)
      id = input.ConsumeIntegralInRange<int32_t>(-1, test::kVocabulary);
    return ids;
  }

  void step() {
    std::vector<std::vector<int32_t>> ids(input.ConsumeIntegralInRange(0, 4));
    std::vector<kerf_step_entry> entries;
    std::vector<uint32_t> lengths;
    const kerf_sampling sampling = {input.ConsumeFloatingPoint<float>(), input.ConsumeFloatingPoint<float>(),
                                    input.ConsumeIntegral<uint32_t>(), input.ConsumeIntegralInRange<uint32_t>(0, 1),
                                    input.ConsumeIntegral<uint64_t>()};
    for (std::vector<int32_t> &of : ids) {
      of = someIds();
      entries.push_back({any(), input.ConsumeIntegralInRange(0, 31) ? of.data() : nullptr, uint32_t(of.size()),
                         input.ConsumeIntegralInRange<uint32_t>(0, 3), input.ConsumeBool() ? &sampling : nullptr});
      lengths.push_back(kerf_sequence_length(entries.back().sequence));
    }
    Given<kerf_step> given;
    kerf_step &step = given.is;
    step = {0, uint32_t(sizeof(kerf_step_entry)), uint32_t(entries.size()), entries.data()};
    setSize(given);
    checked(kerf_context_step(context, &step, &error));
    const uint32_t rows = kerf_context_logit_rows(context);
    must(!kerf_context_logits(context, rows), "there is no row past the last");
    if (rows) {
      // Of the last row there are logits or the token that was drawn from them.
      const float *logits = kerf_context_logits(context, rows - 1);
      const int32_t token = kerf_context_token(context, rows - 1);
      must(logits ? logits[test::kVocabulary - 1] < 1e30f && token == -1
                  : token >= 0 && token < int32_t(test::kVocabulary),
           "the last row is filled in");
    }
    if (step.struct_size != sizeof step)
      return;
    for (size_t i = 0; i < entries.size(); ++i)
      must(kerf_sequence_length(entries[i].sequence) == lengths[i] + (error.code == KERF_OK ? entries[i].count : 0),
           "a step appends all of its tokens or none");
  }

  void generate() {
    std::string prompt = input.ConsumeRandomLengthString(20), stop = input.ConsumeRandomLengthString(4);
    const std::vector<int32_t> ids = someIds();
    const char *stops[] = {stop.c_str(), input.ConsumeBool() ? "a" : nullptr};
    Given<kerf_generate_options> given;
    setSize(given);
    kerf_generate_options &options = given.is;
    if (input.ConsumeBool())
      options.prompt = prompt.c_str(), options.prompt_bytes = prompt.size();
    else
      options.prompt_ids = ids.data(), options.prompt_id_count = uint32_t(ids.size());
    options.max_tokens = small();
    options.prompt_flags = input.ConsumeIntegral<uint32_t>();
    options.sequence = any();
    options.temperature = input.ConsumeFloatingPoint<float>();
    options.top_p = input.ConsumeFloatingPoint<float>();
    if (input.ConsumeBool())
      options.temperature = options.top_p = 0.5f;
    options.top_k = small();
    options.ignore_end = input.ConsumeBool();
    options.seed = 1;
    options.stops = input.ConsumeBool() ? stops : nullptr;
    options.stop_count = input.ConsumeIntegralInRange<uint32_t>(0, 2);
    options.keep_special = input.ConsumeBool();
    const uint32_t length = kerf_sequence_length(options.sequence);
    kerf_generate_result result = {};
    result.struct_size = sizeof result;
    checked(kerf_generate(context, &options, &result, &error));
    if (error.code != KERF_OK)
      must(kerf_sequence_length(options.sequence) == length, "a generation that failed leaves its sequence");
    kerf_generate_result_free(&result);
  }

  void tokenize() {
    const std::string text = input.ConsumeRandomLengthString(20);
    int32_t ids[8];
    char back[8];
    size_t count = 0, bytes = 0;
    const size_t capacity = input.ConsumeIntegralInRange<size_t>(0, 8);
    checked(kerf_tokenize(model(), text.data(), text.size(), input.ConsumeIntegral<uint32_t>(),
                          input.ConsumeBool() ? ids : nullptr, capacity, &count, &error));
    const std::vector<int32_t> some = someIds();
    checked(kerf_detokenize(model(), some.data(), some.size(), input.ConsumeIntegral<uint32_t>(), back,
                            input.ConsumeIntegralInRange<size_t>(0, 8), &bytes, &error));
  }

  void ask() {
    Given<kerf_plan_report> report;
    setSize(report);
    checked(kerf_context_report(context, &report.is, &error));
    Given<kerf_model_info> info;
    setSize(info);
    checked(kerf_model_get_info(model(), &info.is, &error));
    Given<kerf_profile_row> row;
    setSize(row);
    checked(kerf_context_profile(context, input.ConsumeBool(), &error));
    checked(kerf_context_profile_row(context, small(), &row.is, &error));
    kerf_model_variant(model(), small());
    kerf_model_variant_runs(model(), small());
    kerf_context_free_pages(context, small());
    kerf_context_logits(context, small());
  }

  FuzzedDataProvider &input;
  kerf_context *context = nullptr;
  std::vector<kerf_sequence *> sequences;
  kerf_error error = {};
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  FuzzedDataProvider input(data, size);
  Calls(input).run();
  return 0;
}
