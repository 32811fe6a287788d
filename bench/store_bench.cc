// bench-links: store base sqlite3
// Storage alone, no HTTP: usage: store_bench [FOLDER] [SECONDS]
//   bare:   a loop over the same tables that commits 64 inserts at a time (synchronous=FULL); the
//           limit of what group commit can reach here
//   write:  64 writers, each waits for its durable answer before it sends the next create
//   load:   the hot read (object, entries of three URIs, groups) on the loop
//   list:   the newest 100 of a list of 100,000
// bare and write alternate in one run, so that a slow disk slows both.
#include <sqlite3.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <vector>

#include "base/random.h"
#include "store/sqlite/sqlite.h"
#include "store/test_reactor.h"

namespace {

using namespace godwit;
using namespace godwit::store;

const Ref kRef{"record", "/buckets/blog/collections/articles"};

std::string data() {
  std::string s = R"({"title":"A title of usual length","body":")";
  s.append(280, 'x');
  return s + R"(","n":12345})";
}

double seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

double cpuSeconds() {
  timespec t = {};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Resident memory that is this process's own (not the page cache of mapped files).
std::size_t rssKib() {
  std::ifstream in("/proc/self/status");
  std::string word;
  while (in >> word) {
    if (word == "VmRSS:") {
      std::size_t kib = 0;
      in >> kib;
      return kib;
    }
  }
  return 0;
}

void check(int rc, sqlite3* db) {
  if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW) return;
  std::fprintf(stderr, "store_bench: %s\n", sqlite3_errmsg(db));
  std::exit(1);
}

// Inserts into the tables of a store that was opened and closed before, nothing around it.
class Bare {
 public:
  explicit Bare(const std::string& path) {
    { auto made = openSqlite(SqliteOptions(path)); }
    check(sqlite3_open_v2(path.c_str(), &db_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, nullptr),
          db_);
    for (const char* sql :
         {"PRAGMA synchronous=FULL", "PRAGMA cache_size=-6144", "PRAGMA wal_autocheckpoint=8192",
          "INSERT INTO lists VALUES (1, '/p', 'record', 0, 0, 0, 0)"}) {
      check(sqlite3_exec(db_, sql, nullptr, nullptr, nullptr), db_);
    }
    prepare("BEGIN IMMEDIATE", &begin_);
    prepare("COMMIT", &commit_);
    prepare("INSERT INTO objects (list, id, last_modified, deleted, data) VALUES (1, ?, ?, 0, ?)",
            &insert_);
  }
  ~Bare() {
    for (auto* s : {begin_, commit_, insert_}) sqlite3_finalize(s);
    sqlite3_close(db_);
  }
  Bare(const Bare&) = delete;
  Bare& operator=(const Bare&) = delete;

  double rowsPerSecond(double for_seconds) {
    std::string body = data();
    auto start = std::chrono::steady_clock::now();
    long n = 0;
    while (seconds(start) < for_seconds) {
      step(begin_);
      for (int i = 0; i < 64; ++i, ++n) {
        std::string id = uuid4();
        sqlite3_bind_text(insert_, 1, id.data(), static_cast<int>(id.size()), SQLITE_STATIC);
        sqlite3_bind_int64(insert_, 2, 1'700'000'000'000 + next_++);
        sqlite3_bind_text(insert_, 3, body.data(), static_cast<int>(body.size()), SQLITE_STATIC);
        step(insert_);
      }
      step(commit_);
    }
    return static_cast<double>(n) / seconds(start);
  }

 private:
  void prepare(const char* sql, sqlite3_stmt** s) {
    check(sqlite3_prepare_v3(db_, sql, -1, SQLITE_PREPARE_PERSISTENT, s, nullptr), db_);
  }
  void step(sqlite3_stmt* s) {
    check(sqlite3_step(s), db_);
    sqlite3_reset(s);
  }

  sqlite3* db_ = nullptr;
  sqlite3_stmt* begin_ = nullptr;
  sqlite3_stmt* commit_ = nullptr;
  sqlite3_stmt* insert_ = nullptr;
  std::int64_t next_ = 0;
};

// `writers` units in flight on one loop; each answer starts the next.
class Writers {
 public:
  Writers(Backend& backend, TestReactor& home, bool with_aces)
      : backend_(backend), home_(home), with_aces_(with_aces) {}

  double rowsPerSecond(double for_seconds, int writers) {
    done_ = 0;
    active_ = writers;
    end_ = std::chrono::steady_clock::now() + std::chrono::duration_cast<std::chrono::nanoseconds>(
                                                  std::chrono::duration<double>(for_seconds));
    auto start = std::chrono::steady_clock::now();
    std::promise<void> finished;
    finished_ = &finished;
    home_.post([&] {
      for (int i = 0; i < writers; ++i) next();
    });
    finished.get_future().wait();
    return static_cast<double>(done_) / seconds(start);
  }

 private:
  void next() {
    if (std::chrono::steady_clock::now() >= end_) {
      if (--active_ == 0) finished_->set_value();
      return;
    }
    Work work = [this, id = uuid4()](Session& s) -> Task<Verdict> {
      Object o;
      o.id = id;
      o.data = data();
      auto creating = s.create(kRef, std::move(o));
      auto made = co_await creating;
      if (!made.ok()) co_return Verdict::kRollback;
      if (with_aces_) {
        std::string uri = kRef.parent + "/records/" + id;
        Permissions p;
        p.emplace_back("write", std::vector<std::string>{"basicauth:" + std::string(64, 'a')});
        auto replacing = s.replaceAces(uri, p);
        auto r = co_await replacing;
        if (!r.ok()) co_return Verdict::kRollback;
      }
      co_return Verdict::kCommit;
    };
    backend_.run(Mode::kWrite, home_, Deadline::after(std::chrono::seconds(30)), std::move(work),
                 [this](Result<Verdict> r) {
                   if (!r.ok() || *r != Verdict::kCommit) {
                     std::fprintf(stderr, "store_bench: a write failed\n");
                     std::exit(1);
                   }
                   ++done_;
                   next();
                 });
  }

  Backend& backend_;
  TestReactor& home_;
  const bool with_aces_;
  // Loop thread only
  long done_ = 0;
  int active_ = 0;
  std::chrono::steady_clock::time_point end_;
  std::promise<void>* finished_ = nullptr;
};

// Mean CPU µs of `f(i)`, run on the loop.
template <class F>
double microseconds(TestReactor& home, double for_seconds, F f) {
  double us = 0;
  home.run([&] {
    auto start = std::chrono::steady_clock::now();
    double cpu = cpuSeconds();
    long n = 0;
    while (seconds(start) < for_seconds) {
      for (int i = 0; i < 50; ++i) f(n++);
    }
    us = (cpuSeconds() - cpu) / static_cast<double>(n) * 1e6;
  });
  return us;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::string folder = argc > 1 ? argv[1] : std::filesystem::temp_directory_path().string();
  double each = argc > 2 ? std::atof(argv[2]) : 1.5;
  std::string base = folder + "/store_bench-" + std::to_string(::getpid());
  std::filesystem::create_directories(base);
  {
    Bare bare(base + "/bare.db");
    auto stores = openSqlite(SqliteOptions(base + "/godwit.db"));
    if (!stores.ok()) {
      std::fprintf(stderr, "store_bench: %s\n", stores.error().message.c_str());
      return 1;
    }
    Backend& backend = *stores->backend;
    TestReactor home;
    Writers plain(backend, home, false);
    Writers with_aces(backend, home, true);
    std::vector<double> b;
    std::vector<double> w;
    std::vector<double> a;
    double cpu = 0;
    double rows = 0;
    for (int round = 0; round < 5; ++round) {
      b.push_back(bare.rowsPerSecond(each));
      double before = cpuSeconds();
      auto start = std::chrono::steady_clock::now();
      w.push_back(plain.rowsPerSecond(each, 64));
      cpu += cpuSeconds() - before;
      rows += w.back() * seconds(start);
      a.push_back(with_aces.rowsPerSecond(each, 64));
    }
    std::printf("bare, 64 inserts a commit        %8.0f rows/s\n", median(b));
    std::printf(
        "write, 64 writers                %8.0f rows/s  %3.0f %% of bare, cpu %.1f us/row\n",
        median(w), median(w) / median(b) * 100, cpu / rows * 1e6);
    std::printf("write + ACE, 64 writers          %8.0f rows/s  %3.0f %% of bare\n", median(a),
                median(a) / median(b) * 100);
    std::printf("write, 1 writer                  %8.0f rows/s\n", plain.rowsPerSecond(each, 1));
    std::printf("RSS after writing                %8zu KiB\n", rssKib());

    // A list of its own, of 100,000, with the entries a real one has.
    const Ref read_ref{"record", "/buckets/b/collections/c"};
    std::vector<std::string> ids;
    for (int i = 0; i < 100'000; ++i) ids.push_back(uuid4());
    for (int batch = 0; batch < 100; ++batch) {
      std::promise<void> filled;
      home.post([&] {
        Work work = [&](Session& s) -> Task<Verdict> {
          for (int i = batch * 1000; i < (batch + 1) * 1000; ++i) {
            Object o;
            o.id = ids[static_cast<std::size_t>(i)];
            o.data = data();
            std::string uri = read_ref.parent + "/records/" + o.id;
            auto creating = s.create(read_ref, std::move(o));
            (void)co_await creating;
            Permissions p;
            p.emplace_back("write", std::vector<std::string>{"basicauth:" + std::string(64, 'a')});
            auto replacing = s.replaceAces(uri, p);
            (void)co_await replacing;
          }
          co_return Verdict::kCommit;
        };
        backend.run(Mode::kWrite, home, Deadline::never(), std::move(work),
                    [&](Result<Verdict>) { filled.set_value(); });
      });
      filled.get_future().wait();
    }

    long found = 0;
    auto load = [&](long i, std::size_t among) {
      std::size_t k = static_cast<std::size_t>(i) * 7919 % among;
      LoadSpec spec;
      spec.user = "basicauth:" + std::string(64, 'a');
      spec.ref = read_ref;
      spec.id = ids[k];
      spec.uris = {read_ref.parent + "/records/" + ids[k], read_ref.parent, "/buckets/b"};
      backend.run(
          Mode::kPoint, home, Deadline::never(),
          [&](Session& s) -> Task<Verdict> {
            auto task = s.load(spec);
            auto loaded = co_await task;
            if (loaded.ok() && loaded->object) ++found;
            co_return Verdict::kCommit;
          },
          [](Result<Verdict>) {});
    };
    std::printf("load, 100 hot of 100,000         %8.2f us\n",
                microseconds(home, each, [&](long i) { load(i, 100); }));
    std::printf("load, all of 100,000             %8.2f us\n",
                microseconds(home, each, [&](long i) { load(i, ids.size()); }));
    auto list = [&](Query& q) {
      backend.run(
          Mode::kPoint, home, Deadline::never(),
          [&](Session& s) -> Task<Verdict> {
            auto task = s.list(read_ref, q);
            auto listed = co_await task;
            if (listed.ok()) found += static_cast<long>(listed->size());
            co_return Verdict::kCommit;
          },
          [](Result<Verdict>) {});
    };
    Query newest;
    newest.limit = 100;
    std::printf("list, newest 100 of 100,000      %8.2f us\n",
                microseconds(home, each, [&](long) { list(newest); }));
    Query filtered;
    filtered.limit = 100;
    Filter f;
    f.field = "n";
    f.op = Op::kLt;
    f.value = json::Value(0);
    filtered.filters.push_back(std::move(f));
    std::printf("filter over 100,000, none match  %8.0f us\n", microseconds(home, 0.1, [&](long i) {
                                                                 if (i % 50 == 0) list(filtered);
                                                               }) * 50);
    std::printf("RSS after reading                %8zu KiB\n", rssKib());
    if (found == 0) return 1;
    backend.stop(Deadline::after(std::chrono::seconds(10)));
  }
  std::filesystem::remove_all(base);
  return 0;
}
