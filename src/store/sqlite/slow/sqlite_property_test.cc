#include <random>

#include "base/clock.h"
#include "store/conformance.h"
#include "store/memory/memory.h"
#include "store/sqlite/scratch.h"
#include "store/sqlite/sqlite.h"

// Random sequences of operations give the same answers on memory and on SQLite, to the byte.
namespace godwit::store {
namespace {

std::string show(const Object& o) {
  return o.id + "@" + std::to_string(o.last_modified) + (o.deleted ? "!" : "=") + o.data;
}
template <class T, class F>
std::string show(const Result<T>& r, F f) {
  if (!r.ok()) return "error " + std::to_string(static_cast<int>(r.error().code));
  return f(*r);
}
std::string showObject(const Result<Object>& r) {
  return show(r, [](const Object& o) { return show(o); });
}
std::string showAces(std::vector<Ace> aces) {
  std::sort(aces.begin(), aces.end(), [](const Ace& a, const Ace& b) {
    return std::tie(a.uri, a.permission, a.principal) < std::tie(b.uri, b.permission, b.principal);
  });
  std::string out;
  for (const Ace& a : aces) out += a.uri + " " + a.permission + " " + a.principal + ";";
  return out;
}

// One random operation, drawn before it runs so that both stores do the same.
class Operation {
 public:
  explicit Operation(std::mt19937& random) : random_(random) {
    kind_ = below(24);
    commit_ = below(8) != 0;
    ref_ = {below(4) ? "record" : "group", parent()};
    id_ = "r" + std::to_string(below(12));
    data_ = json();
    requested_ = below(3) ? 0 : 1'000'000 + below(60);
    query_ = query();
    pattern_ = below(2) ? parent() : "/buckets/" + std::string(below(2) ? "a" : "b") + "/*";
    principal_ = "p" + std::to_string(below(4));
    uri_ = parent() + "/records/" + id_;
    keep_ = static_cast<std::uint64_t>(below(5));
    tombstones_ = below(2) == 0;
  }

  Task<std::string> run(Session& s) const {
    std::string out = std::to_string(kind_) + " ";
    switch (kind_) {
      case 0:
      case 1:
      case 2: {
        Object o = Client::object(id_, data_, requested_);
        auto task = s.create(ref_, std::move(o));
        auto r = co_await task;
        out += showObject(r);
        break;
      }
      case 3:
      case 4: {
        Object o = Client::object(id_, data_, requested_);
        auto task = s.update(ref_, std::move(o));
        auto r = co_await task;
        out += showObject(r);
        break;
      }
      case 5:
      case 6: {
        auto task = s.remove(ref_, id_, requested_);
        auto r = co_await task;
        out += showObject(r);
        break;
      }
      case 7: {
        auto task = s.get(ref_, id_);
        auto r = co_await task;
        out += showObject(r);
        break;
      }
      case 8:
      case 9:
      case 10: {
        auto task = s.list(ref_, query_);
        auto r = co_await task;
        out += show(r, [](const auto& objects) {
          std::string all;
          for (const Object& o : objects) all += show(o) + ",";
          return all;
        });
        break;
      }
      case 11: {
        auto task = s.count(ref_, query_);
        auto r = co_await task;
        out += show(r, [](std::uint64_t n) { return std::to_string(n); });
        break;
      }
      case 12: {
        Ref ref{tombstones_ ? "" : ref_.resource, pattern_};
        auto task = s.removeAll(ref, query_, tombstones_);
        auto r = co_await task;
        out += show(r, [](const auto& gone) {
          std::string all;
          for (const auto& g : gone) all += g.parent + ":" + show(g.tombstone) + ",";
          return all;
        });
        break;
      }
      case 13: {
        Ref ref{"", pattern_};
        std::optional<Timestamp> before;
        if (tombstones_) before = requested_;
        auto task = s.purgeTombstones(ref, before);
        auto r = co_await task;
        out += show(r, [](std::uint64_t n) { return std::to_string(n); });
        break;
      }
      case 14: {
        auto task = s.trimTombstones(ref_.resource, keep_);
        auto r = co_await task;
        out += show(r, [](std::uint64_t n) { return std::to_string(n); });
        break;
      }
      case 15: {
        auto task = s.trimObjects(ref_, query_, keep_);
        auto r = co_await task;
        out += show(r, [](std::uint64_t n) { return std::to_string(n); });
        break;
      }
      case 16: {
        auto task = s.timestamp(ref_);
        auto r = co_await task;
        out += show(r, [](Timestamp t) { return std::to_string(t); });
        break;
      }
      case 17: {
        auto task = s.removeTimestamps(pattern_);
        auto r = co_await task;
        out += r.ok() ? "ok" : "error";
        break;
      }
      case 18: {
        auto task = s.addUserPrincipal(principal_, uri_);
        auto r = co_await task;
        auto reading = s.userPrincipals(principal_);
        auto all = co_await reading;
        out += r.ok() ? "ok " : "error ";
        out += show(all, [](const auto& v) {
          std::string joined;
          for (const auto& p : v) joined += p + ",";
          return joined;
        });
        break;
      }
      case 19: {
        std::string pattern = pattern_ + (tombstones_ ? "*" : "/records/" + id_);
        auto task = s.removePrincipal(pattern);
        auto r = co_await task;
        out += r.ok() ? "ok" : "error";
        break;
      }
      case 20: {
        Permissions p;
        p.emplace_back("read", std::vector<std::string>{principal_, "p0"});
        if (tombstones_) p.emplace_back("write", std::vector<std::string>());
        auto task = s.replaceAces(uri_, p);
        auto r = co_await task;
        Ace ace{uri_, "write", principal_};
        auto adding = s.addAce(ace);
        auto q = co_await adding;
        out += r.ok() && q.ok() ? "ok" : "error";
        break;
      }
      case 21: {
        std::vector<std::string> patterns{pattern_ + "/records/" + id_, pattern_};
        auto task = s.removeAces(patterns);
        auto r = co_await task;
        out += r.ok() ? "ok" : "error";
        break;
      }
      case 22: {
        std::vector<std::string> principals{principal_, "p0"};
        std::vector<Session::Bound> bound;
        if (keep_ > 0) bound.push_back({pattern_ + "/records/*", "read"});
        if (keep_ > 2) bound.push_back({pattern_, "write"});
        auto task = s.accessible(principals, bound, tombstones_);
        auto r = co_await task;
        out += show(r, [](const auto& aces) { return showAces(aces); });
        break;
      }
      default: {
        auto counting = s.counts();
        auto r = co_await counting;
        Ref ref{"", pattern_};
        auto sizing = s.size(ref);
        auto z = co_await sizing;
        out += show(r, [](const auto& c) {
          std::string all;
          for (const auto& [k, n] : c.objects) all += k + std::to_string(n) + " ";
          for (const auto& [k, n] : c.tombstones) all += "-" + k + std::to_string(n) + " ";
          return all;
        });
        out += show(z, [](const auto& v) {
          return std::to_string(v.items) + "/" + std::to_string(v.bytes);
        });
      }
    }
    co_return out;
  }

  [[nodiscard]] bool commits() const { return commit_; }

 private:
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  std::string parent() {
    constexpr const char* kParents[] = {"/buckets/a", "/buckets/a/collections/x",
                                        "/buckets/a/collections/y", "/buckets/b/collections/x"};
    return kParents[below(4)];
  }
  std::string json() {
    constexpr const char* kValues[] = {"1",    "2",          "-1.5",       R"("b")", R"("a")",
                                       "true", R"([1,"b"])", R"({"k":1})", "null"};
    std::string out = "{";
    if (below(4)) out += std::string(R"("v":)") + kValues[below(9)];
    if (below(2)) out += std::string(out.size() > 1 ? "," : "") + R"("w":)" + kValues[below(9)];
    return out + "}";
  }
  Query query() {
    constexpr Op kOps[] = {Op::kEq,  Op::kNot, Op::kLt,      Op::kGt, Op::kMin,
                           Op::kMax, Op::kIn,  Op::kExclude, Op::kHas};
    Query q;
    for (int n = below(3); n > 0; --n) {
      Op op = kOps[below(9)];
      std::string field = below(3) ? "v" : (below(2) ? "last_modified" : "id");
      std::string value = field == "v" ? "1" : (field == "id" ? R"("r5")" : "1000020");
      if (op == Op::kIn || op == Op::kExclude) value = "[" + value + "]";
      if (op == Op::kHas) value = below(2) ? "true" : "false";
      q.filters.push_back(filter(field, op, value));
    }
    constexpr const char* kFields[] = {"v", "w", "id", "last_modified"};
    for (int n = below(3); n > 0; --n) q.sort.push_back({kFields[below(4)], below(2) == 0});
    if (below(2)) q.limit = static_cast<std::uint64_t>(below(6));
    q.include_deleted = below(2) == 0;
    return q;
  }

  std::mt19937& random_;
  int kind_ = 0;
  bool commit_ = true;
  Ref ref_;
  std::string id_;
  std::string data_;
  Timestamp requested_ = 0;
  Query query_;
  std::string pattern_;
  std::string principal_;
  std::string uri_;
  std::uint64_t keep_ = 0;
  bool tombstones_ = false;
};

void compareStores(unsigned seed, int rounds) {
  Scratch scratch;
  ManualClock clock(1'000'050'000'000);
  SqliteOptions options(scratch.file("godwit.db"));
  options.clock = &clock;
  auto stores = openSqlite(options);
  ASSERT_TRUE(stores.ok());
  auto memory = makeMemoryBackend(clock);
  TestReactor home;
  Client on_sqlite(*stores->backend, home);
  Client on_memory(*memory, home);
  std::mt19937 random(seed);
  for (int round = 0; round < rounds; ++round) {
    if (random() % 4 == 0) clock.advanceNs(1'000'000);
    std::vector<Operation> operations;
    for (unsigned n = 1 + random() % 4; n > 0; --n) operations.emplace_back(random);
    bool commit = operations.front().commits();
    std::string answers[2];
    for (int i = 0; i < 2; ++i) {
      Client& c = i == 0 ? on_sqlite : on_memory;
      auto ran = c.run(Mode::kWrite, [&](Session& s) -> Task<Verdict> {
        answers[i].clear();
        for (const Operation& operation : operations) {
          auto task = operation.run(s);
          std::string one = co_await task;
          answers[i] += one + "\n";
        }
        co_return commit ? Verdict::kCommit : Verdict::kRollback;
      });
      ASSERT_TRUE(ran.ok()) << ran.error().message << ran.error().detail;
    }
    ASSERT_EQ(answers[0], answers[1]) << "seed " << seed << " round " << round;
  }
  stores->backend->stop(Deadline::after(kTestWait));
}

TEST(SqliteProperty, AnswersAreMemorys) {
  for (unsigned seed = 1; seed <= 8; ++seed) compareStores(seed, 400);
}

}  // namespace
}  // namespace godwit::store
