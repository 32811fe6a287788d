#include "agent/config.h"

#include <gtest/gtest.h>

#include "agent/dead_letters.h"
#include "agent/ledger.h"

#include <unistd.h>

#include <filesystem>

namespace godwit::agent {
namespace {

std::string problem(std::string_view text) {
  Config c;
  auto r = c.readText(text, "f.ini");
  if (r) r = c.finish();
  return r ? "" : r.error().message;
}

TEST(Config, file_environment_and_defaults_with_their_origin) {
  Config c;
  ASSERT_TRUE(
      c.readText("[statsd]\nflush_interval = 5s\n# no\n[publisher:a-b]\nurl = http://x\n"
                 "  y\ntype = influxdb\n",
                 "f.ini"));
  const char* env[] = {"GODWIT_AGENT_STATSD_FLUSH_INTERVAL=250ms",
                       "GODWIT_AGENT_ID=me",
                       "GODWIT_AGENT_PUBLISHER_A_B_BATCH=7",
                       "GODWIT_AGENT_NONE=1",
                       "OTHER=1",
                       nullptr};
  ASSERT_TRUE(c.readEnvironment(env));
  EXPECT_EQ(c.section("statsd").duration("flush_interval"), std::chrono::milliseconds(250));
  EXPECT_EQ(c.section("agent").text("id"), "me");
  EXPECT_EQ(c.publishers().at("a-b").integer("batch"), 7);
  EXPECT_EQ(c.publishers().at("a-b").entry("type").origin, "f.ini:7");
  EXPECT_EQ(c.publishers().at("a-b").text("url"), "http://x y");
  EXPECT_EQ(c.section("http").entry("listen").origin, "default");
  EXPECT_EQ(c.notes.size(), 1u);
}

TEST(Config, every_default_is_a_valid_value) {
  for (const OptionDef& o : optionTable()) {
    EXPECT_FALSE(checkValue(o, o.fallback)) << o.section << "." << o.key;
  }
}

TEST(Config, says_what_was_probably_meant) {
  EXPECT_NE(problem("[redis]\nhots = x")
                .find("f.ini:2: unknown key 'hots' in [redis] (did you mean 'host'?)"),
            std::string::npos);
  EXPECT_NE(problem("[publisher:x]\ntype = influxdb2\nurl = http://h\n").find("'org'"),
            std::string::npos);
  EXPECT_NE(problem("[publisher:]\n").find("needs a name"), std::string::npos);
  EXPECT_NE(problem("[publisher:../x]\n").find("needs a name"), std::string::npos);
}

TEST(Config, kadabra_names_as_ini_and_as_json) {
  for (const char* text :
       {"AGENT_CHANNEL_TYPE = redis\nAGENT_CHANNEL_ARGS = {'port': 6500, 'queue_key': 'q'}\n"
        "AGENT_PUBLISHER_TYPE = influxdb\nAGENT_PUBLISHER_ARGS = {'host': 'db', 'database': 'd'}\n"
        "AGENT_NANNY_THRESHOLD_SECONDS = 90.0\nAGENT_RECEIVER_THREADS = 3\n",
        "{\"AGENT_CHANNEL_TYPE\": \"redis\", \"AGENT_CHANNEL_ARGS\": {\"port\": 6500, "
        "\"queue_key\": \"q\"},"
        "\"AGENT_PUBLISHER_TYPE\": \"influxdb\", \"AGENT_PUBLISHER_ARGS\": {\"host\": \"db\", "
        "\"database\": \"d\"},"
        "\"AGENT_NANNY_THRESHOLD_SECONDS\": 90.0, \"AGENT_RECEIVER_THREADS\": 3}"}) {
    Config c;
    auto r = c.readText(text, "k");
    ASSERT_TRUE(r) << r.error().message;
    ASSERT_TRUE(c.finish());
    EXPECT_TRUE(c.section("redis").flag("enabled"));
    EXPECT_EQ(c.section("redis").integer("port"), 6500);
    EXPECT_EQ(c.section("redis").text("queue_key"), "q");
    EXPECT_EQ(c.section("redis").duration("nanny_threshold"), std::chrono::seconds(90));
    const Section& p = c.publishers().at("kadabra");
    EXPECT_EQ(p.text("url"), "http://db:8086");
    EXPECT_EQ(p.text("database"), "d");
    EXPECT_FALSE(c.section("agent").flag("add_host"));
    ASSERT_EQ(c.notes.size(), 1u);
    EXPECT_NE(c.notes[0].find("AGENT_RECEIVER_THREADS has no effect"), std::string::npos);
  }
}

TEST(Config, times_and_sizes_in_every_notation) {
  using namespace std::chrono_literals;
  const std::vector<std::pair<const char*, std::chrono::nanoseconds>> times = {
      {"250ms", 250ms}, {"1.5", 1500ms},
      {"2 s", 2s},      {".5s", 500ms},
      {"2M", 2min},     {"3min", 3min},
      {"1H", 1h},       {"1d", 24h},
      {"10.", 10s},     {"1000000000", 1'000'000'000s},
      {"20us", 20us},   {"700 ns", 700ns}};
  for (const auto& [text, want] : times) {
    Config c;
    ASSERT_TRUE(c.readText(std::string("[statsd]\nflush_interval = ") + text + "\n", "f")) << text;
    EXPECT_EQ(c.section("statsd").duration("flush_interval"), want) << text;
  }
  const std::vector<std::pair<const char*, std::uint64_t>> sizes = {
      {"1000", 1000},       {"64KiB", 65536},
      {"64 k", 65536},      {"8MiB", 8u << 20},
      {"1.5m", 1572864},    {"1GiB", 1u << 30},
      {"2g", 2ull << 30},   {"12B", 12},
      {"10MB", 10'000'000}, {"1000000000000000", 1'000'000'000'000'000}};
  for (const auto& [text, want] : sizes) {
    Config c;
    ASSERT_TRUE(c.readText(std::string("[statsd]\nreceive_buffer = ") + text + "\n", "f")) << text;
    EXPECT_EQ(c.section("statsd").size("receive_buffer"), want) << text;
  }
  for (const char* line :
       {"flush_interval = 0", "flush_interval = -1s", "flush_interval = 1e3", "flush_interval = s",
        "flush_interval = 1 w", "flush_interval = 1.2.3", "flush_interval = 1000000001",
        "flush_interval = 12000d", "receive_buffer = -1", "receive_buffer = 1e3",
        "receive_buffer = 1 TiB", "receive_buffer = KiB", "receive_buffer = 1000000000000001",
        "receive_buffer = 1000000g"}) {
    EXPECT_FALSE(Config().readText(std::string("[statsd]\n") + line + "\n", "f")) << line;
  }
}

TEST(Config, secrets_are_masked) {
  Config c;
  ASSERT_TRUE(c.readText("[http]\ntoken = hush\n", "f"));
  EXPECT_EQ(describeConfig(c).find("hush"), std::string::npos);
}

class Files : public testing::Test {
 protected:
  void SetUp() override {
    dir_ = testing::TempDir() + "agent-" + std::to_string(::getpid());
    std::filesystem::remove_all(dir_);
    std::filesystem::create_directories(dir_);
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }
  std::string dir_;
};

TEST_F(Files, a_dead_letter_comes_once_and_survives) {
  DeadLetter d{1, {2, 3}, 4, 5, 6, kFrameLines, "why", std::string("pay\0load", 8)};
  {
    auto store = DeadLetters::open(dir_ + "/d", 1 << 20);
    ASSERT_TRUE(store);
    EXPECT_TRUE(store->add(d));
    EXPECT_FALSE(store->add(d));
    ASSERT_TRUE(store->flush());
  }
  auto store = DeadLetters::open(dir_ + "/d", 1 << 20);
  ASSERT_TRUE(store);
  EXPECT_FALSE(store->add(d));
  d.index = 6;
  EXPECT_TRUE(store->add(d));
  ASSERT_TRUE(store->flush());
  std::vector<DeadId> ids;
  readDeadLetters(dir_ + "/d", [&](DeadId id, const DeadLetter& x) {
    ids.push_back(id);
    EXPECT_EQ(x.payload, d.payload);
    EXPECT_EQ(x.samples, 6u);
    return true;
  });
  ASSERT_EQ(ids.size(), 2u);
  auto dropped = dropDeadLetters(dir_ + "/d", [&](DeadId id, const DeadLetter&) {
    return deadIdText(id) == deadIdText(ids[0]);
  });
  ASSERT_TRUE(dropped);
  EXPECT_EQ(*dropped, 1u);
  d.index = 7;
  EXPECT_TRUE(store->add(d));
  ASSERT_TRUE(store->flush());  // not into a file that has lost its name
  int n = 0;
  readDeadLetters(dir_ + "/d", [&](DeadId, const DeadLetter&) { return ++n, true; });
  EXPECT_EQ(n, 2);
}

TEST_F(Files, dead_letters_stay_below_their_bound_and_count_what_goes) {
  auto store = DeadLetters::open(dir_ + "/d", 10 << 20);
  ASSERT_TRUE(store);
  std::uint64_t expired = 0;
  for (std::uint32_t i = 0; i < 400; ++i) {
    store->add({1, {1, 1}, i, 0, 1, kFrameLines, "w", std::string(100'000, 'x')});
    ASSERT_TRUE(store->flush());
    expired += store->takeExpired();
  }
  std::uint64_t left = 0;
  readDeadLetters(dir_ + "/d", [&](DeadId, const DeadLetter&) { return ++left, true; });
  EXPECT_EQ(left + expired, 400u);
  EXPECT_LE(store->bytes(), (10u << 20) + (5u << 20));
}

TEST_F(Files, a_ledger_keeps_places_and_account_together) {
  Counts c;
  c.published = 10;
  c.dead = 2;
  c.skipped = 7;
  c.dropped[static_cast<std::size_t>(Drop::kNan)] = 3;
  Places p{{{1, 2}, {{5, 6, 700}, 50}}, {{3, 4}, {{1, 1, 128}, 0}}};
  {
    auto l = Ledger::open(dir_ + "/c");
    ASSERT_TRUE(l);
    EXPECT_TRUE(l->isNew());
    l->add(p, c);
    ASSERT_TRUE(l->store());
  }
  auto l = Ledger::open(dir_ + "/c");
  ASSERT_TRUE(l);
  EXPECT_FALSE(l->isNew());
  EXPECT_EQ(l->places(), p);
  EXPECT_EQ(l->counts(), c);
  EXPECT_EQ(l->counts().consumed(), 15u);
}

}  // namespace
}  // namespace godwit::agent
