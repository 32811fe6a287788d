#include <list>
#include <mutex>
#include <unordered_map>

#include "store/memory/memory.h"

namespace godwit::store {
namespace {

class MemoryCache final : public Cache {
 public:
  MemoryCache(MemoryCacheLimits limits, const Clock& clock) : limits_(limits), clock_(clock) {}

  void get(Reactor&, std::string_view key, Got done) override {
    std::optional<std::string> value;
    {
      std::lock_guard lock(mu_);
      if (auto it = find(key)) value = (*it)->value;
    }
    done(std::move(value));
  }

  void set(Reactor&, std::string_view key, std::string value, std::chrono::milliseconds ttl,
           Did done) override {
    bool existed = false;
    if (key.size() + value.size() > limits_.max_bytes) {
      return done({ErrorCode::kLimit, "the value is larger than the cache"});
    }
    {
      std::lock_guard lock(mu_);
      if (auto it = find(key)) {
        existed = true;
        erase(*it);
      }
      bytes_ += key.size() + value.size();
      entries_.push_back({std::string(key), std::move(value), clock_.nowMs() + ttl.count()});
      index_[entries_.back().key] = std::prev(entries_.end());
      shrink();
    }
    done(existed);
  }

  void expire(Reactor&, std::string_view key, std::chrono::milliseconds ttl, Did done) override {
    bool existed = false;
    {
      std::lock_guard lock(mu_);
      if (auto it = find(key)) {
        existed = true;
        (*it)->expires_ms = clock_.nowMs() + ttl.count();
      }
    }
    done(existed);
  }

  void take(Reactor&, std::string_view key, Got done) override {
    std::optional<std::string> value;
    {
      std::lock_guard lock(mu_);
      if (auto it = find(key)) {
        value = (*it)->value;
        erase(*it);
      }
    }
    done(std::move(value));
  }

  void flush(Reactor&, Did done) override {
    bool any = false;
    {
      std::lock_guard lock(mu_);
      any = !entries_.empty();
      index_.clear();
      entries_.clear();
      bytes_ = 0;
    }
    done(any);
  }

  void ping(Reactor&, Deadline, std::function<void(bool)> done) override { done(true); }

 private:
  struct Entry {
    std::string key;
    std::string value;
    std::int64_t expires_ms;
  };
  using Entries = std::list<Entry>;  // oldest first

  void erase(Entries::iterator it) {
    bytes_ -= it->key.size() + it->value.size();
    index_.erase(it->key);
    entries_.erase(it);
  }

  std::optional<Entries::iterator> find(std::string_view key) {
    auto found = index_.find(key);
    if (found == index_.end()) return std::nullopt;
    if (found->second->expires_ms > clock_.nowMs()) return found->second;
    erase(found->second);
    return std::nullopt;
  }

  void shrink() {
    while (bytes_ > limits_.max_bytes) erase(entries_.begin());
  }

  const MemoryCacheLimits limits_;
  const Clock& clock_;
  std::mutex mu_;
  // Guarded by mu_
  Entries entries_;
  std::unordered_map<std::string_view, Entries::iterator> index_;  // keys live in entries_
  std::size_t bytes_ = 0;
};

}  // namespace

std::unique_ptr<Cache> makeMemoryCache(MemoryCacheLimits limits, const Clock& clock) {
  return std::make_unique<MemoryCache>(limits, clock);
}

}  // namespace godwit::store
