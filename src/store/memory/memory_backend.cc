#include <atomic>
#include <mutex>
#include <shared_mutex>

#include "store/memory/memory.h"
#include "store/memory/memory_store.h"

namespace godwit::store {
namespace {

class MemoryBackend final : public Backend {
 public:
  explicit MemoryBackend(const Clock& clock) : store_(clock) {}

  [[nodiscard]] std::string name() const override { return "memory"; }

  void run(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) override {
    Result<Verdict> result = execute(mode, deadline, work);
    if (mode == Mode::kPoint) return done(std::move(result));
    // The work travels along: `done` may use what it holds.
    home.post([work = std::move(work), done = std::move(done), result]() mutable {
      done(std::move(result));
    });
  }

  void ping(Reactor& home, Deadline, bool, std::function<void(bool)> done) override {
    home.post([done = std::move(done), up = !stopped_.load()] { done(up); });
  }

  void runNearby(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) override {
    run(mode, home, deadline, std::move(work), std::move(done));
  }
  void stop(Deadline) override { stopped_ = true; }

 private:
  Result<Verdict> execute(Mode mode, Deadline deadline, const Work& work) {
    if (stopped_) return {ErrorCode::kUnavailable, "the storage is stopping"};
    if (deadline.expired()) return {ErrorCode::kTimeout, "the storage took too long"};
    if (mode != Mode::kWrite) {
      std::shared_lock lock(mu_);
      LocalSession session(store_, false);
      return drive(work, session);
    }
    std::unique_lock lock(mu_);
    LocalSession session(store_, true);
    Result<Verdict> result = drive(work, session);
    if (result.ok() && *result == Verdict::kCommit) {
      store_.commit();
    } else {
      store_.rollback();
    }
    return result;
  }

  std::atomic<bool> stopped_ = false;
  std::shared_mutex mu_;  // held over a whole unit of work; never across `done`
  MemoryStore store_;     // guarded by mu_
};

}  // namespace

std::unique_ptr<Backend> makeMemoryBackend(const Clock& clock) {
  return std::make_unique<MemoryBackend>(clock);
}

}  // namespace godwit::store
