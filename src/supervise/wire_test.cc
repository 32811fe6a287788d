#include <gtest/gtest.h>

#include "supervise/bpf.h"
#include "supervise/http_probe.h"
#include "supervise/json.h"

namespace godwit::supervise {
namespace {

std::vector<std::uint8_t> ipv4(std::array<std::uint8_t, 4> source, std::uint16_t port,
                               std::uint8_t first = 0x45) {
  std::vector<std::uint8_t> p(60, 0);
  p[0] = first;
  for (std::size_t i = 0; i < 4; ++i) p[12 + i] = source[i];
  p[20] = static_cast<std::uint8_t>(port >> 8);
  p[21] = static_cast<std::uint8_t>(port & 0xff);
  return p;
}

std::vector<std::uint8_t> ipv6(std::array<std::uint8_t, 16> source, std::uint16_t port,
                               std::uint8_t next = 6) {
  std::vector<std::uint8_t> p(80, 0);
  p[0] = 0x60;
  p[6] = next;
  for (std::size_t i = 0; i < 16; ++i) p[8 + i] = source[i];
  p[40] = static_cast<std::uint8_t>(port >> 8);
  p[41] = static_cast<std::uint8_t>(port & 0xff);
  return p;
}

TEST(Bpf, a_plain_plan_is_one_instruction) {
  auto p = buildProgram({.active = 2, .steers = {}});
  ASSERT_EQ(p.size(), 1u);
  EXPECT_EQ(runProgram(p, ipv4({1, 2, 3, 4}, 5), 0), 2u);
}

TEST(Bpf, the_probe_source_and_nobody_else_reaches_its_slot) {
  Steer v4{.v6 = false, .address = {127, 0, 0, 1}, .port = 40001, .slot = 3};
  Steer v6{.v6 = true, .address = {}, .port = 40002, .slot = 1};
  v6.address[15] = 1;
  auto p = buildProgram({.active = 2, .steers = {v4, v6}});
  EXPECT_EQ(runProgram(p, ipv4({127, 0, 0, 1}, 40001), 0), 3u);
  EXPECT_EQ(runProgram(p, ipv4({127, 0, 0, 1}, 40002), 0), 2u);
  EXPECT_EQ(runProgram(p, ipv4({10, 0, 0, 1}, 40001), 0), 2u) << "same port, another host";
  EXPECT_EQ(runProgram(p, ipv4({127, 0, 0, 1}, 40001, 0x46), 0), 2u) << "IPv4 options";
  std::array<std::uint8_t, 16> loopback{};
  loopback[15] = 1;
  EXPECT_EQ(runProgram(p, ipv6(loopback, 40002), 0), 1u);
  EXPECT_EQ(runProgram(p, ipv6(loopback, 40001), 0), 2u);
  EXPECT_EQ(runProgram(p, ipv6(loopback, 40002, 0), 0), 2u) << "an extension header";
  std::array<std::uint8_t, 16> other = loopback;
  other[0] = 0xfe;
  EXPECT_EQ(runProgram(p, ipv6(other, 40002), 0), 2u);
}

TEST(Bpf, the_canary_gets_its_share_and_probes_stay_exact) {
  Steer s{.v6 = false, .address = {127, 0, 0, 1}, .port = 9, .slot = 1};
  for (std::uint32_t percent : {0U, 1U, 25U, 50U, 99U, 100U}) {
    auto p = buildProgram({.active = 0, .canary = 1, .canary_percent = percent, .steers = {s}});
    std::uint32_t hits = 0;
    for (std::uint32_t r = 0; r < 10000; ++r) hits += *runProgram(p, ipv4({9, 9, 9, 9}, 9), r) == 1;
    EXPECT_EQ(hits, percent * 100);
    EXPECT_EQ(runProgram(p, ipv4({127, 0, 0, 1}, 9), 99), 1u);
  }
}

TEST(Bpf, a_short_packet_or_a_broken_program_is_no_crash) {
  Steer s{.v6 = true, .address = {}, .port = 9, .slot = 1};
  auto p = buildProgram({.active = 2, .steers = {s}});
  EXPECT_EQ(runProgram(p, {0x60}, 0), 0u);
  EXPECT_FALSE(runProgram({}, {}, 0));
}

TEST(Json, writes_and_reads_back) {
  JsonWriter w;
  w.beginObject().field("a", 1).field("b", true).field("c", "x\"\n\xff");
  w.key("d").beginArray().integer(-5).null().beginObject().endObject().endArray().endObject();
  EXPECT_EQ(w.text(), "{\"a\":1,\"b\":true,\"c\":\"x\\\"\\u000a\xef\xbf\xbd\",\"d\":[-5,null,{}]}");
  auto v = parseJson(w.text());
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(v->at("a").num(), 1);
  EXPECT_TRUE(v->at("b").flag());
  EXPECT_EQ(v->at("d").items().size(), 3u);
  EXPECT_EQ(v->at("no").at("such").str("none"), "none");
}

TEST(Json, reads_what_others_write) {
  auto v = parseJson(" { \"s\" : \"\\u00e4\\ud83d\\ude00\\/\" , \"n\" : [ 0, -1.5e2, 1E3 ] } ");
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(v->at("s").str(), "\xc3\xa4\xf0\x9f\x98\x80/");
  EXPECT_EQ(v->at("n").items()[1].real(), -150);
  EXPECT_EQ(v->at("n").items()[2].num(), 1000);
}

TEST(Json, refuses_what_is_not_json) {
  for (const char* bad : {"", "{", "[1,]", "{\"a\":}", "01", "1.", "\"\\ud800\"", "\"\xff\"",
                          "{} x", "nul", "\"a\nb\"", "{a:1}", "-", "1e", "99999999999999999999"}) {
    EXPECT_FALSE(parseJson(bad).ok()) << bad;
  }
  EXPECT_FALSE(parseJson(std::string(1000, '[') + std::string(1000, ']')).ok());
}

using V = ProbeResponse::Verdict;

TEST(HttpProbe, status_decides_however_it_is_split) {
  const std::string good = "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n";
  for (std::size_t cut = 0; cut <= good.size(); ++cut) {
    ProbeResponse r;
    r.feed(good.substr(0, cut));
    EXPECT_EQ(r.feed(good.substr(cut)), V::kGood) << cut;
    EXPECT_EQ(r.status(), 204);
  }
  auto verdict = [](std::string_view text) {
    ProbeResponse r;
    r.feed(text);
    return r.end();
  };
  EXPECT_EQ(verdict("HTTP/1.0 302 Found\n"), V::kGood);
  EXPECT_EQ(verdict("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), V::kGood);
  for (const char* bad :
       {"HTTP/1.1 503 Busy\r\n", "HTTP/1.1 404\r\n", "HTTP/1.1 2xx\r\n", "SSH-2.0-x\r\n", "",
        "HTTP/1.1 200", "HTTP/2 200\r\n", "HTTP/1.1 20\r\n"}) {
    EXPECT_EQ(verdict(bad), V::kBad) << bad;
  }
  ProbeResponse r;
  EXPECT_EQ(r.feed(std::string(100000, 'H')), V::kBad);
  EXPECT_EQ(r.describe(), "not an HTTP answer");
}

TEST(HttpProbe, an_endless_header_is_bounded) {
  ProbeResponse r;
  V v = r.feed("HTTP/1.1 100 Continue\r\n");
  for (int i = 0; i < 10000 && v == V::kMore; ++i) v = r.feed("x: yyyyyyyyyyyyyyy\r\n");
  EXPECT_EQ(v, V::kBad);
}

TEST(HttpProbe, request_and_tls_hello) {
  EXPECT_EQ(probeRequest("/h", "localhost").substr(0, 34),
            "GET /h HTTP/1.1\r\nHost: localhost\r\n");
  std::string hello = tlsClientHello(std::string(32, 'r'));
  auto at = [&](std::size_t i) { return static_cast<unsigned char>(hello[i]); };
  EXPECT_EQ(at(0), 22);
  EXPECT_EQ(std::size_t{at(3)} << 8 | at(4), hello.size() - 5);
  EXPECT_EQ(at(5), 1);
  EXPECT_EQ(std::size_t{at(7)} << 8 | at(8), hello.size() - 9);
  EXPECT_EQ(judgeTlsAnswer(std::string_view("\x16\x03\x03\x00\x7a\x02", 6)), V::kGood);
  EXPECT_EQ(judgeTlsAnswer(std::string_view("\x15\x03\x03\x00\x02\x02", 6)), V::kBad);
  EXPECT_EQ(judgeTlsAnswer("HTTP/1.1 400"), V::kBad);
  EXPECT_EQ(judgeTlsAnswer("\x16\x03"), V::kMore);
}

}  // namespace
}  // namespace godwit::supervise
