#include "store/sqlite/engine.h"

namespace godwit::store {
namespace sqlite {
namespace {

class SqliteBackend final : public Backend {
 public:
  explicit SqliteBackend(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  [[nodiscard]] std::string name() const override { return "sqlite"; }

  void run(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) override {
    auto unit = std::make_unique<Unit>();
    unit->home = &home;
    unit->deadline = deadline;
    unit->work = std::move(work);
    unit->done = std::move(done);
    engine_->run(mode, std::move(unit));
  }

  void ping(Reactor& home, Deadline deadline, bool write, std::function<void(bool)> done) override {
    auto unit = std::make_unique<Unit>();
    unit->home = &home;
    unit->deadline = deadline;
    unit->local = [write](SqliteStore& store) -> Result<Verdict> {
      auto r = write ? store.heartbeat() : store.probe();
      if (!r.ok()) return r.error();
      return Verdict::kCommit;
    };
    unit->done = [done = std::move(done)](Result<Verdict> r) { done(r.ok()); };
    engine_->run(write ? Mode::kWrite : Mode::kScan, std::move(unit));
  }

  void runNearby(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) override {
    run(mode, home, deadline, std::move(work), std::move(done));
  }
  void stop(Deadline deadline) override { engine_->stop(deadline); }

 private:
  std::shared_ptr<Engine> engine_;  // shared with the Cache of the same file
};

constexpr auto kCacheDeadline = std::chrono::seconds(5);  // Cache's calls bring none

class SqliteCache final : public Cache {
 public:
  explicit SqliteCache(std::shared_ptr<Engine> engine) : engine_(std::move(engine)) {}

  void get(Reactor& home, std::string_view key, Got done) override {
    query(Mode::kPoint, home, std::move(done),
          [key = std::string(key)](SqliteStore& s) { return s.cacheGet(key); });
  }
  void set(Reactor& home, std::string_view key, std::string value, std::chrono::milliseconds ttl,
           Did done) override {
    query(Mode::kWrite, home, std::move(done),
          [key = std::string(key), value = std::move(value), ttl,
           max = engine_->options().cache_max_bytes](SqliteStore& s) {
            return s.cacheSet(key, value, ttl.count(), max);
          });
  }
  void expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl,
              Did done) override {
    query(Mode::kWrite, home, std::move(done), [key = std::string(key), ttl](SqliteStore& s) {
      return s.cacheExpire(key, ttl.count());
    });
  }
  void take(Reactor& home, std::string_view key, Got done) override {
    query(Mode::kWrite, home, std::move(done),
          [key = std::string(key)](SqliteStore& s) { return s.cacheTake(key); });
  }
  void flush(Reactor& home, Did done) override {
    query(Mode::kWrite, home, std::move(done), [](SqliteStore& s) { return s.cacheFlush(); });
  }
  void ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) override {
    SqliteBackend(engine_).ping(home, deadline, true, std::move(done));
  }

 private:
  // Runs `ask` in a unit of its own and hands what it answered to `done`.
  template <class T, class Ask>
  void query(Mode mode, Reactor& home, std::function<void(Result<T>)> done, Ask ask) {
    auto unit = std::make_unique<Unit>();
    auto answer = std::make_shared<std::optional<T>>();  // filled on another thread, then read
    unit->home = &home;
    unit->deadline = Deadline::after(kCacheDeadline);
    unit->local = [answer, ask = std::move(ask)](SqliteStore& store) -> Result<Verdict> {
      auto r = ask(store);
      if (!r.ok()) return r.error();
      answer->emplace(std::move(*r));
      return Verdict::kCommit;
    };
    unit->done = [answer, done = std::move(done)](Result<Verdict> r) {
      if (!r.ok()) return done(r.error());
      done(std::move(**answer));
    };
    engine_->run(mode, std::move(unit));
  }

  std::shared_ptr<Engine> engine_;  // shared with the Backend of the same file
};

}  // namespace
}  // namespace sqlite

Result<SqliteStores> openSqlite(const SqliteOptions& options) {
  auto engine = sqlite::Engine::open(options);
  if (!engine.ok()) return engine.error();
  SqliteStores out;
  out.backend = std::make_unique<sqlite::SqliteBackend>(*engine);
  out.cache = std::make_unique<sqlite::SqliteCache>(*engine);
  return out;
}

}  // namespace godwit::store
