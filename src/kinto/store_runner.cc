#include "kinto/store_runner.h"

#include <future>

namespace godwit::kinto {
namespace {

constexpr std::chrono::minutes kPatience{10};
constexpr std::chrono::seconds kStop{10};

}  // namespace

Result<std::unique_ptr<StoreRunner>> StoreRunner::open(const Settings& settings) {
  auto stores = openStores(settings);
  if (!stores.ok()) return std::move(stores).error();
  return std::unique_ptr<StoreRunner>(new StoreRunner(std::move(*stores)));
}

StoreRunner::StoreRunner(Stores stores)
    : stores_(std::move(stores)), thread_([this] { loop_.run(); }) {}

StoreRunner::~StoreRunner() {
  // Not from the loop's thread: a backend may need the loop to say goodbye to its server.
  stores_.backend->stop(Deadline::after(kStop));
  stores_.cache->stop(Deadline::after(kStop));
  loop_.stop();
  thread_.join();
  loop_.runLeftovers();
}

Result<store::Verdict> StoreRunner::run(store::Mode mode, store::Work work) {
  std::promise<Result<store::Verdict>> promise;
  loop_.post([&] {
    stores_.backend->run(mode, loop_, Deadline::after(kPatience), std::move(work),
                         [&](Result<store::Verdict> r) { promise.set_value(std::move(r)); });
  });
  return promise.get_future().get();
}

Result<bool> StoreRunner::flushCache() {
  std::promise<Result<bool>> promise;
  loop_.post([&] {
    stores_.cache->flush(loop_, [&](Result<bool> r) { promise.set_value(std::move(r)); });
  });
  return promise.get_future().get();
}

}  // namespace godwit::kinto
