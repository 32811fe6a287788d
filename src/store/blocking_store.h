#pragma once

#include <memory>
#include <string>
#include <thread>

#include "base/epoll_reactor.h"
#include "store/backend.h"

namespace godwit::store {

// A store for command-line tools: every call waits for its answer. One thread.
class BlockingStore {
 public:
  // "sqlite:path" or "postgresql://...". An SQLite file is created when missing; others may have it
  // open. A PostgreSQL database needs its schema ("godwit migrate").
  static Result<std::unique_ptr<BlockingStore>> open(const std::string& url);
  // Takes what is open already. The cache may be null.
  BlockingStore(std::unique_ptr<Backend> backend, std::unique_ptr<Cache> cache);
  ~BlockingStore();  // stops both
  BlockingStore(const BlockingStore&) = delete;
  BlockingStore& operator=(const BlockingStore&) = delete;

  // Runs a unit of work, at most a minute unless `deadline` says otherwise.
  Result<Verdict> run(Mode mode, const Work& work);
  Result<Verdict> run(Mode mode, const Work& work, Deadline deadline);
  // kWrite; a rollback is an error too.
  Result<void> write(const Work& work);
  // Forgets a key of the cache. Nothing when there is no cache.
  Result<void> forget(const std::string& key);
  bool ping(bool write, Deadline deadline);
  bool pingCache(Deadline deadline);  // true without a cache

 private:
  EpollReactor loop_;
  std::unique_ptr<Cache> cache_;
  std::unique_ptr<Backend> backend_;
  std::thread thread_;
};

}  // namespace godwit::store
