#include "metrics/fork_guard.h"

#include <pthread.h>

#include <algorithm>
#include <mutex>
#include <vector>

#include "metrics/core.h"

namespace godwit::metrics::detail {
namespace {

struct Registry {
  FutexLock lock;
  std::vector<Core*> cores;  // guarded by lock
};

// Never destroyed: a fork may happen while the process exits.
Registry& registry() {
  static auto* r = new Registry;
  return *r;
}

void prepare() {
  registry().lock.lock();
  for (Core* c : registry().cores) c->beforeFork();
}

void parent() {
  for (Core* c : registry().cores) c->afterForkInParent();
  registry().lock.unlock();
}

void child() {
  for (Core* c : registry().cores) c->afterForkInChild();
  registry().lock.reset();
}

}  // namespace

void guardFork(Core& core) {
  static std::once_flag once;
  std::call_once(once, [] { ::pthread_atfork(prepare, parent, child); });
  const std::lock_guard guard(registry().lock);
  registry().cores.push_back(&core);
}

void unguardFork(Core& core) {
  const std::lock_guard guard(registry().lock);
  std::erase(registry().cores, &core);
}

}  // namespace godwit::metrics::detail
