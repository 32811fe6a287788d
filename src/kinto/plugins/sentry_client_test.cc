#include "kinto/plugins/sentry_client.h"

#include <gtest/gtest.h>

namespace godwit::kinto {
namespace {

using namespace std::chrono_literals;

TEST(SentryDsn, tells_where_envelopes_go) {
  auto dsn = SentryDsn::parse("https://abc:def@sentry.example.com:9000/some/path/42");
  ASSERT_TRUE(dsn.ok());
  EXPECT_EQ(dsn->envelope_url, "https://sentry.example.com:9000/some/path/api/42/envelope/");
  EXPECT_EQ(dsn->public_key, "abc");
  EXPECT_EQ(SentryDsn::parse("http://k@127.0.0.1/1")->envelope_url,
            "http://127.0.0.1/api/1/envelope/");
  for (const char* bad : {"", "abc", "ftp://k@h/1", "https://h/1", "https://k@h", "https://@h/1",
                          "https://k@h/", "https://k@/1", "https://k k@h/1", "https://a/1@h"}) {
    auto refused = SentryDsn::parse(bad);
    ASSERT_FALSE(refused.ok()) << bad;
    EXPECT_EQ(refused.error().message, "must look like https://key@host/project");
  }
}

TEST(SentryPause, follows_the_headers) {
  EXPECT_EQ(sentryPause(200, "", ""), 0s);
  EXPECT_EQ(sentryPause(429, "", ""), 60s);
  EXPECT_EQ(sentryPause(429, "", "5"), 5s);
  EXPECT_EQ(sentryPause(500, "", "5"), 0s);
  EXPECT_EQ(sentryPause(200, "70:error:organization", ""), 70s);
  EXPECT_EQ(sentryPause(429, "10:transaction:key, 20::organization", "5"), 20s);
  EXPECT_EQ(sentryPause(200, "10:transaction;default:key,nonsense,2:session", ""), 10s);
  EXPECT_EQ(sentryPause(429, "10:transaction:key", "5"), 0s);
  EXPECT_EQ(sentryPause(429, "", "99999999999"), 24h);
}

TEST(ReportGate, lets_a_burst_through_and_then_so_many_per_second) {
  ReportGate gate(3, 1);
  auto now = ReportGate::Clock::now() + 1s;
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(gate.pass(now));
  EXPECT_FALSE(gate.pass(now));
  EXPECT_TRUE(gate.pass(now + 1s));
  EXPECT_FALSE(gate.pass(now + 1500ms));
  EXPECT_TRUE(gate.pass(now + 2s));
  gate.closeUntil(now + 60s);
  EXPECT_FALSE(gate.pass(now + 30s));
  gate.closeUntil(now + 40s);  // a later answer cannot shorten it
  EXPECT_FALSE(gate.pass(now + 59s));
  EXPECT_TRUE(gate.pass(now + 60s));
  EXPECT_EQ(gate.held(), 4U);
}

TEST(Sentry, secrets_are_known_by_their_names) {
  for (const char* name : {"password", "Authorization", "X-Api_Key", "set-cookie", "access_token",
                           "client_secret", "sentry_dsn", "state"}) {
    EXPECT_TRUE(isSecretName(name)) << name;
  }
  EXPECT_FALSE(isSecretName("path"));
  EXPECT_EQ(scrubQuery("_limit=5&token=abc&x&pass%77ord=1&password=a=b"),
            "_limit=5&token=[Filtered]&x&pass%77ord=[Filtered]&password=[Filtered]");
}

TEST(Sentry, an_envelope_states_the_length_of_its_event) {
  EXPECT_EQ(sentryEnvelope("00ff", "2026-01-31T10:00:00.000Z", "{\"a\":1}"),
            "{\"event_id\":\"00ff\",\"sent_at\":\"2026-01-31T10:00:00.000Z\"}\n"
            "{\"type\":\"event\",\"content_type\":\"application/json\",\"length\":7}\n"
            "{\"a\":1}\n");
}

}  // namespace
}  // namespace godwit::kinto
