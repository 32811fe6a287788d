#pragma once

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kinto/plugins/metrics_service.h"
#include "store/backend.h"

namespace godwit::kinto {

// Where the times of calls to the stores go. Services are added at start; afterwards any thread.
class StoreMeter {
 public:
  // What Kinto calls the backend, and the names of its method today and in 2016.
  struct Method {
    std::string_view backend, name, old_name;
  };

  // `old_names`: "storage.get" instead of "backend.storage.seconds" with the method as a label.
  void add(MetricsService& service, bool old_names) { sinks_.push_back({&service, old_names}); }
  void record(const Method& method, std::chrono::steady_clock::duration took) const;
  // Time for deciding whether a request is permitted, which has a name of its own of old.
  void recordPermits(std::chrono::steady_clock::duration took) const;

 private:
  struct Sink {
    MetricsService* service = nullptr;
    bool old_names = false;
  };
  std::vector<Sink> sinks_;
};

// A backend whose sessions are timed, call by call, which costs a frame each: for those servers
// only that have a service. `inner` and `meter` outlive it.
class MeteredBackend final : public store::Backend {
 public:
  MeteredBackend(store::Backend& inner, const StoreMeter& meter) : inner_(inner), meter_(meter) {}

  [[nodiscard]] std::string name() const override { return inner_.name(); }
  void run(store::Mode mode, Reactor& home, Deadline deadline, store::Work work,
           store::Done done) override;
  void runNearby(store::Mode mode, Reactor& home, Deadline deadline, store::Work work,
                 store::Done done) override;
  void ping(Reactor& home, Deadline deadline, bool write, std::function<void(bool)> done) override;
  void stop(Deadline deadline) override { inner_.stop(deadline); }

 private:
  store::Work metered(store::Work work);

  store::Backend& inner_;
  const StoreMeter& meter_;
};

// The same for a cache.
class MeteredCache final : public store::Cache {
 public:
  MeteredCache(store::Cache& inner, const StoreMeter& meter) : inner_(inner), meter_(meter) {}

  void get(Reactor& home, std::string_view key, Got done) override;
  void set(Reactor& home, std::string_view key, std::string value, std::chrono::milliseconds ttl,
           Did done) override;
  void expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl,
              Did done) override;
  void take(Reactor& home, std::string_view key, Got done) override;
  void flush(Reactor& home, Did done) override;
  void ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) override;
  void stop(Deadline deadline) override { inner_.stop(deadline); }

 private:
  template <class R>
  std::function<void(R)> timed(const StoreMeter::Method& method, std::function<void(R)> done);

  store::Cache& inner_;
  const StoreMeter& meter_;
};

}  // namespace godwit::kinto
