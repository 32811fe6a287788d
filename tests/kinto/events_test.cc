// What is published of each change: after the commit, one event per kind and list.
#include "kinto/plugins/catalog.h"
#include "scenario_test.h"

namespace godwit::kinto {
namespace {

// Writes down what the bus tells.
class Ear final : public Plugin {
 public:
  struct Heard {
    std::string payload;
    std::size_t objects = 0;
  };
  explicit Ear(std::vector<Heard>& heard, EventBus::Filter filter = {})
      : heard_(heard), filter_(std::move(filter)) {}
  [[nodiscard]] std::string name() const override { return "ear"; }
  Result<void> setUp(Setup& setup) override {
    setup.events().subscribe(filter_, [this](const EventGroup& group) {
      heard_.push_back({payloadOf(group), group.events.size()});
    });
    return {};
  }

 private:
  std::vector<Heard>& heard_;
  EventBus::Filter filter_;
};

class Events : public testing::TestWithParam<std::string> {
 protected:
  void start(EventBus::Filter filter = {}, const std::string& includes = "") {
    Config config = TestApp::basicConfig();
    config.raw["includes"] = includes;
    auto plugins = choosePlugins(config);
    plugins.push_back(std::make_unique<Ear>(heard, std::move(filter)));
    t = std::make_unique<TestApp>(config, GetParam(), std::move(plugins));
  }
  void seed() {
    t->put("/buckets/beers", "mat");
    t->put("/buckets/beers/collections/barley", "mat");
    t->put(records + "/one", "mat", R"({"data":{"n":1}})");
    heard.clear();
  }
  [[nodiscard]] std::string at(std::size_t i, const char* name) const {
    if (i >= heard.size()) return "nothing heard";
    auto parsed = json::parse(heard[i].payload);
    const json::Value* found = parsed->get(name);
    return found ? json::dump(*found) : "";
  }

  std::vector<Ear::Heard> heard;
  std::unique_ptr<TestApp> t;
  const std::string records = "/buckets/beers/collections/barley/records";
};
GODWIT_ON_EACH(Events, TestApp::backends());

TEST_P(Events, the_payload_is_kintos) {
  start();
  seed();
  Seen made = t->put(records + "/two", "mat", R"({"data":{"n":2}})");
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].payload,
            "{\"timestamp\":" + made.at("/data/last_modified") + R"(,"action":"create","uri":")" +
                records + R"(/two","user_id":")" + t->userId("mat") +
                R"(","resource_name":"record","bucket_id":"beers","collection_id":"barley",)"
                R"("record_id":"two"})");
  heard.clear();
  t->patch("/buckets/beers", "mat", R"({"data":{"a":1}})");
  EXPECT_EQ(at(0, "action"), "\"update\"");
  EXPECT_EQ(at(0, "uri"), "\"/buckets/beers\"");
  EXPECT_EQ(at(0, "bucket_id"), "\"beers\"");
  EXPECT_EQ(at(0, "collection_id"), "");
}

TEST_P(Events, a_list_is_named_by_its_own_path) {
  start();
  seed();
  t->post(records, "mat", R"({"data":{"n":2}})");
  EXPECT_EQ(at(0, "uri"), "\"" + records + "\"");
  EXPECT_EQ(at(0, "record_id"), "");
  heard.clear();
  t->del(records, "mat");
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].objects, 2U);
  EXPECT_EQ(at(0, "action"), "\"delete\"");
  EXPECT_EQ(at(0, "uri"), "\"" + records + "\"");
}

TEST_P(Events, nobody_is_null) {
  start();
  t->put("/buckets/beers", "mat", R"({"permissions":{"write":["system.Everyone"]}})");
  heard.clear();
  ASSERT_EQ(t->patch("/buckets/beers", "", R"({"data":{"a":1}})").status, 200);
  EXPECT_EQ(at(0, "user_id"), "null");
}

TEST_P(Events, a_batch_is_one_event_per_kind_and_list) {
  start();
  seed();
  Seen batch = t->post("/batch", "mat", R"({"requests":[
    {"method":"PUT","path":"/buckets/beers/collections/barley/records/a"},
    {"method":"PUT","path":"/buckets/beers/collections/hops"},
    {"method":"PUT","path":"/buckets/beers/collections/hops/records/a"},
    {"method":"DELETE","path":"/buckets/beers/collections/barley/records/one"},
    {"method":"PUT","path":"/buckets/beers/collections/barley/records/b"}]})");
  ASSERT_EQ(batch.status, 200);
  ASSERT_EQ(heard.size(), 4U);
  EXPECT_EQ(heard[0].objects, 2U);
  EXPECT_EQ(at(0, "record_id"), "\"a\"");
  EXPECT_EQ(at(1, "resource_name"), "\"collection\"");
  EXPECT_EQ(at(2, "collection_id"), "\"hops\"");
  EXPECT_EQ(at(3, "action"), "\"delete\"");
}

TEST_P(Events, what_was_not_committed_is_not_told) {
  start();
  seed();
  EXPECT_EQ(t->put(records + "/two", "eve", "{}").status, 403);
  EXPECT_EQ(t->put(records + "/one", "mat", "{}", {{"If-None-Match", "*"}}).status, 412);
  EXPECT_EQ(t->get(records + "/one", "mat").status, 200);
  EXPECT_TRUE(heard.empty());
}

TEST_P(Events, filters_leave_out_the_rest) {
  EventBus::Filter filter;
  filter.actions = {Action::kUpdate, Action::kDelete};
  filter.resources = {"record", "bucket"};
  start(filter);
  seed();
  t->put("/buckets/beers/collections/barley", "mat", R"({"data":{"a":1}})");
  t->put(records + "/two", "mat");
  EXPECT_TRUE(heard.empty());
  t->put(records + "/two", "mat", R"({"data":{"a":1}})");
  t->put("/buckets/beers", "mat", R"({"data":{"a":1}})");
  EXPECT_EQ(heard.size(), 2U);
}

TEST_P(Events, what_comes_into_being_implicitly_is_told) {
  start({}, "default_bucket");
  t->post("/buckets/default/collections/c/records", "mat", R"({"data":{"n":1}})");
  ASSERT_EQ(heard.size(), 3U);
  EXPECT_EQ(at(0, "resource_name"), "\"bucket\"");
  EXPECT_EQ(at(1, "resource_name"), "\"collection\"");
  EXPECT_EQ(at(1, "collection_id"), "\"c\"");
  EXPECT_EQ(at(2, "resource_name"), "\"record\"");
}

TEST(Listeners, settings_that_make_no_sense_are_named) {
  auto refusal = [](std::map<std::string, std::string> settings) {
    Config config = TestApp::basicConfig();
    config.raw["event_listeners"] = "x";
    for (auto& [key, value] : settings) config.raw["event_listeners.x." + key] = value;
    TestApp other;
    App::Parts parts;
    parts.backend = &other.app().backend();
    parts.cache = &other.app().cache();
    parts.plugins = choosePlugins(config);
    auto made = App::make(config, std::move(parts));
    return made.ok() ? "" : made.error().message;
  };
  EXPECT_NE(refusal({}).find("event_listeners.x.use is not set"), std::string::npos);
  EXPECT_EQ(refusal({{"use", "godwit.webhook"}, {"url", "ftp://h"}}),
            "event_listeners.x.url: must begin with http:// or https://");
  EXPECT_EQ(refusal({{"use", "kinto_redis.listeners"}, {"url", "http://h"}}),
            "event_listeners.x.url: must look like redis://[:password@]host[:port][/database]");
  EXPECT_EQ(refusal({{"use", "kinto_redis.listeners"}, {"actions", "create destroy"}}),
            "event_listeners.x.actions: \"destroy\" is none of create, update, delete");
  // Whoever has written a listener in Python learns of it from the log.
  EXPECT_EQ(refusal({{"use", "my.python.module"}}), "");
}

}  // namespace
}  // namespace godwit::kinto
