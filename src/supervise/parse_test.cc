#include <gtest/gtest.h>

#include "supervise/deadlines.h"
#include "supervise/listen_spec.h"
#include "supervise/ready_spec.h"
#include "supervise/signals.h"
#include "supervise/units.h"
#include "supervise/words.h"

namespace godwit::supervise {
namespace {

TEST(Units, durations) {
  EXPECT_EQ(parseDuration("30"), 30 * kSecond);
  EXPECT_EQ(parseDuration("1.5"), 1500 * kMs);
  EXPECT_EQ(parseDuration("200ms"), 200 * kMs);
  EXPECT_EQ(parseDuration("5m"), 300 * kSecond);
  EXPECT_EQ(parseDuration("24h"), 86400 * kSecond);
  EXPECT_EQ(parseDuration("inf"), kNever);
  for (const char* bad : {"", "s", "1x", "-1", "1e3", "nan", ".", "1..2", "1.2.3s"}) {
    EXPECT_FALSE(parseDuration(bad)) << bad;
  }
  for (TimeNs t : {TimeNs{0}, 200 * kMs, 1500 * kMs, 30 * kSecond, kNever, 5 * kMs + 500000}) {
    EXPECT_EQ(parseDuration(formatDuration(t)), t) << formatDuration(t);
  }
  EXPECT_EQ(timeAfter(5, kNever), kNever);
  EXPECT_EQ(formatSeconds(412 * kMs), "0.412");
}

TEST(Units, sizes_and_integers) {
  EXPECT_EQ(parseSize("512M"), 512ULL << 20);
  EXPECT_EQ(parseSize("7"), 7u);
  EXPECT_FALSE(parseSize("M"));
  EXPECT_FALSE(parseSize("-1K"));
  EXPECT_EQ(parseInt("65535", 1, 65535), 65535);
  EXPECT_FALSE(parseInt("65536", 1, 65535));
  EXPECT_FALSE(parseInt("12x", 0, 100));
  EXPECT_FALSE(parseInt("99999999999999999999", 0, 100));
}

TEST(Signals, names_and_map) {
  EXPECT_EQ(parseSignal("term"), SIGTERM);
  EXPECT_EQ(parseSignal("SIGUSR2"), SIGUSR2);
  EXPECT_EQ(parseSignal("9"), 9);
  EXPECT_EQ(parseSignal("RTMIN+2"), SIGRTMIN + 2);
  EXPECT_FALSE(parseSignal("NOPE"));
  EXPECT_FALSE(parseSignal("0"));
  EXPECT_EQ(signalName(SIGHUP), "HUP");
  SignalMap map;
  EXPECT_EQ(map.of(SIGHUP), (std::vector<SignalEffect>{{SignalAction::kReload, 0}}));
  EXPECT_EQ(map.of(SIGWINCH), (std::vector<SignalEffect>{{SignalAction::kForward, 0}}));
  ASSERT_TRUE(map.apply("USR2=upgrade").ok());
  ASSERT_TRUE(map.apply("TERM=forward:QUIT,stop:INT").ok());
  EXPECT_EQ(map.of(SIGTERM), (std::vector<SignalEffect>{{SignalAction::kForward, SIGQUIT},
                                                        {SignalAction::kStop, SIGINT}}));
  for (const char* bad :
       {"", "TERM", "TERM=", "TERM=jump", "KILL=stop", "TERM=reload:HUP", "X=stop"}) {
    EXPECT_FALSE(map.apply(bad).ok()) << bad;
  }
}

TEST(Signals, stop_sequences_end_in_kill) {
  auto s = parseStopSequence("TERM/30s,QUIT/5s");
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(*s, (std::vector<StopStage>{
                    {SIGTERM, 30 * kSecond}, {SIGQUIT, 5 * kSecond}, {SIGKILL, kNever}}));
  EXPECT_FALSE(parseStopSequence("").ok());
  EXPECT_FALSE(parseStopSequence("TERM/inf").ok());
  EXPECT_FALSE(parseStopSequence("TERM/x").ok());
  EXPECT_EQ(parseStopSequence("KILL")->size(), 1u);
}

TEST(ListenSpec, every_address_form) {
  auto get = [](std::string_view text) {
    auto r = parseListenSpec(text, 3);
    EXPECT_TRUE(r.ok()) << text;
    return r.ok() ? r.value() : ListenSpec();
  };
  EXPECT_EQ(get(":8000").address(), "0.0.0.0:8000");
  EXPECT_EQ(get(":8000").name, "listen3");
  EXPECT_EQ(get("8000").address(), "0.0.0.0:8000");
  EXPECT_EQ(get("web=127.0.0.1:80").name, "web");
  EXPECT_EQ(get("tcp:localhost:80").host, "localhost");
  EXPECT_EQ(get("[::1]:80").address(), "[::1]:80");
  EXPECT_EQ(get("udp::53").kind, ListenKind::kUdp);
  EXPECT_EQ(get("unix:/run/a=b.sock").path, "/run/a=b.sock");
  EXPECT_EQ(get("unix:@name").kind, ListenKind::kAbstract);
  EXPECT_EQ(get("fd:web").kind, ListenKind::kInherited);
  ListenSpec s =
      get("web=:80,backlog=128,mode=0600,user=www,v6only,nodelay,defer=1,cutover=shared");
  EXPECT_EQ(s.backlog, 128);
  EXPECT_EQ(s.mode, 0600);
  EXPECT_EQ(s.user, "www");
  EXPECT_TRUE(s.v6only);
  EXPECT_TRUE(s.nodelay);
  EXPECT_EQ(s.wantedCutover(), Cutover::kShared);
  EXPECT_EQ(get("udp::53").wantedCutover(), Cutover::kShared);
  EXPECT_FALSE(get(":80").sameSocket(get(":81")));
  EXPECT_TRUE(get("a=:80").sameSocket(get("b=:80")));
}

TEST(ListenSpec, bad_ones_say_why) {
  for (const char* bad :
       {"", ":", ":0", ":65536", "host:", "::1:80", "[::1]80", "[]:80", "unix:", "fd:", "fd:a/b",
        ":80,backlog=x", ":80,what=1", ":80,mode=99", ":80,cutover=both", "=:80", "a b=:80"}) {
    auto r = parseListenSpec(bad, 0);
    ASSERT_FALSE(r.ok()) << bad;
    EXPECT_EQ(r.error().message.substr(0, 8), "--listen");
  }
  EXPECT_FALSE(parseListenSpec("unix:/" + std::string(101, 'x'), 0).ok());
}

TEST(ReadySpec, every_form) {
  using K = ReadySpec::Kind;
  auto kind = [](std::string_view t) { return parseReadySpec(t)->kind; };
  EXPECT_EQ(kind("auto"), K::kAuto);
  EXPECT_EQ(kind("notify"), K::kNotify);
  EXPECT_EQ(kind("fd"), K::kFd);
  EXPECT_EQ(parseReadySpec("fd:9")->fd, 9);
  EXPECT_EQ(parseReadySpec("probe:/healthz?x=1")->path, "/healthz?x=1");
  EXPECT_EQ(kind("probe-tcp"), K::kProbeTcp);
  EXPECT_EQ(kind("probe-tls:/"), K::kProbeTls);
  EXPECT_EQ(parseReadySpec("http://127.0.0.1:80/x")->address, "127.0.0.1:80");
  EXPECT_EQ(parseReadySpec("http:127.0.0.1:80")->path, "/");
  EXPECT_EQ(parseReadySpec("exec:test -f /x")->command, "test -f /x");
  EXPECT_EQ(parseReadySpec("delay:2.5")->delay, 2500 * kMs);
  for (const char* bad : {"", "x", "probe", "probe:x", "probe:/a b", "fd:2", "delay:", "delay:inf",
                          "tcp:", "exec:", "notify:1"}) {
    EXPECT_FALSE(parseReadySpec(bad).ok()) << bad;
  }
  auto l = parseLivenessSpec("/ok,interval=1s,timeout=500ms,fail=2");
  ASSERT_TRUE(l.ok());
  EXPECT_EQ(l->interval, kSecond);
  EXPECT_EQ(l->fail, 2);
  EXPECT_FALSE(parseLivenessSpec("/ok,interval=0").ok());
  EXPECT_FALSE(parseLivenessSpec("ok").ok());
}

TEST(Words, quoting_and_placeholders) {
  auto w = splitWords(R"(nginx -g 'daemon off;' "a \"b\"" c\ d '')");
  ASSERT_TRUE(w.ok());
  EXPECT_EQ(*w, (std::vector<std::string>{"nginx", "-g", "daemon off;", "a \"b\"", "c d", ""}));
  EXPECT_FALSE(splitWords("'open").ok());
  EXPECT_FALSE(splitWords("end\\").ok());
  auto lookup = [](std::string_view n, std::string_view a) -> std::optional<std::string> {
    if (n == "fd") return "<" + std::string(a) + ">";
    if (n == "gen") return "7";
    return std::nullopt;
  };
  EXPECT_EQ(expandPlaceholders("--fd {fd:web} {gen}{x} {\"a\":{gen}} {", lookup),
            "--fd <web> 7{x} {\"a\":7} {");
}

TEST(Deadlines, one_per_key_in_order) {
  Deadlines<int> d;
  EXPECT_EQ(d.next(), kNever);
  d.set(1, 50);
  d.set(2, 20);
  d.set(3, 20);
  d.set(1, 10);
  EXPECT_EQ(d.size(), 3u);
  EXPECT_EQ(d.next(), 10);
  EXPECT_FALSE(d.popDue(9));
  EXPECT_EQ(d.popDue(30), 1);
  EXPECT_EQ(d.popDue(30), 2);
  EXPECT_EQ(d.popDue(30), 3);
  EXPECT_FALSE(d.popDue(30));
  d.set(4, 5);
  d.set(4, kNever);
  EXPECT_EQ(d.size(), 0u);
}

}  // namespace
}  // namespace godwit::supervise
