// bench-links: store pq
// Storage on PostgreSQL against pgbench running the same statements on the same server, in turns.
//   pg_bench [seconds per round] [rounds]
// One loop, 32 units of work at once, against 32 pgbench clients with prepared statements. The
// server is private, on a unix socket, with its usual durability.
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "../tests/pg/cluster.cc"  // the private server of the tests, which this preset leaves out
#include "../tests/pg/node.h"
#include "base/random.h"

namespace godwit::test {
namespace {

constexpr int kAtOnce = 32;

// Keeps kAtOnce units running for a while; returns how many finished per second.
double rate(Node& node, std::chrono::milliseconds span, store::Mode mode,
            const std::function<store::Work()>& next) {
  struct State {
    std::atomic<long> done{0};
    std::atomic<long> failed{0};
    std::atomic<int> running{kAtOnce};
    std::atomic<bool> stop{false};
    std::promise<void> ended;
  };
  auto state = std::make_shared<State>();
  std::function<void()> one = [&, state] {
    if (state->stop) {
      if (--state->running == 0) state->ended.set_value();
      return;
    }
    node.backend().run(mode, node.loop(), Deadline::after(30s), next(),
                       [&, state](Result<store::Verdict> v) {
                         if (v.ok() && *v == store::Verdict::kCommit) {
                           ++state->done;
                         } else {
                           ++state->failed;
                         }
                         one();
                       });
  };
  auto start = Deadline::Clock::now();
  node.loop().post([&] {
    for (int i = 0; i < kAtOnce; ++i) one();
  });
  std::this_thread::sleep_for(span);
  state->stop = true;
  state->ended.get_future().wait();
  double took = std::chrono::duration<double>(Deadline::Clock::now() - start).count();
  if (state->failed > 0) std::printf("  (%ld failed)\n", state->failed.load());
  return static_cast<double>(state->done) / took;
}

std::string pgbenchPath() {
  for (const char* p : {"/usr/lib/postgresql/15/bin/pgbench", "/usr/bin/pgbench"}) {
    if (std::ifstream(p).good()) return p;
  }
  return "pgbench";
}

double pgbench(Cluster& cluster, const std::string& db, const std::string& script, int seconds) {
  std::string file = cluster.folder() + "/script.sql";
  std::ofstream(file) << script;
  std::string log = cluster.folder() + "/pgbench.log";
  std::string command = pgbenchPath() + " -n -M prepared -c 32 -j 1 -T " + std::to_string(seconds) +
                        " -f " + file + " '" + cluster.url(db) + "' > " + log + " 2>&1";
  if (::system(command.c_str()) != 0) std::printf("  (pgbench failed, see %s)\n", log.c_str());
  std::ifstream in(log);
  std::string line;
  double tps = 0;
  while (std::getline(in, line)) {
    if (line.find("number of failed") != std::string::npos &&
        line.find(" 0 (") == std::string::npos) {
      std::printf("  (pgbench: %s)\n", line.c_str());
    }
    if (line.rfind("tps = ", 0) == 0) tps = std::stod(line.substr(6));
  }
  return tps;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

constexpr const char* kSelect =
    "SELECT data, last_modified FROM objects WHERE id = 'hot' AND parent_id ="
    " '/buckets/b/collections/c' AND resource_name = 'record' AND NOT deleted;\n";

// Every client has a list of its own: on one list they would fail on its unique timestamps.
constexpr const char* kInsertOwn =
    "\\set r random(1, 1000000000000)\n"
    "BEGIN;\n"
    "INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted) VALUES"
    " ('p' || :r, '/buckets/b/collections/c' || :client_id, 'record', '{\"title\": \"a first"
    " article about servers\", \"body\": \"some text that makes it a usual size of record\"}', "
    "NULL,"
    " FALSE);\n"
    "INSERT INTO access_control_entries (object_id, permission, principal) VALUES"
    " ('/buckets/b/collections/c' || :client_id || '/records/p' || :r, 'write', 'test');\n"
    "COMMIT;\n";
// On one list, taking turns as every writer of one list must to keep its order.
constexpr const char* kInsertOne =
    "\\set r random(1, 1000000000000)\n"
    "BEGIN;\n"
    "SELECT pg_advisory_xact_lock(hashtext('/buckets/b/collections/one'), hashtext('record'));\n"
    "INSERT INTO objects (id, parent_id, resource_name, data, last_modified, deleted) VALUES"
    " ('p' || :r, '/buckets/b/collections/one', 'record', '{\"title\": \"a first article about"
    " servers\", \"body\": \"some text that makes it a usual size of record\"}', NULL, FALSE);\n"
    "INSERT INTO access_control_entries (object_id, permission, principal) VALUES"
    " ('/buckets/b/collections/one/records/p' || :r, 'write', 'test');\n"
    "COMMIT;\n";
constexpr const char* kData =
    "{\"title\":\"a first article about servers\",\"body\":\"some text that makes it a usual size "
    "of"
    " record\"}";

int run(int seconds, int rounds) {
  Cluster::Settings settings;
  settings.durable = true;
  Cluster cluster(settings);
  auto db = cluster.freshDatabase();
  store::postgresql::Options options(cluster.url(db));
  Node node(options);
  auto span = std::chrono::seconds(seconds);
  static_cast<void>(node.run(store::Mode::kWrite, creating(records("c"), "hot", kData)));

  struct Row {
    const char* name;
    std::vector<double> ours, theirs;
  };
  Row rows[] = {{"load (groups, ACEs, object) vs select", {}, {}},
                {"create on 32 lists vs pgbench on 32", {}, {}},
                {"create on one list vs pgbench on 32", {}, {}},
                {"create on one list vs pgbench on one", {}, {}}};
  for (int i = 0; i < rounds; ++i) {
    rows[0].theirs.push_back(pgbench(cluster, db, kSelect, seconds));
    auto read = [] { return reading(records("c"), "hot", nullptr); };
    rows[0].ours.push_back(rate(node, span, store::Mode::kPoint, read));

    rows[1].theirs.push_back(pgbench(cluster, db, kInsertOwn, seconds));
    rows[2].theirs.push_back(rows[1].theirs.back());
    int n = 0;
    auto own = [&n] {
      return creating(records("c" + std::to_string(n++ % kAtOnce)), uuid4(), kData);
    };
    rows[1].ours.push_back(rate(node, span, store::Mode::kWrite, own));
    rows[3].theirs.push_back(pgbench(cluster, db, kInsertOne, seconds));
    auto one = [] { return creating(records("one"), uuid4(), kData); };
    rows[2].ours.push_back(rate(node, span, store::Mode::kWrite, one));
    rows[3].ours.push_back(rows[2].ours.back());
  }
  std::printf("%-40s %10s %10s %7s\n", "median of rounds, 32 at once", "godwit/s", "pgbench/s",
              "ratio");
  for (auto& r : rows) {
    double a = median(r.ours);
    double b = median(r.theirs);
    std::printf("%-40s %10.0f %10.0f %7.2f\n", r.name, a, b, b > 0 ? a / b : 0);
  }
  auto counters = node.counters();
  std::printf("retried %lu, snapshots %lu, connections %zu\n",
              static_cast<unsigned long>(counters.retried),
              static_cast<unsigned long>(counters.snapshots), counters.pool.open);
  return 0;
}

}  // namespace
}  // namespace godwit::test

int main(int argc, char** argv) {
  int seconds = argc > 1 ? std::atoi(argv[1]) : 5;
  int rounds = argc > 2 ? std::atoi(argv[2]) : 3;
  return godwit::test::run(seconds, rounds);
}
