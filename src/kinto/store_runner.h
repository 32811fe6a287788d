#pragma once

#include <memory>
#include <thread>

#include "kinto/settings.h"
#include "kinto/stores.h"
#include "net/loop.h"
#include "store/backend.h"

namespace godwit::kinto {

// The stores of the settings, opened for a command: units of work run one after the other while the
// caller waits. One thread.
class StoreRunner {
 public:
  static Result<std::unique_ptr<StoreRunner>> open(const Settings& settings);
  ~StoreRunner();  // finishes what is queued and closes the stores
  StoreRunner(const StoreRunner&) = delete;
  StoreRunner& operator=(const StoreRunner&) = delete;

  // One transaction; waits for ten minutes at most, since purging a large store takes its time.
  Result<store::Verdict> run(store::Mode mode, store::Work work);
  Result<bool> flushCache();

 private:
  explicit StoreRunner(Stores stores);

  Stores stores_;
  net::Loop loop_{0};
  std::thread thread_;
};

}  // namespace godwit::kinto
