// Quotas: what is counted, what is refused, and that counting survives everything that changes a
// bucket.
#include <atomic>
#include <thread>

#include "kinto/plugins/catalog.h"
#include "kinto/plugins/quota_limits.h"
#include "scenario_test.h"
#include "store/session.h"

namespace godwit::kinto {
namespace {

using Settings = std::map<std::string, std::string>;

std::unique_ptr<TestApp> withQuotas(const std::string& backend, const Settings& settings = {},
                                    const std::string& others = "") {
  Config config = TestApp::basicConfig();
  config.raw["includes"] = "kinto.plugins.quotas " + others;
  for (const auto& [key, value] : settings) config.raw[key] = value;
  auto plugins = choosePlugins(config);
  return std::make_unique<TestApp>(config, backend, std::move(plugins));
}

// As Kinto measured it: JSON in ASCII, without white space.
std::int64_t sizeOf(const Seen& seen) {
  return static_cast<std::int64_t>(json::dump(*seen.json().get("data")).size());
}

// "collections/records/bytes" of a bucket, "records/bytes" of a collection, as stored.
std::string stored(TestApp& t, const std::string& uri) {
  bool bucket = uri.find("/collections/") == std::string::npos;
  store::Ref list{"quota", uri};
  std::string data = t.inStore([&](store::Session& s) -> Task<std::string> {
    auto row = co_await s.get(list, bucket ? "bucket_info" : "collection_info");
    co_return row.ok() ? row->data : std::string();
  });
  if (data.empty()) return "none";
  json::Value v = *json::parse(data);
  auto at = [&](const char* name) { return json::dump(*v.get(name)); };
  std::string out = at("record_count") + "/" + at("storage_size");
  return bucket ? at("collection_count") + "/" + out : out;
}

std::string text(std::int64_t a, std::int64_t b, std::int64_t bytes) {
  return std::to_string(a) + "/" + std::to_string(b) + "/" + std::to_string(bytes);
}

class Quotas : public testing::TestWithParam<std::string> {
 protected:
  void start(const Settings& settings = {}, const std::string& others = "") {
    t = withQuotas(GetParam(), settings, others);
  }
  void seed() {
    bucket = sizeOf(t->put("/buckets/test", "mat"));
    collection = sizeOf(t->put("/buckets/test/collections/col", "mat"));
    record = sizeOf(t->put(records + "/rec", "mat", R"({"data":{"foo":42}})"));
  }
  void refused(const Seen& seen, const std::string& message) {
    EXPECT_EQ(seen.status, 507);
    EXPECT_EQ(seen.at("/code"), "507");
    EXPECT_EQ(seen.at("/errno"), "121");
    EXPECT_EQ(seen.at("/error"), "\"Insufficient Storage\"");
    EXPECT_EQ(seen.at("/message"), "\"" + message + "\"");
  }

  std::unique_ptr<TestApp> t;
  std::int64_t bucket = 0, collection = 0, record = 0;
  const std::string records = "/buckets/test/collections/col/records";
};
GODWIT_ON_EACH(Quotas, TestApp::backends());

TEST_P(Quotas, the_capability_names_them) {
  start();
  EXPECT_EQ(t->get("/").at("/capabilities/quotas"),
            R"({"description":"Quotas Management on buckets and collections.",)"
            R"("url":"https://kinto.readthedocs.io"})");
}

TEST_P(Quotas, what_is_made_is_counted) {
  start();
  seed();
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
  EXPECT_EQ(stored(*t, "/buckets/test/collections/col"),
            "1/" + std::to_string(collection + record));
  std::int64_t group =
      sizeOf(t->put("/buckets/test/groups/grp", "mat", R"({"data":{"members":["elle"]}})"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record + group));
  // POST names neither record nor collection in its path.
  std::int64_t more = sizeOf(t->post(records, "mat", R"({"data":{"name":"é"}})"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 2, bucket + collection + record + group + more));
  Seen posted = t->post("/buckets/test/collections", "mat");
  std::string id = posted.at("/data/id");
  id = id.substr(1, id.size() - 2);
  EXPECT_EQ(stored(*t, "/buckets/test/collections/" + id), "0/" + std::to_string(sizeOf(posted)));
}

TEST_P(Quotas, an_object_counts_with_the_length_of_its_json) {
  start();
  t->put("/buckets/test", "mat", R"({"data":{"last_modified":1700000000000}})");
  EXPECT_EQ(stored(*t, "/buckets/test"), "0/0/43");  // {"id":"test","last_modified":1700000000000}
  t->put("/buckets/wide", "mat", R"({"data":{"n":"é€😀","last_modified":1700000000000}})");
  // 43 as above, ,"n":"" and 6 characters for each of four \uXXXX.
  EXPECT_EQ(stored(*t, "/buckets/wide"), "0/0/74");
}

TEST_P(Quotas, updates_count_the_difference) {
  start();
  seed();
  bucket = sizeOf(t->patch("/buckets/test", "mat", R"({"data":{"foo":"baz"}})"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
  collection =
      sizeOf(t->patch("/buckets/test/collections/col", "mat", R"({"data":{"foo":"baz"}})"));
  record = sizeOf(t->put(records + "/rec", "mat", R"({"data":{}})"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
  EXPECT_EQ(stored(*t, "/buckets/test/collections/col"),
            "1/" + std::to_string(collection + record));
}

TEST_P(Quotas, what_is_deleted_is_counted_off) {
  start();
  seed();
  t->put(records + "/second", "mat", R"({"data":{"bar":1}})");
  t->del(records + "/second", "mat");
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
  for (int i = 0; i < 5; ++i) t->post(records, "mat", R"({"data":{"n":1}})");
  EXPECT_EQ(t->del(records, "mat").status, 200);
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 0, bucket + collection));
  EXPECT_EQ(stored(*t, "/buckets/test/collections/col"), "0/" + std::to_string(collection));
}

TEST_P(Quotas, a_deleted_collection_takes_its_records_along) {
  start();
  seed();
  for (int i = 0; i < 3; ++i) t->post(records, "mat", R"({"data":{"n":1}})");
  EXPECT_EQ(t->del("/buckets/test/collections/col", "mat").status, 200);
  EXPECT_EQ(stored(*t, "/buckets/test"), text(0, 0, bucket));
  EXPECT_EQ(stored(*t, "/buckets/test/collections/col"), "none");
  // Made again it starts from nothing.
  collection = sizeOf(t->put("/buckets/test/collections/col", "mat"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 0, bucket + collection));
  EXPECT_EQ(stored(*t, "/buckets/test/collections/col"), "0/" + std::to_string(collection));
  EXPECT_EQ(t->del("/buckets/test/collections", "mat").status, 200);
  EXPECT_EQ(stored(*t, "/buckets/test"), text(0, 0, bucket));
}

TEST_P(Quotas, a_deleted_bucket_leaves_no_counts) {
  start();
  seed();
  EXPECT_EQ(t->del("/buckets/test", "mat").status, 200);
  EXPECT_EQ(stored(*t, "/buckets/test"), "none");
  EXPECT_EQ(stored(*t, "/buckets/test/collections/col"), "none");
  seed();
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
}

TEST_P(Quotas, a_batch_is_counted_once_as_a_whole) {
  start();
  seed();
  Seen batch = t->post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/test/collections/a","body":{"data":{"attr":1}}},
    {"method":"PUT","path":"/buckets/test/collections/a/records/x"},
    {"method":"DELETE","path":"/buckets/test/collections/a"},
    {"method":"DELETE","path":"/buckets/test/collections/col"},
    {"method":"PUT","path":"/buckets/test/collections/a","body":{"data":{"attr":2}}},
    {"method":"PUT","path":"/buckets/test/collections/a/records/y"}]})");
  ASSERT_EQ(batch.status, 200) << batch.body;
  std::int64_t a = sizeOf(t->get("/buckets/test/collections/a", "mat"));
  std::int64_t y = sizeOf(t->get("/buckets/test/collections/a/records/y", "mat"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + a + y));
  EXPECT_EQ(stored(*t, "/buckets/test/collections/a"), "1/" + std::to_string(a + y));
  EXPECT_EQ(stored(*t, "/buckets/test/collections/col"), "none");
}

TEST_P(Quotas, what_fails_in_a_batch_is_not_counted) {
  start();
  seed();
  Seen batch = t->post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/test/collections/col/records/x","body":{"data":{"a":1}}},
    {"method":"PUT","path":"/buckets/test/collections/no/records/x","body":{"data":{"a":1}}}]})");
  ASSERT_EQ(batch.at("/responses/1/status"), "404");
  std::int64_t x = sizeOf(t->get(records + "/x", "mat"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 2, bucket + collection + record + x));
}

TEST_P(Quotas, the_default_bucket_is_counted_too) {
  start({}, "default_bucket");
  Seen made = t->post("/buckets/default/collections/c/records", "mat", R"({"data":{"a":1}})");
  ASSERT_EQ(made.status, 201);
  std::string id = t->get("/", "mat").at("/user/bucket");
  std::string uri = "/buckets/" + id.substr(1, id.size() - 2);
  std::int64_t all =
      sizeOf(t->get(uri, "mat")) + sizeOf(t->get(uri + "/collections/c", "mat")) + sizeOf(made);
  EXPECT_EQ(stored(*t, uri), text(1, 1, all));
}

TEST_P(Quotas, a_full_bucket_refuses_bytes) {
  start({{"quotas.bucket_max_bytes", "150"}});
  seed();
  Seen r = t->post(records, "mat", R"({"data":{"foo":42}})");
  ASSERT_EQ(r.status, 507);
  EXPECT_NE(r.body.find("Bucket maximum total size exceeded ("), std::string::npos) << r.body;
  EXPECT_NE(r.body.find(" > 150 Bytes). \""), std::string::npos) << r.body;
  EXPECT_EQ(t->post("/buckets/test/collections", "mat").status, 507);
  EXPECT_EQ(t->put("/buckets/test/groups/g", "mat", R"({"data":{"members":["elle"]}})").status,
            507);
  std::string longer = R"({"data":{"foo":42,"bar":"This is a very long string."}})";
  EXPECT_EQ(t->patch(records + "/rec", "mat", longer).status, 507);
  EXPECT_EQ(t->patch("/buckets/test/collections/col", "mat", longer).status, 507);
  // Nothing of it happened.
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
  EXPECT_EQ(t->get(records, "mat").json().get("data")->asArray().size(), 1U);
  EXPECT_EQ(t->get(records + "/rec", "mat").at("/data/bar"), "");
  // Other buckets have room of their own.
  EXPECT_EQ(t->put("/buckets/other", "mat").status, 201);
}

TEST_P(Quotas, each_limit_has_its_message) {
  struct Case {
    const char* key;
    const char* limit;
    std::string message;
  };
  const Case cases[] = {
      {"quotas.bucket_max_items", "1",
       "Bucket maximum number of objects exceeded (2 > 1 objects)."},
      {"quotas.bucket_test_max_items", "1",
       "Bucket maximum number of objects exceeded (2 > 1 objects)."},
      {"quotas.collection_max_items", "1",
       "Collection maximum number of objects exceeded (2 > 1 objects)."},
      {"quotas.collection_test_max_items", "1",
       "Collection maximum number of objects exceeded (2 > 1 objects)."},
      {"quotas.collection_test_col_max_items", "1",
       "Collection maximum number of objects exceeded (2 > 1 objects)."},
      {"quotas.bucket_test_max_bytes", "150",
       "Bucket maximum total size exceeded (197 > 150 Bytes). "},
      {"quotas.collection_max_bytes", "100", "Collection maximum size exceeded (154 > 100 Bytes)."},
      {"quotas.collection_test_max_bytes", "100",
       "Collection maximum size exceeded (154 > 100 Bytes)."},
      {"quotas.collection_test_col_max_bytes", "100",
       "Collection maximum size exceeded (154 > 100 Bytes)."},
      {"quotas.bucket_max_bytes_per_item", "60",
       "Maximum bytes per object exceeded (61 > 60 Bytes."},
      {"quotas.bucket_test_max_bytes_per_item", "60",
       "Maximum bytes per object exceeded (61 > 60 Bytes."},
      {"quotas.collection_max_bytes_per_item", "60",
       "Maximum bytes per object exceeded (61 > 60 Bytes."},
      {"quotas.collection_test_max_bytes_per_item", "60",
       "Maximum bytes per object exceeded (61 > 60 Bytes."},
      {"quotas.collection_test_col_max_bytes_per_item", "60",
       "Maximum bytes per object exceeded (61 > 60 Bytes."},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.key);
    start({{c.key, c.limit}});
    seed();
    Seen r = t->put(records + "/second", "mat", R"({"data":{"foo":"1234567"}})");
    refused(r, c.message);
    EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
    // A limit of somewhere else is none of theirs.
    EXPECT_EQ(t->put("/buckets/else", "mat").status, 201);
  }
}

TEST_P(Quotas, the_nearest_setting_wins) {
  start({{"quotas.collection_max_items", "0"},
         {"quotas.collection_test_max_items", "1"},
         {"quotas.collection_test_col_max_items", "2"},
         {"quotas.bucket_max_items", "0"},
         {"quotas.bucket_test_max_items", "3"}});
  seed();
  EXPECT_EQ(t->put(records + "/2", "mat").status, 201);
  EXPECT_EQ(t->put(records + "/3", "mat").status, 507);
  EXPECT_EQ(t->put("/buckets/test/collections/b", "mat").status, 201);
  EXPECT_EQ(t->put("/buckets/test/collections/b/records/1", "mat").status, 201);
  EXPECT_EQ(t->put("/buckets/test/collections/b/records/2", "mat").status, 507);
  EXPECT_EQ(t->put("/buckets/empty", "mat").status, 201);
  EXPECT_EQ(t->put("/buckets/empty/collections/c", "mat").status, 201);
  EXPECT_EQ(t->put("/buckets/empty/collections/c/records/1", "mat").status, 507);
}

TEST_P(Quotas, what_frees_room_is_accepted_even_above_a_limit) {
  start({{"quotas.bucket_max_items", "1"}, {"quotas.bucket_max_bytes", "150"}});
  seed();
  // As if the limits had been lowered.
  store::Ref list{"quota", "/buckets/test"};
  t->inStore([&](store::Session& s) -> Task<std::string> {
    store::Object row;
    row.id = "bucket_info";
    row.data = R"({"collection_count":1,"record_count":7,"storage_size":900})";
    auto written = co_await s.update(list, std::move(row));
    co_return written.ok() ? "" : written.error().message;
  });
  EXPECT_EQ(t->put(records + "/rec", "mat", R"({"data":{}})").status, 200);
  EXPECT_EQ(t->del(records + "/rec", "mat").status, 200);
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 6, 900 - record));
  EXPECT_EQ(t->put(records + "/rec", "mat").status, 507);
}

TEST_P(Quotas, one_request_too_many_fails_the_whole_batch) {
  start({{"quotas.collection_max_items", "2"}});
  seed();
  std::string body = R"({"defaults":{"method":"POST","path":")" + records +
                     R"("},"requests":[{"body":{"data":{"a":1}}},{"body":{"data":{"a":2}}}]})";
  refused(t->post("/batch", "mat", body),
          "Collection maximum number of objects exceeded (3 > 2 objects).");
  EXPECT_EQ(t->get(records, "mat").json().get("data")->asArray().size(), 1U);
  EXPECT_EQ(stored(*t, "/buckets/test"), text(1, 1, bucket + collection + record));
}

TEST_P(Quotas, counts_of_a_kinto_database_go_on) {
  start({{"quotas.bucket_max_items", "5"}});
  t->put("/buckets/test", "mat");
  store::Ref list{"quota", "/buckets/test"};
  t->inStore([&](store::Session& s) -> Task<std::string> {
    store::Object row;
    row.id = "bucket_info";
    row.data = R"({"record_count":4,"storage_size":500,"collection_count":2})";
    auto written = co_await s.update(list, std::move(row));
    co_return written.ok() ? "" : written.error().message;
  });
  collection = sizeOf(t->put("/buckets/test/collections/col", "mat"));
  record = sizeOf(t->put(records + "/rec", "mat"));
  EXPECT_EQ(stored(*t, "/buckets/test"), text(3, 5, 500 + collection + record));
  EXPECT_EQ(t->put(records + "/more", "mat").status, 507);
}

TEST_P(Quotas, concurrent_writers_never_exceed_a_limit) {
  constexpr int kThreads = 8, kEach = 12, kLimit = 40;
  start({{"quotas.bucket_max_items", std::to_string(kLimit)}});
  t->put("/buckets/test", "mat");
  for (const char* c : {"a", "b"}) t->put(std::string("/buckets/test/collections/") + c, "mat");
  std::atomic<int> made{0}, refused{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      std::string path = std::string("/buckets/test/collections/") + (i % 2 ? "a" : "b");
      for (int n = 0; n < kEach; ++n) {
        int status = t->post(path + "/records", "mat", R"({"data":{"n":1}})").status;
        if (status == 201) ++made;
        if (status == 507) ++refused;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(made, kLimit);
  EXPECT_EQ(refused, kThreads * kEach - kLimit);
}

TEST(QuotaLimits, a_setting_that_is_no_size_is_named) {
  Config config;
  config.raw["quotas.bucket_max_bytes"] = "lots";
  auto limits = QuotaLimits::read(config);
  ASSERT_FALSE(limits.ok());
  EXPECT_EQ(limits.error().message,
            "quotas.bucket_max_bytes: \"lots\" is neither a number nor a size");
  config.raw["quotas.bucket_max_bytes"] = "10MiB";
  EXPECT_EQ(QuotaLimits::read(config)->ofBucket("b", QuotaLimits::Measure::kBytes), 10 << 20);
}

}  // namespace
}  // namespace godwit::kinto
