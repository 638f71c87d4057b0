#include "runtime/embed/Embed.h"

#include "runtime/support/Error.h"

#include <algorithm>
#include <chrono>
#include <cstring>

namespace kerf::rt {
namespace {

uint64_t now() {
  using namespace std::chrono;
  return uint64_t(duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count());
}

// Texts on their way into one step and vectors on their way out of it.
class Embedder {
public:
  Embedder(Context &context, const kerf_embed_options &options)
      : context_(context), options_(options), model_(context.model()),
        program_(model_.needProgram("encode", "kerf_context_embed")), plan_(context.needPlan()) {
    if (options.input_count && (!options.inputs || options.input_size < sizeof(kerf_embed_input)))
      fail(KERF_BAD_ARGUMENT, "inputs must have an input_size of at least ", sizeof(kerf_embed_input),
           " and not be NULL, got ", options.input_size);
    if (options.input_count && !options.vectors)
      fail(KERF_BAD_ARGUMENT, "vectors must not be NULL");
    const Table<kerf_result> results = resultsOf(programsOf(model_.library())[program_]);
    while (vectors_ < results.count() && results[vectors_].kind != KERF_RESULT_VECTORS)
      ++vectors_;
    if (vectors_ == results.count())
      fail(KERF_BAD_ARTIFACT, "program 'encode' must give vectors");
    columns_ = results[vectors_].columns;
    for (const kerf_sequence &sequence : plan_.sequences)
      room_ += !sequence.open;
    if (!room_)
      fail(KERF_BAD_ARGUMENT, "there must be a free sequence, but all ", plan_.sequences.size(),
           " that were planned are open; close one or plan for more");
  }

  kerf_embed_result run() {
    const uint64_t start = now();
    for (size_t input = 0; input < options_.input_count; ++input) {
      const std::vector<int32_t> ids = idsOf(input);
      if (!fits(ids.size()))
        flush();
      ids_.insert(ids_.end(), ids.begin(), ids.end());
      counts_.push_back(uint32_t(ids.size()));
      if (options_.tokens)
        options_.tokens[input] = uint32_t(ids.size());
      result_.tokens += ids.size();
    }
    flush();
    result_.nanoseconds = now() - start;
    return result_;
  }

private:
  const kerf_embed_input &input(size_t index) const {
    const uint8_t *first = reinterpret_cast<const uint8_t *>(options_.inputs);
    return *reinterpret_cast<const kerf_embed_input *>(first + index * options_.input_size);
  }

  // The tokens of an input, checked and cut to the context.
  std::vector<int32_t> idsOf(size_t index) {
    const kerf_embed_input &in = input(index);
    if ((in.text != nullptr) == (in.ids != nullptr))
      fail(KERF_BAD_ARGUMENT, "input ", index, " must have either a text or ids, got ", in.text ? "both" : "neither");
    const size_t most = plan_.ceilings.context;
    std::vector<int32_t> ids;
    if (in.text) {
      const size_t bytes = in.text_bytes ? in.text_bytes : std::strlen(in.text);
      ids = model_.encode({in.text, bytes}, in.flags);
    } else {
      ids.assign(in.ids, in.ids + in.id_count);
      for (size_t i = 0; i < ids.size(); ++i)
        if (ids[i] < 0 || uint32_t(ids[i]) >= model_.terms().vocabulary)
          fail(KERF_BAD_ARGUMENT, "id ", i, " of input ", index, " must be 0 to ", model_.terms().vocabulary - 1,
               ", got ", ids[i]);
    }
    if (ids.empty())
      fail(KERF_BAD_ARGUMENT, "input ", index, " must have at least one token, got none");
    if (ids.size() > most && (options_.refuse_long || in.ids))
      fail(KERF_BAD_ARGUMENT, "input ", index, " must have at most the planned context of ", most, " tokens, got ",
           ids.size());
    if (ids.size() > most) {
      const size_t behind = in.flags & KERF_NO_FRAME ? 0 : std::min(model_.needTokenizer("a text").suffixSize(), most);
      ids.erase(ids.end() - ptrdiff_t(behind) - ptrdiff_t(ids.size() - most), ids.end() - ptrdiff_t(behind));
      ++result_.cut;
    }
    if (ids.size() > plan_.ceilings.tokens)
      fail(KERF_BAD_ARGUMENT, "input ", index, " has ", ids.size(), " tokens, which a step must take as a whole, but ",
           "only ", plan_.ceilings.tokens, " are planned; plan for more max_tokens");
    return ids;
  }

  // Whether a text of that many tokens can join the step.
  bool fits(size_t tokens) const {
    if (counts_.empty())
      return true;
    if (counts_.size() == room_ || ids_.size() + tokens > plan_.ceilings.tokens)
      return false;
    for (uint32_t group = 0; group < plan_.pages.groupCount(); ++group) {
      const uint64_t size = plan_.pages.pageSize(group);
      uint64_t pages = (tokens + size - 1) / size;
      for (uint32_t count : counts_)
        pages += (count + size - 1) / size;
      if (pages > plan_.pages.freePages(group))
        return false;
    }
    return true;
  }

  // The sequences of one step, given back whatever happens.
  class Sequences {
  public:
    explicit Sequences(Context &context) : context_(context) {}
    ~Sequences() {
      for (kerf_sequence *sequence : open_)
        context_.closeSequence(*sequence);
    }
    Sequences(const Sequences &) = delete;
    Sequences &operator=(const Sequences &) = delete;
    kerf_sequence *create() { return open_.emplace_back(context_.createSequence()); }
    void reserve(size_t count) { open_.reserve(count); }

  private:
    Context &context_;
    std::vector<kerf_sequence *> open_;
  };

  void flush() {
    if (counts_.empty())
      return;
    Sequences sequences(context_);
    sequences.reserve(counts_.size());
    std::vector<kerf_step_entry> entries;
    const int32_t *ids = ids_.data();
    for (uint32_t count : counts_) {
      entries.push_back({sequences.create(), ids, count, KERF_LOGITS_NONE, nullptr});
      ids += count;
    }
    const kerf_step step = {sizeof step, sizeof(kerf_step_entry), uint32_t(entries.size()), entries.data()};
    context_.run(program_, step);
    for (uint32_t row = 0; row < entries.size(); ++row)
      std::memcpy(options_.vectors + (done_ + row) * columns_, context_.resultRow(vectors_, row),
                  columns_ * sizeof(float));
    done_ += entries.size();
    ++result_.steps;
    ids_.clear();
    counts_.clear();
  }

  Context &context_;
  const kerf_embed_options &options_;
  const Model &model_;
  uint32_t program_;
  Plan &plan_;
  uint32_t vectors_ = 0; // which result of the program they are
  size_t columns_ = 0, room_ = 0;
  std::vector<int32_t> ids_; // of the step being gathered
  std::vector<uint32_t> counts_;
  size_t done_ = 0;
  kerf_embed_result result_ = {};
};

} // namespace

kerf_embed_result embed(Context &context, const kerf_embed_options &options) {
  const Context::CancelScope scope(context);
  return Embedder(context, options).run();
}

} // namespace kerf::rt
