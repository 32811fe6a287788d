#pragma once

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/epoll_reactor.h"
#include "store/postgresql/backend.h"

namespace godwit::test {

// One server's worth of storage: a loop on a thread of its own and a backend on it.
class Node {
 public:
  explicit Node(store::postgresql::Options options)
      : backend_(std::make_unique<store::postgresql::PgBackend>(std::move(options))),
        thread_([this] { loop_.run(); }) {}
  ~Node() {
    backend_->stop(Deadline::after(std::chrono::seconds(5)));
    loop_.stop();
    thread_.join();
    backend_.reset();
  }
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  [[nodiscard]] store::postgresql::PgBackend& backend() { return *backend_; }
  [[nodiscard]] EpollReactor& loop() { return loop_; }

  // Runs a unit of work and waits for its end. Not from the loop.
  Result<store::Verdict> run(store::Mode mode, store::Work work,
                             Deadline deadline = Deadline::after(std::chrono::seconds(30))) {
    std::promise<Result<store::Verdict>> got;
    auto answer = got.get_future();
    start(mode, std::move(work), deadline,
          [&](Result<store::Verdict> v) { got.set_value(std::move(v)); });
    return answer.get();
  }
  // The same without waiting; `done` is called on the loop.
  void start(store::Mode mode, store::Work work, Deadline deadline, store::Done done) {
    auto job = [this, mode, deadline, work = std::move(work), done = std::move(done)]() mutable {
      backend_->run(mode, loop_, deadline, std::move(work), std::move(done));
    };
    loop_.post(std::move(job));
  }
  bool ping(bool write, Deadline deadline) {
    std::promise<bool> got;
    auto answer = got.get_future();
    loop_.post(
        [&] { backend_->ping(loop_, deadline, write, [&](bool alive) { got.set_value(alive); }); });
    return answer.get();
  }
  store::postgresql::PgBackend::Counters counters() {
    std::promise<store::postgresql::PgBackend::Counters> got;
    loop_.post([&] { got.set_value(backend_->counters(loop_)); });
    return got.get_future().get();
  }

 private:
  EpollReactor loop_;
  std::unique_ptr<store::postgresql::PgBackend> backend_;
  std::thread thread_;
};

inline store::Object makeObject(std::string id, std::string data = "{}", store::Timestamp at = 0) {
  store::Object o;
  o.id = std::move(id);
  o.data = std::move(data);
  o.last_modified = at;
  return o;
}

// Units of work the tests share. Each is a free coroutine, so that nothing is captured.
inline store::Ref records(const std::string& collection) {
  store::Ref ref;
  ref.resource = "record";
  ref.parent = "/buckets/b/collections/" + collection;
  return ref;
}

inline store::Work creating(store::Ref ref, std::string id, std::string data,
                            store::Timestamp* at = nullptr) {
  struct Body {
    static Task<store::Verdict> run(store::Session& s, const store::Ref* ref, const std::string* id,
                                    const std::string* data, store::Timestamp* at) {
      auto made = co_await s.create(*ref, makeObject(*id, *data));
      if (!made.ok()) co_return store::Verdict::kRollback;
      store::Ace ace;
      ace.uri = ref->parent + "/records/" + *id;
      ace.permission = "write";
      ace.principal = "account:test";
      auto granted = co_await s.addAce(ace);
      if (!granted.ok()) co_return store::Verdict::kRollback;
      if (at) *at = made->last_modified;
      co_return store::Verdict::kCommit;
    }
  };
  return [ref = std::move(ref), id = std::move(id), data = std::move(data), at](store::Session& s) {
    return Body::run(s, &ref, &id, &data, at);
  };
}

inline store::Work reading(store::Ref ref, std::string id, std::optional<store::Object>* out) {
  struct Body {
    static Task<store::Verdict> run(store::Session& s, const store::Ref* ref, const std::string* id,
                                    std::optional<store::Object>* out) {
      store::LoadSpec spec;
      spec.user = "account:test";
      spec.uris.push_back(ref->parent + "/records/" + *id);
      spec.uris.push_back(ref->parent);
      spec.ref = *ref;
      spec.id = *id;
      auto got = co_await s.load(spec);
      if (!got.ok()) co_return store::Verdict::kRollback;
      if (out) *out = got->object;
      co_return store::Verdict::kCommit;
    }
  };
  return [ref = std::move(ref), id = std::move(id), out](store::Session& s) {
    return Body::run(s, &ref, &id, out);
  };
}

}  // namespace godwit::test
