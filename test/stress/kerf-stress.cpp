// Load: many sequences join and leave one context at random, with forks, truncations, cancels from another thread, too
// few KV pages, and sequences that are saved and restored. Every row of logits is compared, bit for bit, with that of
// its sequence run alone afterwards, in a context of one sequence and one thread; and memory may not grow.
#include "kerf/kerf.h"

#include <CLI/CLI.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <malloc.h>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace {

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KERF_MEMORY_IS_SANITIZED 1
#endif
#endif

// Positions in a page, as kerf-compile makes them.
constexpr uint32_t kPageSize = 64;

struct Options {
  std::string model;
  double seconds = 15;
  uint32_t sequences = 64, threads = 0, tokens = 256, context = 320;
  uint64_t seed = 1;
};

struct Counts {
  uint64_t steps = 0, tokens = 0, created = 0, forked = 0, restored = 0, truncated = 0, cancelled = 0, outOfPages = 0,
           rows = 0, rounds = 0;
  bool all() const { return created && forked && restored && truncated && cancelled && outOfPages && rows; }
};

[[noreturn]] void failed(const std::string &what) {
  std::printf("failed: %s\n", what.c_str());
  std::exit(1);
}

void must(kerf_code code, const kerf_error &error, const char *doing) {
  if (code != KERF_OK)
    failed(std::string(doing) + ": " + error.message);
}

// FNV-1a of a row's bits.
uint64_t hashOf(const float *row, uint32_t columns) {
  const uint8_t *bytes = reinterpret_cast<const uint8_t *>(row);
  uint64_t hash = 14695981039346656037u;
  for (size_t i = 0; i < size_t(columns) * sizeof(float); ++i)
    hash = (hash ^ bytes[i]) * 1099511628211u;
  return hash;
}

int32_t likeliest(const float *row, uint32_t columns) {
  uint32_t best = 0;
  for (uint32_t i = 1; i < columns; ++i)
    if (row[i] > row[best])
      best = i;
  return int32_t(best);
}

// What a text is known by, apart from its handle: its tokens, and the bits of the rows that were computed on the way.
struct Text {
  std::vector<int32_t> ids;                        // run
  std::vector<int32_t> ahead;                      // still to be run
  std::vector<std::pair<uint32_t, uint64_t>> rows; // position, hash
};

struct Live {
  kerf_sequence *handle;
  Text text;
};

// A planned context; ends the program on an error.
class Context {
public:
  Context(kerf_model *model, uint32_t threads, const kerf_plan_options &plan) {
    const kerf_context_options options = {sizeof options, threads, 0};
    kerf_error error;
    must(kerf_context_create(model, &options, &handle, &error), error, "create a context");
    must(kerf_context_plan(handle, &plan, nullptr, &error), error, "plan");
  }
  ~Context() { kerf_context_close(handle); }
  kerf_code step(const std::vector<kerf_step_entry> &entries, kerf_error &error) {
    const kerf_step step = {sizeof step, sizeof(kerf_step_entry), uint32_t(entries.size()), entries.data()};
    return kerf_context_step(handle, &step, &error);
  }
  kerf_context *handle = nullptr;
};

// Anonymous memory that is resident, and what the heap holds, in bytes.
struct Memory {
  uint64_t resident, heap;
};
Memory memoryNow() {
  malloc_trim(0);
  uint64_t kib = 0;
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "RssAnon:")
      status >> kib;
  return {kib * 1024, mallinfo2().uordblks};
}

class Stress {
public:
  Stress(kerf_model *model, const Options &options, uint32_t vocabulary)
      : options(options), vocabulary(vocabulary), random(options.seed),
        // One page for each sequence, so that steps run out of pages.
        context(model, options.threads,
                {sizeof(kerf_plan_options), options.tokens, options.sequences, options.context, options.tokens,
                 std::max(options.sequences, (options.context + kPageSize - 1) / kPageSize), 0}),
        alone(model, 1, {sizeof(kerf_plan_options), options.context, 1, options.context, options.context, 0, 0}) {}

  // Touches all memory that the plans of both contexts have: the largest step, and every page.
  void touch() {
    const std::vector<int32_t> ids(std::max(options.tokens, options.context), 1);
    std::vector<kerf_sequence *> open;
    kerf_error error;
    for (Context *one : {&context, &alone})
      for (kerf_code code = KERF_OK; code == KERF_OK;) {
        kerf_sequence *handle = nullptr;
        code = kerf_sequence_create(one->handle, &handle, &error);
        for (uint32_t length = 0; code == KERF_OK && length < options.context;) {
          const uint32_t count = std::min(options.tokens, options.context - length);
          code = one->step({{handle, ids.data(), count, KERF_LOGITS_ALL, nullptr}}, error);
          length += count;
        }
        open.push_back(handle);
      }
    for (kerf_sequence *handle : open)
      kerf_sequence_close(handle);
  }

  // Random traffic until `steps` steps are done or the time is up, then every text is compared and closed.
  void round(uint64_t steps, std::chrono::steady_clock::time_point end) {
    std::atomic<bool> done{false};
    std::thread canceller([&, seed = random()] {
      std::minstd_rand pause(uint32_t(seed) | 1);
      while (!done) {
        cancel.wait(false);
        std::this_thread::sleep_for(std::chrono::microseconds(pause() % 3000));
        kerf_context_cancel(context.handle);
        cancel = false;
      }
    });
    for (const uint64_t last = counts.steps + steps; counts.steps < last && std::chrono::steady_clock::now() < end;) {
      join();
      leave();
      step();
    }
    done = true;
    cancel = true;
    cancel.notify_one();
    canceller.join();
    while (!live.empty())
      close(live.size() - 1);
    while (!saved.empty()) {
      compare(saved.back().text);
      saved.pop_back();
    }
    std::vector<Live>().swap(live);
    std::vector<Saved>().swap(saved);
    ++counts.rounds;
  }

  Counts counts;

private:
  struct Saved {
    std::vector<uint8_t> bytes;
    Text text;
  };

  uint32_t below(uint32_t n) { return uint32_t(random() % n); }

  // A sequence begins, as a new text, a fork of another or one that was saved before.
  void join() {
    if (live.size() >= options.sequences || below(3) == 0)
      return;
    const uint32_t kind = below(10);
    kerf_error error;
    kerf_sequence *handle = nullptr;
    if (kind == 0 && !live.empty()) {
      const Live &from = live[below(uint32_t(live.size()))];
      must(kerf_sequence_fork(from.handle, &handle, &error), error, "fork");
      live.push_back({handle, from.text});
      live.back().text.ahead.insert(live.back().text.ahead.begin(), int32_t(below(vocabulary)));
      ++counts.forked;
    } else if (kind < 3 && !saved.empty()) {
      Saved &from = saved.back();
      const kerf_code code =
          kerf_sequence_restore(context.handle, from.bytes.data(), from.bytes.size(), &handle, &error);
      if (code == KERF_OUT_OF_PAGES)
        return;
      must(code, error, "restore");
      if (kerf_sequence_length(handle) != from.text.ids.size())
        failed("a restored sequence has another length");
      live.push_back({handle, std::move(from.text)});
      saved.pop_back();
      ++counts.restored;
    } else {
      must(kerf_sequence_create(context.handle, &handle, &error), error, "create");
      live.push_back({handle, {}});
      // Mostly short prompts, some as long as the context.
      const uint32_t most = below(8) ? 24 : options.context - 1;
      for (uint32_t i = 0, count = 1 + below(most); i < count; ++i)
        live.back().text.ahead.push_back(int32_t(below(vocabulary)));
      ++counts.created;
    }
  }

  // A sequence ends, forgets its last tokens, or is put aside.
  void leave() {
    if (live.empty())
      return;
    const size_t index = below(uint32_t(live.size()));
    Live &one = live[index];
    kerf_error error;
    switch (below(40)) {
    case 0:
    case 1:
      return close(index);
    case 2: {
      const uint32_t length = below(uint32_t(one.text.ids.size()) + 1);
      must(kerf_sequence_truncate(one.handle, length, &error), error, "truncate");
      // What was forgotten is compared too: its tokens as a text of their own.
      compare(one.text);
      one.text.ids.resize(length);
      one.text.rows.clear();
      one.text.ahead.assign(1, int32_t(below(vocabulary)));
      ++counts.truncated;
      return;
    }
    case 3: {
      if (saved.size() >= 4)
        return;
      size_t size = 0;
      must(kerf_sequence_save(one.handle, nullptr, 0, &size, &error), error, "save");
      saved.push_back({std::vector<uint8_t>(size), {}});
      must(kerf_sequence_save(one.handle, saved.back().bytes.data(), size, &size, &error), error, "save");
      saved.back().text = std::move(one.text);
      kerf_sequence_close(one.handle);
      live.erase(live.begin() + ptrdiff_t(index));
      return;
    }
    default:
      return;
    }
  }

  // One step over a random choice of the sequences, each with a piece of what lies ahead of it.
  void step() {
    std::vector<kerf_step_entry> entries;
    std::vector<size_t> members;
    uint32_t room = options.tokens;
    for (size_t i = 0; i < live.size() && room; ++i) {
      Text &text = live[i].text;
      if (text.ids.size() + text.ahead.size() > options.context)
        text.ahead.resize(options.context - text.ids.size());
      if (below(4) == 0 || text.ahead.empty())
        continue;
      const uint32_t count = std::min({room, uint32_t(text.ahead.size()), 1 + below(96)});
      entries.push_back({live[i].handle, text.ahead.data(), count, below(3), nullptr});
      members.push_back(i);
      room -= count;
    }
    kerf_error error;
    kerf_code code;
    if (below(20) == 0) { // one that comes too late is void
      cancel = true;
      cancel.notify_one();
    }
    while ((code = context.step(entries, error)) == KERF_CANCELLED) {
      ++counts.cancelled;
      for (const size_t i : members)
        if (kerf_sequence_length(live[i].handle) != live[i].text.ids.size())
          failed("a cancelled step changed the length of a sequence");
    }
    if (code == KERF_OUT_OF_PAGES) {
      ++counts.outOfPages;
      for (const size_t i : members)
        if (kerf_sequence_length(live[i].handle) != live[i].text.ids.size())
          failed("a step that ran out of pages changed the length of a sequence");
      return close(below(uint32_t(live.size())));
    }
    must(code, error, "step");
    ++counts.steps;
    for (size_t m = 0, row = 0; m < members.size(); ++m) {
      Text &text = live[members[m]].text;
      const uint32_t count = entries[m].count, rows = entries[m].logits == KERF_LOGITS_ALL ? count : entries[m].logits;
      const uint32_t first = uint32_t(text.ids.size()) + count - rows;
      text.ids.insert(text.ids.end(), text.ahead.begin(), text.ahead.begin() + count);
      text.ahead.erase(text.ahead.begin(), text.ahead.begin() + count);
      counts.tokens += count;
      for (uint32_t r = 0; r < rows; ++r, ++row) {
        const float *logits = kerf_context_logits(context.handle, uint32_t(row));
        text.rows.push_back({first + r, hashOf(logits, vocabulary)});
        // A text goes on with its own likeliest token, so that wrong bits lead it astray.
        if (r + 1 == rows && text.ahead.empty())
          text.ahead.push_back(likeliest(logits, vocabulary));
      }
      if (text.ahead.empty())
        text.ahead.push_back(int32_t(below(vocabulary)));
    }
  }

  void close(size_t index) {
    kerf_sequence_close(live[index].handle);
    compare(live[index].text);
    live.erase(live.begin() + ptrdiff_t(index));
  }

  // Runs a text alone, in one step, and compares the rows.
  void compare(const Text &text) {
    if (text.rows.empty())
      return;
    kerf_error error;
    kerf_sequence *handle = nullptr;
    must(kerf_sequence_create(alone.handle, &handle, &error), error, "create");
    must(alone.step({{handle, text.ids.data(), uint32_t(text.ids.size()), KERF_LOGITS_ALL, nullptr}}, error), error,
         "step");
    for (const auto &[position, hash] : text.rows)
      if (hashOf(kerf_context_logits(alone.handle, position), vocabulary) != hash)
        failed("the logits of token " + std::to_string(position) + " of a text of " + std::to_string(text.ids.size()) +
               " tokens are not those of the text alone, seed " + std::to_string(options.seed));
    counts.rows += text.rows.size();
    kerf_sequence_close(handle);
  }

  const Options options;
  const uint32_t vocabulary;
  std::mt19937_64 random;
  std::atomic<bool> cancel{false};
  Context context, alone;
  std::vector<Live> live;
  std::vector<Saved> saved;
};

} // namespace

int main(int count, char **arguments) {
  Options options;
  CLI::App app("Runs random traffic through one context and compares every text with itself alone.");
  app.add_option("model", options.model, "MODEL.kerf")->required();
  app.add_option("--seconds", options.seconds, "How long")->capture_default_str();
  app.add_option("--sequences", options.sequences, "Most sequences at once")->capture_default_str();
  app.add_option("--threads", options.threads, "Threads of the context; 0: all")->capture_default_str();
  app.add_option("--seed", options.seed, "Of everything random")->capture_default_str();
  CLI11_PARSE(app, count, arguments);

  // What this program itself keeps for a while goes back to the system at once.
  mallopt(M_MMAP_THRESHOLD, 64 << 10);
  mallopt(M_ARENA_MAX, 1);
  kerf_error error;
  kerf_model *model = nullptr;
  must(kerf_model_open_files(options.model.c_str(), nullptr, &model, &error), error, "open");
  kerf_model_info info = {};
  info.struct_size = sizeof info;
  must(kerf_model_get_info(model, &info, &error), error, "ask for facts");
  options.context = std::min(options.context, info.context);
  {
    Stress stress(model, options, info.vocabulary);
    using Clock = std::chrono::steady_clock;
    const Clock::time_point begin = Clock::now();
    const auto after = [&](double part) {
      return begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options.seconds * part));
    };
    stress.touch();
    stress.round(1000, after(1.0 / 3));
    const Memory before = memoryNow();
    // On a busy machine for longer than asked, until there was something of everything.
    while (Clock::now() < after(1) || (Clock::now() < after(10) && !stress.counts.all()))
      stress.round(1000, std::max(after(1), Clock::now() + std::chrono::seconds(1)));
    const Memory now = memoryNow();

    const Counts &c = stress.counts;
    const auto print = [](const char *what, uint64_t value) {
      std::printf("  %-32s %llu\n", what, (unsigned long long)value);
    };
    std::printf("%s, %s, %u sequences at most, seed %llu, %.0f s\n", info.name, info.variant, options.sequences,
                (unsigned long long)options.seed, options.seconds);
    print("steps", c.steps);
    print("tokens", c.tokens);
    print("texts begun", c.created);
    print("forked", c.forked);
    print("saved and restored", c.restored);
    print("truncated", c.truncated);
    print("steps cancelled", c.cancelled);
    print("steps out of pages", c.outOfPages);
    print("times that all texts left", c.rounds);
    print("rows of logits equal to alone", c.rows);
    print("resident bytes after the first round", before.resident);
    print("resident bytes at the end", now.resident);
    print("heap bytes after the first round", before.heap);
    print("heap bytes at the end", now.heap);
#ifndef KERF_MEMORY_IS_SANITIZED // whose allocator keeps what is freed
    // malloc counts what its caches of freed blocks hold, up to 7 of each of 64 sizes to 1 KiB, as in use.
    if (now.resident > before.resident + (2 << 20) || now.heap > before.heap + (256 << 10))
      failed("memory grew");
#endif
    if (!c.all())
      failed("some kind of traffic never came; run for longer");
  }
  kerf_model_close(model);
  std::printf("passed\n");
}
