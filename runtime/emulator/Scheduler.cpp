#include "runtime/emulator/Scheduler.h"

#include "runtime/emulator/Findings.h"
#include "runtime/emulator/GlobalShadow.h"

#include <algorithm>
#include <atomic>
#include <numeric>
#include <optional>

namespace kerf::emulator {

Workers::~Workers() {
  {
    std::lock_guard lock(mutex_);
    stops_ = true;
  }
  begin_.notify_all();
  for (std::thread &thread : threads_)
    thread.join();
}

void Workers::run(unsigned count, const std::function<void()> &job) {
  {
    std::lock_guard lock(mutex_);
    job_ = &job;
    open_ = running_ = count - 1;
    while (threads_.size() < count - 1)
      threads_.emplace_back([this] { loop(); });
  }
  begin_.notify_all();
  job();
  std::unique_lock lock(mutex_);
  end_.wait(lock, [&] { return running_ == 0; });
  job_ = nullptr;
}

void Workers::loop() {
  std::unique_lock lock(mutex_);
  for (;;) {
    begin_.wait(lock, [&] { return stops_ || open_ > 0; });
    if (stops_)
      return;
    --open_;
    const std::function<void()> &job = *job_;
    lock.unlock();
    job();
    lock.lock();
    if (--running_ == 0)
      end_.notify_all();
  }
}

void Executed::add(const Executed &other) {
  instructions += other.instructions;
  laneInstructions += other.laneInstructions;
  entered.resize(std::max(entered.size(), other.entered.size()));
  for (size_t i = 0; i < other.entered.size(); ++i)
    entered[i] += other.entered[i];
}

namespace {

/// What a block found, and whether it ended in a fault.
struct Outcome {
  std::vector<std::pair<std::string, std::string>> found;
  std::optional<Fault> fault;
};

/// One pass over the blocks of a launch.
class Pass {
public:
  Pass(const Launch &launch, const std::vector<uint64_t> &order) : launch_(launch), order_(order) {}

  Executed executed;

  /// Blocks one after another on each thread. The findings are those up to the first block, in the order of the seed,
  /// that ends in a fault: the same whichever thread came first.
  void runApart(Workers &workers, unsigned threads) {
    std::atomic<uint64_t> next = 0, limit = order_.size();
    std::map<uint64_t, Outcome> outcomes;
    std::optional<Restart> restart;
    std::exception_ptr other;
    std::mutex mutex;
    auto work = [&] {
      Executed mine;
      for (;;) {
        uint64_t at = next++;
        if (at >= limit)
          break;
        Outcome outcome;
        try {
          Cta cta(launch_, order_[at]);
          try {
            while (!cta.run(1 << 16))
              if (at >= limit)
                break;
          } catch (Fault &fault) {
            outcome.fault = std::move(fault);
          }
          count(cta, mine);
          outcome.found = std::move(cta.found);
        } catch (const Restart &r) {
          std::lock_guard lock(mutex);
          restart = Restart{r.isConflict || (restart && restart->isConflict)};
          limit = 0;
        } catch (...) {
          std::lock_guard lock(mutex);
          other = std::current_exception();
          limit = 0;
        }
        if (!outcome.fault && outcome.found.empty())
          continue;
        std::lock_guard lock(mutex);
        if (outcome.fault)
          limit = std::min<uint64_t>(limit, at + 1);
        outcomes[at] = std::move(outcome);
      }
      std::lock_guard lock(mutex);
      executed.add(mine);
    };
    threads = static_cast<unsigned>(std::min<uint64_t>(threads, order_.size()));
    if (threads > 1)
      workers.run(threads, work);
    else
      work();
    if (other)
      std::rethrow_exception(other);
    if (restart)
      throw *restart;
    for (auto &[at, outcome] : outcomes)
      if (at < limit)
        tell(outcome);
  }

  /// Blocks that may wait for each other take turns on one thread. As many are begun as the device would hold, but only
  /// when those that run do not come to an end by themselves.
  void runTogether() {
    constexpr uint64_t kPatience = 1 << 17, kGiveUp = uint64_t(1) << 30;
    Random random(launch_.seed + 1);
    std::vector<std::unique_ptr<Cta>> running;
    std::vector<Outcome> outcomes;
    uint64_t next = 0, sinceEnd = 0, wanted = 4;
    uint64_t room =
        static_cast<uint64_t>(launch_.multiprocessors) * std::max(1u, 2048 / ((launch_.threads() + 31) / 32 * 32));
    while (next < order_.size() || !running.empty()) {
      while (next < order_.size() && running.size() < std::min(wanted, room))
        running.push_back(std::make_unique<Cta>(launch_, order_[next++]));
      size_t pick = random.below(running.size());
      Cta &cta = *running[pick];
      uint64_t turn = 1 + random.below(1 << 13);
      Outcome outcome;
      bool ended = false;
      try {
        ended = cta.run(turn);
      } catch (Fault &fault) {
        outcome.fault = std::move(fault);
      }
      sinceEnd += turn;
      if (sinceEnd > kPatience && running.size() < room && next < order_.size()) {
        wanted = 2 * running.size();
        sinceEnd = 0;
      }
      if (!ended && !outcome.fault && sinceEnd > kGiveUp)
        outcome.fault = Fault{CUDA_ERROR_LAUNCH_TIMEOUT, waiting(running)};
      if (!ended && !outcome.fault)
        continue;
      sinceEnd = 0;
      count(cta, executed);
      outcome.found = std::move(cta.found);
      running.erase(running.begin() + static_cast<long>(pick));
      outcomes.push_back(std::move(outcome));
      if (outcomes.back().fault)
        break;
    }
    // Not before the end: the pass may be thrown away.
    for (Outcome &outcome : outcomes)
      tell(outcome);
  }

private:
  static void count(Cta &cta, Executed &executed) {
    Executed one;
    for (const Warp &w : cta.warps) {
      one.instructions += w.instructions;
      one.laneInstructions += w.laneInstructions;
    }
    one.entered = std::move(cta.entered);
    executed.add(one);
  }

  void tell(Outcome &outcome) {
    for (auto &[key, text] : outcome.found)
      launch_.findings->add(key, text);
    if (outcome.fault)
      throw *outcome.fault;
  }

  std::string waiting(const std::vector<std::unique_ptr<Cta>> &running) const {
    std::string text = "kernel " + launch_.kernel->name + ": " + std::to_string(running.size()) +
                       " blocks run and none comes to an end; " + (running.size() == 1 ? "it stands" : "they stand") +
                       " at";
    for (size_t i = 0; i < running.size() && i < 8; ++i) {
      const Cta &cta = *running[i];
      text += "\n  block " + std::to_string(cta.number) + ":";
      for (const Warp &w : cta.warps)
        if (w.state != Warp::Exited)
          text += " warp " + std::to_string(w.index) + " line " + std::to_string(w.current ? w.current->line : 0);
    }
    return text;
  }

  const Launch &launch_;
  const std::vector<uint64_t> &order_;
};

} // namespace

Executed run(const Launch &launch, Workers &workers, unsigned threads) {
  std::vector<uint64_t> order(launch.blocks());
  std::iota(order.begin(), order.end(), uint64_t(0));
  Random random(launch.seed);
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random.below(i)]);
  bool together = launch.kernel->communicates;
  bool serial = together || threads == 1 || order.size() == 1, recordsAll = false;
  for (;;) {
    launch.shadow->begin(launch.kernel->globalGrain, recordsAll, serial);
    Pass pass(launch, order);
    try {
      if (together)
        pass.runTogether();
      else
        pass.runApart(workers, serial ? 1 : threads);
      launch.shadow->end();
      return pass.executed;
    } catch (const Restart &restart) {
      launch.shadow->restore();
      serial |= restart.isConflict;
      recordsAll = true;
    } catch (const Fault &) {
      launch.shadow->end();
      throw;
    }
  }
}

} // namespace kerf::emulator
