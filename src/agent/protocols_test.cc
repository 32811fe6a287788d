// HTTP, RESP, JSON cutting, stream entries: incremental parsers give the same however input is cut.
#include <gtest/gtest.h>

#include "agent/http_client.h"
#include "agent/http_parser.h"
#include "agent/json_split.h"
#include "agent/resp_parser.h"
#include "agent/streams_format.h"

namespace godwit::agent {
namespace {

std::string feedAll(std::string_view text, std::size_t step, HttpLimits limits = {}) {
  HttpParser p(limits);
  std::string out, pending;
  for (std::size_t at = 0; at < text.size(); at += step) {
    pending += text.substr(at, step);
    while (!pending.empty()) {
      std::size_t used = 0;
      auto s = p.feed(pending, used);
      pending.erase(0, used);
      if (s == HttpParser::State::kNeedMore) break;
      if (s == HttpParser::State::kError) return out + "error " + std::to_string(p.errorStatus());
      HttpRequest& r = p.request();
      out += r.method + " " + r.path + " q=" + std::string(r.param("q")) + " [" + r.body + "]" +
             (r.keep_alive ? "" : " close") + "\n";
      p.reset();
    }
  }
  return out;
}

TEST(HttpParser, cut_anywhere_it_reads_the_same) {
  std::string text =
      "POST /a%20b?q=x%26y+z HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"
      "\r\nPOST /c HTTP/1.1\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: v\r\n\r\n"
      "GET / HTTP/1.0\r\n\r\n";
  std::string want = "POST /a b q=x&y z [hello]\nPOST /c q= [abcde]\nGET / q= [] close\n";
  for (std::size_t step = 1; step <= text.size(); ++step)
    EXPECT_EQ(feedAll(text, step), want) << step;
}

TEST(HttpParser, refuses_what_smuggles_or_swells) {
  HttpLimits small;
  small.body_bytes = 10;
  small.header_bytes = 200;
  auto one = [&](std::string_view t) { return feedAll(t, 7, small); };
  EXPECT_EQ(one("GET /\r\n\r\n"), "error 400");
  EXPECT_EQ(one("GET / HTTP/2.0\r\n\r\n"), "error 505");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            "error 400");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
            "error 400");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n"), "error 413");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"), "error 400");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nB\r\n"), "error 413");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"), "error 501");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nA : b\r\n\r\n"), "error 400");
  EXPECT_EQ(one("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), "error 400");
  EXPECT_EQ(one("GET / HTTP/1.1\r\nA: " + std::string(300, 'x') + "\r\n\r\n"), "error 431");
}

TEST(RespParser, arrays_and_inline_commands) {
  RespParser p;
  std::vector<std::string_view> args;
  std::size_t used = 0;
  std::string_view text = "*2\r\n$4\r\nECHO\r\n$3\r\na\r\n\r\nPING x\r\n";
  for (std::size_t n = 0; n < 23; ++n) {
    EXPECT_EQ(p.parse(text.substr(0, n), used, args), RespParser::State::kNeedMore) << n;
  }
  ASSERT_EQ(p.parse(text, used, args), RespParser::State::kDone);
  ASSERT_EQ(args.size(), 2u);
  EXPECT_EQ(args[1], "a\r\n");
  text.remove_prefix(used);
  ASSERT_EQ(p.parse(text, used, args), RespParser::State::kDone);
  ASSERT_EQ(args.size(), 2u);
  EXPECT_EQ(args[0], "PING");
  for (const char* bad : {"*x\r\n", "*99999999999\r\n", "*1\r\n:1\r\n", "*1\r\n$-1\r\n",
                          "*1\r\n$999999999\r\n", "*1\r\n$1\r\nabc"}) {
    EXPECT_EQ(p.parse(bad, used, args), RespParser::State::kError) << bad;
  }
}

TEST(JsonSplit, one_many_or_a_line_each) {
  std::vector<std::string_view> out;
  EXPECT_TRUE(splitJsonObjects(" {\"a\":\"}\\\"{\"} ", 10, out));
  EXPECT_EQ(out.size(), 1u);
  out.clear();
  EXPECT_TRUE(splitJsonObjects("[{}, {\"b\":[{}]}]", 10, out));
  EXPECT_EQ(out.size(), 2u);
  out.clear();
  EXPECT_TRUE(splitJsonObjects("{}\n{}\n", 10, out));
  EXPECT_EQ(out.size(), 2u);
  EXPECT_TRUE(splitJsonObjects("[]", 10, out));
  for (const char* bad : {"", "[{}", "[{},]", "{", "x", "{} x", "[{}] x", "{\"a\":\"", "[{} {}]"}) {
    out.clear();
    EXPECT_FALSE(splitJsonObjects(bad, 10, out)) << bad;
  }
  out.clear();
  EXPECT_FALSE(splitJsonObjects("{}{}{}", 2, out));
}

TEST(Gzip, there_and_back_within_the_limit) {
  std::string text(100'000, 'x'), packed, plain;
  ASSERT_TRUE(gzipCompress(text, packed));
  EXPECT_TRUE(gzipDecompress(packed, 100'000, plain));
  EXPECT_EQ(plain, text);
  EXPECT_FALSE(gzipDecompress(packed, 99'999, plain));
  EXPECT_FALSE(gzipDecompress(packed.substr(0, packed.size() - 1), 1 << 20, plain));
  EXPECT_FALSE(gzipDecompress("nonsense", 1 << 20, plain));
}

TEST(SeenFrames, takes_everything_once_in_any_order) {
  SeenFrames s(10);
  EXPECT_FALSE(s.take(10));
  EXPECT_TRUE(s.take(12));
  EXPECT_TRUE(s.take(11));
  EXPECT_FALSE(s.take(12));
  EXPECT_EQ(s.below(), 12u);
  EXPECT_TRUE(s.take(20));
  s.cover(0, 13, 19);
  EXPECT_EQ(s.below(), 20u);
  s.cover(30, 31, 40);
  EXPECT_EQ(s.below(), 40u);
  s.cover(0, 50, 60);  // not connected: says nothing about 41..49
  EXPECT_EQ(s.below(), 40u);
}

}  // namespace
}  // namespace godwit::agent
