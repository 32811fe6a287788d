#include <atomic>
#include <set>

#include "store/conformance.h"

// Units of work: transactions, modes, concurrency, deadlines, stopping.
namespace godwit::store {

TEST_P(StoreConformance, RollbackLeavesNoTrace) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "kept", R"({"n":1})").ok());
  ASSERT_TRUE(c.create(records_, "dead").ok());
  Timestamp dead = c.remove(records_, "dead")->last_modified;
  Timestamp before = *c.timestamp(records_);
  Ace ace{"/x", "read", "u"};
  ASSERT_TRUE(c.write([&](Session& s) { return s.addAce(ace); }).ok());
  Ref fresh{"record", "/buckets/b/collections/fresh"};
  Query everything;

  auto ran = c.run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
    Object o = Client::object("new");
    auto a = s.create(records_, o);
    EXPECT_TRUE((co_await a).ok());
    auto b = s.create(fresh, o);
    EXPECT_TRUE((co_await b).ok());
    Object changed = Client::object("kept", R"({"n":2})");
    auto d = s.update(records_, changed);
    EXPECT_TRUE((co_await d).ok());
    auto e = s.remove(records_, "kept", 0);
    EXPECT_TRUE((co_await e).ok());
    auto f = s.purgeTombstones(records_, std::nullopt);
    EXPECT_TRUE((co_await f).ok());
    auto g = s.addUserPrincipal("u", "g");
    EXPECT_TRUE((co_await g).ok());
    auto h = s.removeAce(ace);
    EXPECT_TRUE((co_await h).ok());
    auto i = s.removeAll(records_, everything, false);
    EXPECT_TRUE((co_await i).ok());
    auto j = s.removeTimestamps("*");
    EXPECT_TRUE((co_await j).ok());
    auto k = s.flush();
    EXPECT_TRUE((co_await k).ok());
    auto l = s.create(records_, o);
    EXPECT_TRUE((co_await l).ok());
    co_return Verdict::kRollback;
  });
  ASSERT_TRUE(ran.ok()) << ran.error().detail;
  EXPECT_EQ(*ran, Verdict::kRollback);

  Query all;
  all.include_deleted = true;
  auto listed = c.list(records_, all);
  ASSERT_TRUE(listed.ok());
  ASSERT_EQ(listed->size(), 2U);
  EXPECT_EQ((*listed)[0].id, "dead");
  EXPECT_TRUE((*listed)[0].deleted);
  EXPECT_EQ((*listed)[0].last_modified, dead);
  EXPECT_EQ(js((*listed)[1].data), js(R"({"n":1})"));
  EXPECT_EQ(c.count(records_), 1U);
  EXPECT_EQ(*c.timestamp(records_), before);
  EXPECT_EQ(c.read([&](Session& s) { return s.timestamp(fresh); }).error().code,
            ErrorCode::kNeedsWrite);
  EXPECT_TRUE(c.read([&](Session& s) { return s.userPrincipals("u"); })->empty());
  std::vector<std::string> uris{"/x"};
  EXPECT_EQ(c.read([&](Session& s) { return s.aces(uris); })->size(), 1U);
  auto size = c.read([&](Session& s) { return s.size(records_); });
  EXPECT_EQ(size->items, 1U);
}

TEST_P(StoreConformance, SemanticErrorsDoNotSpoilTheUnit) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a").ok());
  auto ran = c.run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
    Object a = Client::object("a");
    auto again = s.create(records_, a);
    EXPECT_EQ((co_await again).error().code, ErrorCode::kConflict);
    auto missing = s.remove(records_, "none", 0);
    EXPECT_EQ((co_await missing).error().code, ErrorCode::kNotFound);
    Object b = Client::object("b");
    auto made = s.create(records_, b);
    EXPECT_TRUE((co_await made).ok());
    co_return Verdict::kCommit;
  });
  ASSERT_TRUE(ran.ok()) << ran.error().detail;
  EXPECT_EQ(c.ids(records_), "b a");
}

TEST_P(StoreConformance, UnitSeesItsOwnChanges) {
  Client c = client();
  auto ran = c.run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
    Object o = Client::object("a", R"({"n":1})");
    auto made = s.create(records_, o);
    auto a = co_await made;
    auto reading = s.get(records_, "a");
    EXPECT_TRUE((co_await reading).ok());
    auto stamp = s.timestamp(records_);
    EXPECT_EQ(*(co_await stamp), a->last_modified);
    Query q = where("n", Op::kEq, "1");
    auto counting = s.count(records_, q);
    EXPECT_EQ(*(co_await counting), 1U);
    co_return Verdict::kCommit;
  });
  EXPECT_TRUE(ran.ok() && *ran == Verdict::kCommit);
}

TEST_P(StoreConformance, ReadSessionsDoNotWrite) {
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a").ok());
  Object o = Client::object("b");
  Ace ace{"/x", "read", "u"};
  for (Mode mode : {Mode::kPoint, Mode::kScan}) {
    auto refused = [&](auto f) { return c.call(mode, f).error().code; };
    EXPECT_EQ(refused([&](Session& s) { return s.create(records_, o); }), ErrorCode::kNeedsWrite);
    EXPECT_EQ(refused([&](Session& s) { return s.update(records_, o); }), ErrorCode::kNeedsWrite);
    EXPECT_EQ(refused([&](Session& s) { return s.remove(records_, "a", 0); }),
              ErrorCode::kNeedsWrite);
    EXPECT_EQ(refused([&](Session& s) { return s.addAce(ace); }), ErrorCode::kNeedsWrite);
    EXPECT_EQ(refused([&](Session& s) { return s.flush(); }), ErrorCode::kNeedsWrite);
    // The unit's answer says so as well, unless it found another way.
    auto ran = c.run(mode, [&](Session& s) -> Task<Verdict> {
      EXPECT_FALSE(s.writable());
      auto f = s.flush();
      auto r = co_await f;
      co_return r.ok() ? Verdict::kCommit : Verdict::kRollback;
    });
    EXPECT_EQ(ran.error().code, ErrorCode::kNeedsWrite);
  }
  EXPECT_EQ(c.ids(records_), "a");
}

TEST_P(StoreConformance, UnitsMayRunAgain) {
  // A unit that starts from its inputs each time gives the same result however often it is run: the
  // caller does so after kNeedsWrite, a backend after a conflict.
  Client c = client();
  int runs = 0;
  Work work = [&](Session& s) -> Task<Verdict> {
    ++runs;
    auto stamp = s.timestamp(records_);
    auto t = co_await stamp;
    co_return t.ok() ? Verdict::kCommit : Verdict::kRollback;
  };
  EXPECT_EQ(c.run(Mode::kScan, work).error().code, ErrorCode::kNeedsWrite);
  EXPECT_TRUE(c.run(Mode::kWrite, work).ok());
  Timestamp first = *c.timestamp(records_);
  EXPECT_TRUE(c.run(Mode::kScan, work).ok());
  EXPECT_TRUE(c.run(Mode::kWrite, work).ok());
  EXPECT_EQ(*c.timestamp(records_), first);
  EXPECT_GE(runs, 4);
}

TEST_P(StoreConformance, ThrownExceptionsRollBack) {
  Client c = client();
  auto ran = c.run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
    Object o = Client::object("a");
    auto made = s.create(records_, o);
    EXPECT_TRUE((co_await made).ok());
    throw std::runtime_error("a bug");
  });
  EXPECT_EQ(ran.error().code, ErrorCode::kInternal);
  EXPECT_EQ(c.ids(records_), "");
  EXPECT_TRUE(c.create(records_, "a").ok());
}

TEST_P(StoreConformance, ConcurrentCreatesInOneListAreAllAcceptedAndUnique) {
  constexpr std::size_t kLoops = 4;
  constexpr int kEach = 100;
  constexpr int kAtOnce = 16;
  struct Loop {
    Loop(std::size_t i, TestReactor& r) : index(i), reactor(r) {}
    std::size_t index;
    int next = 0;
    int done = 0;
    std::vector<Timestamp> times;
    std::vector<std::string> errors;
    std::promise<void> finished;
    TestReactor& reactor;
  };
  std::vector<std::unique_ptr<Loop>> loops;
  for (std::size_t i = 0; i < kLoops; ++i) loops.push_back(std::make_unique<Loop>(i + 1, loop(i)));
  std::function<void(Loop&)> start = [&](Loop& loop) {
    if (loop.next == kEach) return;
    std::string id = "r" + std::to_string(loop.index) + "-" + std::to_string(loop.next++);
    auto made = std::make_shared<Result<Object>>(ErrorCode::kInternal, "");
    Work work = [&, id, made](Session& s) -> Task<Verdict> {
      Object o = Client::object(id);
      auto task = s.create(records_, std::move(o));
      *made = co_await task;
      co_return made->ok() ? Verdict::kCommit : Verdict::kRollback;
    };
    opened_.backend->run(
        Mode::kWrite, loop.reactor, Deadline::after(kTestWait), std::move(work),
        [&, made](Result<Verdict> r) {
          if (r.ok() && made->ok()) {
            loop.times.push_back((*made)->last_modified);
          } else {
            loop.errors.push_back(r.ok() ? made->error().message : r.error().message);
          }
          if (++loop.done == kEach) return loop.finished.set_value();
          start(loop);
        });
  };
  for (auto& loop : loops) {
    loop->reactor.post([&start, l = loop.get()] {
      for (int i = 0; i < kAtOnce; ++i) start(*l);
    });
  }
  std::set<Timestamp> times;
  for (auto& loop : loops) {
    loop->finished.get_future().wait();
    EXPECT_TRUE(loop->errors.empty()) << loop->errors.front();
    times.insert(loop->times.begin(), loop->times.end());
  }
  EXPECT_EQ(times.size(), kLoops * kEach);
  Client c = client();
  EXPECT_EQ(c.count(records_), kLoops * kEach);
  EXPECT_EQ(*c.timestamp(records_), *times.rbegin());
}

TEST_P(StoreConformance, ReadsSeeOneState) {
  // Two objects always change together; no reader may see one change without the other.
  Client c = client();
  ASSERT_TRUE(c.create(records_, "a", R"({"n":0})").ok());
  ASSERT_TRUE(c.create(records_, "b", R"({"n":0})").ok());
  std::atomic<bool> enough = false;
  TestReactor& writing = loop(0);
  std::promise<void> wrote;
  std::thread writer([&] {
    Client w(*opened_.backend, writing);
    for (int n = 1; n <= 100; ++n) {
      auto ran = w.run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
        for (const char* id : {"a", "b"}) {
          Object o = Client::object(id, R"({"n":)" + std::to_string(n) + "}");
          auto task = s.update(records_, std::move(o));
          auto r = co_await task;
          if (!r.ok()) co_return Verdict::kRollback;
        }
        co_return Verdict::kCommit;
      });
      EXPECT_TRUE(ran.ok());
    }
    enough = true;
  });
  while (!enough) {
    for (Mode mode : {Mode::kPoint, Mode::kScan}) {
      std::string a;
      std::string b;
      auto ran = c.run(mode, [&](Session& s) -> Task<Verdict> {
        auto first = s.get(records_, "a");
        auto x = co_await first;
        auto second = s.get(records_, "b");
        auto y = co_await second;
        if (!x.ok() || !y.ok()) co_return Verdict::kRollback;
        a = x->data;
        b = y->data;
        co_return Verdict::kCommit;
      });
      EXPECT_TRUE(ran.ok() && *ran == Verdict::kCommit);
      EXPECT_EQ(a, b);
    }
  }
  writer.join();
}

TEST_P(StoreConformance, DeadlineThatHasPassedRunsNothing) {
  Client c = client();
  bool ran_it = false;
  for (Mode mode : {Mode::kPoint, Mode::kScan, Mode::kWrite}) {
    auto ran = c.run(
        mode,
        [&](Session&) -> Task<Verdict> {
          ran_it = true;
          co_return Verdict::kCommit;
        },
        Deadline::after(std::chrono::milliseconds(-1)));
    EXPECT_EQ(ran.error().code, ErrorCode::kTimeout);
  }
  EXPECT_FALSE(ran_it);
}

TEST_P(StoreConformance, PingAnswersAndStopEnds) {
  auto ping = [&](bool write) {
    std::promise<bool> up;
    home_.post([&] {
      opened_.backend->ping(home_, Deadline::after(kTestWait), write,
                            [&](bool ok) { up.set_value(ok); });
    });
    return up.get_future().get();
  };
  EXPECT_TRUE(ping(false));
  EXPECT_TRUE(ping(true));
  opened_.backend->stop(Deadline::after(kTestWait));
  EXPECT_FALSE(ping(false));
  EXPECT_FALSE(ping(true));
  Client c = client();
  EXPECT_EQ(c.create(records_, "a").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(c.get(records_, "a").error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(c.list(records_).error().code, ErrorCode::kUnavailable);
  opened_.backend->stop(Deadline::after(kTestWait));
}

TEST_P(StoreConformance, StopFinishesWhatIsQueued) {
  constexpr int kUnits = 200;
  std::atomic<int> committed = 0;
  std::atomic<int> refused = 0;
  std::promise<void> submitted;
  home_.post([&] {
    for (int i = 0; i < kUnits; ++i) {
      Work work = [&, i](Session& s) -> Task<Verdict> {
        Object o = Client::object("r" + std::to_string(i));
        auto task = s.create(records_, std::move(o));
        auto r = co_await task;
        co_return r.ok() ? Verdict::kCommit : Verdict::kRollback;
      };
      opened_.backend->run(Mode::kWrite, home_, Deadline::after(kTestWait), std::move(work),
                           [&](Result<Verdict> r) { r.ok() ? ++committed : ++refused; });
    }
    submitted.set_value();
  });
  submitted.get_future().wait();
  opened_.backend->stop(Deadline::after(kTestWait));
  home_.run([] {});
  EXPECT_EQ(committed, kUnits);
  EXPECT_EQ(refused, 0);
}

}  // namespace godwit::store
