#pragma once

#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/backend.h"
#include "store/test_reactor.h"

// What every backend must do, as tests (conformance_*_test.cc). A backend joins with
//   INSTANTIATE_TEST_SUITE_P(Name, StoreConformance, testing::Values(Factory{...}), factoryName);
//   INSTANTIATE_TEST_SUITE_P(Name, CacheConformance, ...);
namespace godwit::store {

// An open, empty store, and what must live as long (files, a server).
struct Opened {
  std::shared_ptr<void> keep;  // destroyed last; what it is, is the factory's business
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Cache> cache;
  bool cache_holds_64_kib = true;  // and no more; false: not bounded by this program
};

struct Factory {
  std::string name;
  // nullopt: cannot run here (no server); the test is skipped and says so.
  std::function<std::optional<Opened>()> open;
};
inline std::string factoryName(const testing::TestParamInfo<Factory>& info) {
  return info.param.name;
}
inline void PrintTo(const Factory& f, std::ostream* out) { *out << f.name; }

constexpr auto kTestWait = std::chrono::seconds(60);

// Calls a backend from outside its loops and waits for the answer.
class Client {
 public:
  Client(Backend& backend, TestReactor& home) : backend_(backend), home_(home) {}

  Result<Verdict> run(Mode mode, Work work, Deadline deadline = Deadline::after(kTestWait)) {
    std::promise<Result<Verdict>> promise;
    home_.post([&] {
      backend_.run(mode, home_, deadline, std::move(work), [&](Result<Verdict> r) {
        EXPECT_TRUE(home_.onThread());
        promise.set_value(std::move(r));
      });
    });
    return promise.get_future().get();
  }

  // One call in a unit of its own: `f(session)` returns Task<Result<T>>, to be run after f
  // returned.
  template <class F>
  auto call(Mode mode, F f) {
    using R = decltype(std::declval<F&>()(std::declval<Session&>()).await_resume());
    std::optional<R> out;
    Work work = [&out, &f](Session& s) -> Task<Verdict> {
      out.reset();
      auto task = f(s);
      R r = co_await task;
      out.emplace(std::move(r));
      co_return out->ok() ? Verdict::kCommit : Verdict::kRollback;
    };
    auto ran = run(mode, std::move(work));
    if (!ran.ok()) return R(ran.error());
    return std::move(*out);
  }
  template <class F>
  auto write(F f) {
    return call(Mode::kWrite, std::move(f));
  }
  template <class F>
  auto read(F f) {
    return call(Mode::kScan, std::move(f));
  }

  // --- The calls tests make all the time
  Result<Object> create(const Ref& ref, std::string id, std::string data = "{}",
                        Timestamp last_modified = 0) {
    Object o = object(std::move(id), std::move(data), last_modified);
    return write([&](Session& s) { return s.create(ref, o); });
  }
  Result<Object> update(const Ref& ref, std::string id, std::string data = "{}",
                        Timestamp last_modified = 0) {
    Object o = object(std::move(id), std::move(data), last_modified);
    return write([&](Session& s) { return s.update(ref, o); });
  }
  Result<Object> remove(const Ref& ref, const std::string& id, Timestamp requested = 0) {
    return write([&](Session& s) { return s.remove(ref, id, requested); });
  }
  Result<Object> get(const Ref& ref, const std::string& id) {
    return call(Mode::kPoint, [&](Session& s) { return s.get(ref, id); });
  }
  Result<Timestamp> timestamp(const Ref& ref) {
    return write([&](Session& s) { return s.timestamp(ref); });
  }
  Result<std::vector<Object>> list(const Ref& ref, const Query& query = {}) {
    return read([&](Session& s) { return s.list(ref, query); });
  }
  // Ids in the order of the answer, joined by ' '; "error: ..." when there is none.
  std::string ids(const Ref& ref, const Query& query = {});
  std::uint64_t count(const Ref& ref, const Query& query = {}) {
    auto n = read([&](Session& s) { return s.count(ref, query); });
    EXPECT_TRUE(n.ok()) << n.error().detail;
    return n.ok() ? *n : 0;
  }

  static Object object(std::string id, std::string data = "{}", Timestamp last_modified = 0) {
    Object o;
    o.id = std::move(id);
    o.data = std::move(data);
    o.last_modified = last_modified;
    return o;
  }

 private:
  Backend& backend_;
  TestReactor& home_;
};

// Parsed JSON for operands; aborts the test program on bad text.
json::Value js(std::string_view text);
Filter filter(std::string field, Op op, std::string_view json);
Query where(std::string field, Op op, std::string_view json);

// Further loops of a test; they live until the store has been stopped.
class Loops {
 public:
  TestReactor& loop(std::size_t i) {
    while (loops_.size() <= i) loops_.push_back(std::make_unique<TestReactor>(loops_.size() + 1));
    return *loops_[i];
  }

 private:
  std::vector<std::unique_ptr<TestReactor>> loops_;
};

class StoreConformance : public testing::TestWithParam<Factory>, protected Loops {
 protected:
  void SetUp() override;
  void TearDown() override;

  Client client() { return Client(*opened_.backend, home_); }

  // One object per kind of value of the field "v", and one that lacks it.
  void seedSamples();
  // Ids of those that match, in the order they were created; count() must agree.
  std::string match(Op op, std::string_view json);

  // Tasks are lazy: what a call refers to needs a name that outlives it.
  const Ref records_{"record", "/buckets/b/collections/c"};
  const Query everything_;
  Opened opened_;
  TestReactor home_;
};

class CacheConformance : public testing::TestWithParam<Factory>, protected Loops {
 protected:
  void SetUp() override;
  void TearDown() override;

  std::optional<std::string> get(std::string_view key);
  Result<bool> set(std::string_view key, std::string value,
                   std::chrono::milliseconds ttl = std::chrono::minutes(1));
  std::optional<std::string> take(std::string_view key);
  bool expire(std::string_view key, std::chrono::milliseconds ttl);
  bool flush();

  Opened opened_;
  TestReactor home_;
};

}  // namespace godwit::store
