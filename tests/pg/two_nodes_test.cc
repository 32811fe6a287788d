// Two nodes on one database, asked at the same time: what the API promises holds across them.
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/random.h"
#include "cluster.h"
#include "json/value.h"
#include "kinto/plugins/catalog.h"
#include "server_backends.h"
#include "test_app.h"

namespace godwit::test {
namespace {

using kinto::Seen;

class TwoNodes : public testing::Test {
 protected:
  static constexpr int kNodes = 2;
  static constexpr int kClients = 8;

  TwoNodes() {
    kinto::Config config = kinto::TestApp::basicConfig();
    config.raw["includes"] = "default_bucket";
    for (auto& node : nodes_) {
      auto stores = database_->open();
      stores.keep = database_;
      node =
          std::make_unique<kinto::TestApp>(config, std::move(stores), kinto::choosePlugins(config));
    }
    node(0).put("/buckets/b", "mat");
    node(0).put("/buckets/b/collections/c", "mat");
  }

  kinto::TestApp& node(int i) { return *nodes_[static_cast<std::size_t>(i % kNodes)]; }

  // Runs client(i) for each client at once; client i asks node(i).
  template <class F>
  static void together(int clients, F client) {
    std::vector<std::thread> threads;
    for (int i = 0; i < clients; ++i) threads.emplace_back([client, i] { client(i); });
    for (auto& thread : threads) thread.join();
  }

  static std::string bodyOf(const std::string& members) { return "{\"data\":{" + members + "}}"; }

  // Everything in the list, page by page, each from the other node.
  std::vector<json::Value> all(std::string path) {
    std::vector<json::Value> out;
    for (int turn = 0; !path.empty(); ++turn) {
      Seen seen = node(turn).get(path, "mat");
      EXPECT_EQ(seen.status, 200) << seen.body;
      json::Value body = seen.json();
      for (json::Value& each : body.get("data")->asArray()) out.push_back(std::move(each));
      std::string next = seen.header("Next-Page");
      path = next.empty() ? "" : next.substr(next.find("/buckets/"));
    }
    return out;
  }

  const std::shared_ptr<Database> database_ = Database::empty();
  std::unique_ptr<kinto::TestApp> nodes_[kNodes];
  const std::string records = "/buckets/b/collections/c/records";
};

TEST_F(TwoNodes, what_changed_meanwhile_is_never_overwritten) {
  constexpr int kEach = 15;
  ASSERT_EQ(node(0).put(records + "/n", "mat", bodyOf("\"n\":0")).status, 201);
  std::atomic<int> written = 0, refused = 0;
  together(kClients, [&](int i) {
    for (int done = 0; done < kEach;) {
      Seen seen = node(i).get(records + "/n", "mat");
      int next = std::stoi(seen.at("/data/n")) + 1;
      Seen put = node(i).put(records + "/n", "mat", bodyOf("\"n\":" + std::to_string(next)),
                             {{"If-Match", seen.header("ETag")}});
      if (put.status == 200) ++written, ++done;
      if (put.status == 412) ++refused;
      ASSERT_TRUE(put.status == 200 || put.status == 412) << put.body;
    }
  });
  EXPECT_EQ(node(1).get(records + "/n", "mat").at("/data/n"), std::to_string(kClients * kEach));
  EXPECT_EQ(written, kClients * kEach);
  EXPECT_GT(refused, 0);
}

TEST_F(TwoNodes, of_many_who_create_one_succeeds) {
  for (int round = 0; round < 10; ++round) {
    std::string one = records + "/r" + std::to_string(round);
    std::atomic<int> made = 0, refused = 0, other = 0;
    together(kClients, [&](int i) {
      int status = node(i).put(one, "mat", "{}", {{"If-None-Match", "*"}}).status;
      ++(status == 201 ? made : status == 412 ? refused : other);
    });
    EXPECT_EQ(made, 1);
    EXPECT_EQ(refused, kClients - 1);
    EXPECT_EQ(other, 0);
  }
}

TEST_F(TwoNodes, a_personal_bucket_comes_into_being_once) {
  const std::string mine = "/buckets/default/collections/tasks/records";
  for (const char* user : {"eve", "bob", "zoe"}) {
    together(kClients, [&](int i) {
      Seen seen = node(i).put(mine + "/r" + std::to_string(i), user, bodyOf("\"n\":1"));
      EXPECT_EQ(seen.status, 201) << seen.body;
    });
    EXPECT_EQ(node(0).send("HEAD", mine, user).header("Total-Objects"), std::to_string(kClients));
    EXPECT_EQ(node(1).send("HEAD", "/buckets", user).header("Total-Objects"), "1");
  }
}

TEST_F(TwoNodes, a_filtered_deletion_during_writes_takes_what_matches_and_tells_each) {
  constexpr int kEach = 30;
  std::mutex mu;
  std::set<std::string> made, deleted;
  std::atomic<int> writing = kClients;
  together(kClients + 1, [&](int i) {
    if (i == kClients) {
      bool last = false;
      while (!last) {
        last = writing == 0;
        Seen seen = node(i).del(records + "?kind=old", "mat");
        ASSERT_EQ(seen.status, 200) << seen.body;
        json::Value body = seen.json();
        std::lock_guard lock(mu);
        for (const json::Value& gone : body.get("data")->asArray()) {
          EXPECT_TRUE(deleted.insert(gone.get("id")->asString()).second) << "deleted twice";
        }
      }
      return;
    }
    for (int n = 0; n < kEach; ++n) {
      std::string id = "w" + std::to_string(i) + "-" + std::to_string(n);
      std::string kind = n % 2 ? "old" : "new";
      Seen seen = node(i).put(records + "/" + id, "mat", bodyOf("\"kind\":\"" + kind + "\""));
      EXPECT_EQ(seen.status, 201) << seen.body;
      std::lock_guard lock(mu);
      made.insert(id);
    }
    --writing;
  });
  std::set<std::string> live, tombs;
  std::set<std::string> times;
  for (const json::Value& each : all(records + "?_since=1&_limit=7")) {
    (each.get("deleted") ? tombs : live).insert(each.get("id")->asString());
    EXPECT_TRUE(times.insert(each.get("last_modified")->numberText()).second) << "a time twice";
    if (!each.get("deleted")) {
      EXPECT_EQ(each.get("kind")->asString(), "new");
    }
  }
  EXPECT_EQ(tombs, deleted);
  EXPECT_EQ(deleted.size(), static_cast<std::size_t>(kClients * kEach / 2));
  EXPECT_EQ(live.size() + tombs.size(), made.size());
}

TEST_F(TwoNodes, pages_begun_on_one_go_on_on_the_other_while_it_is_written) {
  constexpr int kBefore = 60;
  for (int i = 0; i < kBefore; ++i) {
    std::string n = std::to_string(i);
    node(0).put(records + "/old" + n, "mat", bodyOf(i % 3 ? "\"n\":" + n : ""));
  }
  std::atomic<bool> stop = false;
  std::thread writer([&] {
    for (int i = 0; !stop; ++i) {
      node(i).put(records + "/new" + std::to_string(i), "mat", bodyOf("\"n\":-1"));
    }
  });
  for (const char* sort : {"n", "-n", "last_modified", "none,-n"}) {
    std::multiset<std::string> seen;
    for (const json::Value& each : all(records + "?like_id=old*&_limit=7&_sort=" + sort)) {
      seen.insert(each.get("id")->asString());
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(kBefore)) << sort;
    EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), seen.size()) << sort;
  }
  stop = true;
  writer.join();
}

TEST_F(TwoNodes, batches_are_whole_or_nothing_whatever_happens_to_the_database) {
  std::atomic<bool> stop = false;
  std::atomic<int> number = 0, acknowledged = 0;
  std::mutex mu;
  std::map<int, int> statuses;  // of batches, by number
  auto client = [&](int i) {
    while (!stop) {
      int mine = number++;
      std::string n = std::to_string(mine);
      auto put = [&](const std::string& id, const std::string& more) {
        return R"({"method":"PUT","path":")" + records + "/" + id + "\"" + more + "}";
      };
      Seen seen = node(i).post("/batch", "mat",
                               "{\"requests\":[" + put("a" + n, "") + "," + put("bad id", "") +
                                   "," + put("a" + n, R"(,"headers":{"If-None-Match":"*"})") + "," +
                                   put("b" + n, R"(,"body":{"data":{"n":)" + n + "}}") + "]}");
      if (seen.status == 200) {
        EXPECT_EQ(seen.at("/responses/0/status"), "201") << seen.body;
        EXPECT_EQ(seen.at("/responses/1/status"), "400") << seen.body;
        EXPECT_EQ(seen.at("/responses/2/status"), "412") << seen.body;
        EXPECT_EQ(seen.at("/responses/3/status"), "201") << seen.body;
        ++acknowledged;
        acknowledged.notify_all();
      } else {
        EXPECT_EQ(seen.status, 503) << seen.body;
        EXPECT_NE(seen.header("Retry-After"), "");
      }
      std::lock_guard lock(mu);
      statuses[mine] = seen.status;
    }
  };
  std::thread clients([&] { together(kClients, client); });
  auto reach = [&](int enough) {
    for (int now = acknowledged; now < enough; now = acknowledged) acknowledged.wait(now);
  };
  // Here, since the server dies with the thread that started it.
  for (int round = 0; round < 3; ++round) {
    reach(acknowledged + 20);
    Cluster::shared().restart();
    reach(acknowledged + 20);
    Cluster::shared().kill();
    Cluster::shared().start();
  }
  reach(acknowledged + 20);
  stop = true;
  clients.join();
  std::set<std::string> there;
  for (const json::Value& each : all(records + "?_limit=1000&_fields=id")) {
    there.insert(each.get("id")->asString());
  }
  for (const auto& [n, status] : statuses) {
    bool first = there.contains("a" + std::to_string(n));
    bool last = there.contains("b" + std::to_string(n));
    EXPECT_EQ(first, last) << "half of batch " << n;
    EXPECT_TRUE(first || status != 200) << "batch " << n << " was acknowledged and is gone";
  }
}

// A row of an index ends at a third of a page; text ends at a null character.
TEST_F(TwoNodes, what_a_database_cannot_hold_is_the_clients_error) {
  const std::string huge = "a" + randomHex(5000);
  const std::string list = "[\"" + huge + "\"]";
  const std::pair<std::string, std::string> cases[] = {
      {"/buckets/" + huge, "{}"},
      {"/buckets/b/collections/" + huge, "{}"},
      {records + "/" + huge, "{}"},
      {records + "/r", R"({"permissions":{"read":)" + list + "}}"},
      {"/buckets/b/groups/g", R"({"data":{"members":)" + list + "}}"},
      {records + "/r", R"({"permissions":{"read":["a\u0000b"]}})"},
      {"/buckets/b/groups/g", R"({"data":{"members":["a\u0000b"]}})"},
      {records + "/r", R"({"data":{"n":1e16001}})"},
  };
  for (const auto& [path, body] : cases) {
    Seen seen = node(0).put(path, "mat", body);
    EXPECT_EQ(seen.status, 400) << path.substr(0, 80) << " " << seen.body;
    Seen after = node(1).get(path, "mat");
    EXPECT_TRUE(after.status == 404 || after.status == 403) << after.status;
    // Nothing of a batch with it is done, and nothing is said to be.
    std::string item = R"({"method":"PUT","path":")" + path + R"(","body":)" + body + "}";
    Seen batch = node(0).post("/batch", "mat",
                              R"({"requests":[{"method":"PUT","path":"/buckets/first"},)" + item +
                                  R"(,{"method":"PUT","path":"/buckets/last"}]})");
    EXPECT_EQ(batch.status, 400) << batch.body;
    EXPECT_EQ(node(1).get("/buckets/first", "mat").status, 403);
    EXPECT_EQ(node(1).get("/buckets/last", "mat").status, 403);
  }
}

}  // namespace
}  // namespace godwit::test
