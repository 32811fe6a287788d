// What is accepted and what is refused on the wire, and that no split changes it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "support.h"

namespace godwit::http::test {
namespace {

using testing::HasSubstr;

void echo(const Request& r, Reply reply) {
  std::string text(r.method_name);
  text.append("|").append(r.path).append("|").append(r.query).append("|").append(r.body);
  for (const Header& h : r.headers) text.append("|").append(h.name).append("=").append(h.value);
  reply.send(200, text);
}

struct Case {
  const char* name;
  std::string bytes;
  int status;  // of the first answer; 0: closed without one
  bool closes = true;
};

std::string head(std::string_view lines, std::string_view rest = "") {
  return "POST /p HTTP/1.1\r\nHost: x\r\n" + std::string(lines) + "\r\n" + std::string(rest);
}
const std::string kNul(1, '\0');

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      // Framing: every ambiguity is refused.
      {"length and chunked",
       head("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"chunked and length",
       head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
      {"differing lengths", head("Content-Length: 5\r\nContent-Length: 6\r\n", "hello"), 400},
      {"repeated length", head("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
      {"list of lengths", head("Content-Length: 5, 5\r\n", "hello"), 400},
      {"signed length", head("Content-Length: +5\r\n", "hello"), 400},
      {"negative length", head("Content-Length: -5\r\n"), 400},
      {"hexadecimal length", head("Content-Length: 0x5\r\n", "hello"), 400},
      {"empty length", head("Content-Length:\r\n"), 400},
      {"length with a space", head("Content-Length: 1 0\r\n"), 400},
      {"length over 64 bits", head("Content-Length: 18446744073709551621\r\n"), 400},
      {"length over the limit", head("Content-Length: 18446744073709551615\r\n"), 413},
      {"chunked not last", head("Transfer-Encoding: chunked, gzip\r\n", "0\r\n\r\n"), 400},
      {"chunked twice", head("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 400},
      {"chunked in two fields",
       head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
      {"identity after chunked",
       head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n"), 400},
      {"unknown coding", head("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
      {"only an unknown coding", head("Transfer-Encoding: gzip\r\n"), 400},
      {"misspelt chunked", head("Transfer-Encoding: xchunked\r\n"), 400},
      {"quoted chunked", head("Transfer-Encoding: \"chunked\"\r\n"), 400},
      {"vertical tab before chunked", head("Transfer-Encoding: \vchunked\r\n", "0\r\n\r\n"), 400},
      {"empty coding", head("Transfer-Encoding:\r\n"), 400},
      {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       400},
      {"space before the colon", head("Transfer-Encoding : chunked\r\n", "0\r\n\r\n"), 400},
      {"tab before the colon", head("Content-Length\t: 5\r\n", "hello"), 400},
      {"folded field", head("X: a\r\n b\r\n"), 400},
      {"folded first field", "GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: x\nX: y\r\n\r\n", 400},
      {"bare LF after the line", "GET / HTTP/1.1\nHost: x\r\n\r\n", 400},
      {"bare CR in a value", head("X: a\rb\r\n"), 400},
      {"CR CR LF", head("X: a\r\r\n"), 400},
      {"NUL in a value", head("X: a" + kNul + "b\r\n"), 400},
      {"DEL in a value",
       head("X: a\x7f"
            "b\r\n"),
       400},
      {"field without colon", head("nonsense\r\n"), 400},
      {"empty field name", head(": x\r\n"), 400},
      {"space in a field name", head("X Y: z\r\n"), 400},
      {"brackets in a field name", head("X[0]: z\r\n"), 400},
      // Request line.
      {"NUL in the target", "GET /a" + kNul + "b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"control byte in the target", "GET /a\x01 HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"tab in the target", "GET /a\tb HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"trailing space", "GET / HTTP/1.1 \r\nHost: x\r\n\r\n", 400},
      {"leading space", " GET / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"no version", "GET /\r\nHost: x\r\n\r\n", 400},
      {"lower case version", "GET / http/1.1\r\nHost: x\r\n\r\n", 400},
      {"long version", "GET / HTTP/1.10\r\nHost: x\r\n\r\n", 400},
      {"version 2", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505},
      {"version 1.2", "GET / HTTP/1.2\r\nHost: x\r\n\r\n", 505},
      {"version 0.9", "GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"method with a slash", "G/T / HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"relative target", "GET index.html HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"asterisk for GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", 405},
      {"TLS hello", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
      // Host.
      {"no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", 400},
      {"two Hosts in HTTP/1.0", "GET / HTTP/1.0\r\nHost: x\r\nHost: y\r\n\r\n", 400},
      {"Host with a path", "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n", 400},
      {"Host with user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400},
      {"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
      {"Host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
      {"other authority", "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      {"ftp target", "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n", 400},
      // Chunked bodies.
      {"chunk size missing", head("Transfer-Encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n"), 400},
      {"chunk size with sign", head("Transfer-Encoding: chunked\r\n", "+5\r\nhello\r\n0\r\n\r\n"),
       400},
      {"chunk size with 0x", head("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"),
       400},
      {"chunk size too long",
       head("Transfer-Encoding: chunked\r\n", "00000000000000005\r\nhello\r\n"), 400},
      {"huge chunk size", head("Transfer-Encoding: chunked\r\n", "7fffffffffffff\r\n"), 413},
      {"chunk ends with LF", head("Transfer-Encoding: chunked\r\n", "5\nhello\r\n0\r\n\r\n"), 400},
      {"chunk longer than its size",
       head("Transfer-Encoding: chunked\r\n", "5\r\nhelloworld\r\n0\r\n\r\n"), 400},
      {"chunk data ends with LF", head("Transfer-Encoding: chunked\r\n", "5\r\nhello\n0\r\n\r\n"),
       400},
      {"space after chunk size", head("Transfer-Encoding: chunked\r\n", "5 \r\nhello\r\n0\r\n\r\n"),
       400},
      {"CR in an extension", head("Transfer-Encoding: chunked\r\n", "5;a\rb\r\nhello\r\n0\r\n\r\n"),
       400},
      {"LF in an extension", head("Transfer-Encoding: chunked\r\n", "5;a\nhello\r\n0\r\n\r\n"),
       400},
      {"extension bomb",
       head("Transfer-Encoding: chunked\r\n",
            "5;" + std::string(5000, 'a') + "\r\nhello\r\n0\r\n\r\n"),
       400},
      {"malformed trailer", head("Transfer-Encoding: chunked\r\n", "0\r\nbad trailer\r\n\r\n"),
       400},
      {"trailer bomb",
       head("Transfer-Encoding: chunked\r\n", "0\r\nX: " + std::string(9000, 'a') + "\r\n\r\n"),
       431},
      // Limits and expectations.
      {"long line", "GET /" + std::string(20'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
      {"long field", head("X: " + std::string(20'000, 'a') + "\r\n"), 431},
      {"many fields", head([] {
         std::string s;
         for (int i = 0; i < 101; ++i) s += "X: y\r\n";
         return s;
       }()),
       431},
      {"never-ending head",
       [] {
         std::string s = "GET / HTTP/1.1\r\n";
         while (s.size() < 20'000) s += "X: y\r\n";
         return s;
       }(),
       431},
      {"other expectation", head("Expect: 200-ok\r\nContent-Length: 2\r\n", "ab"), 417},
      // Accepted.
      {"plain", "GET /a?b=c HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
      {"empty line first", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
      {"no space after the colon", "GET / HTTP/1.1\r\nHost:x\r\nX:y\r\n\r\n", 200, false},
      {"white space around values", "GET / HTTP/1.1\r\nHost: \t x \t \r\nX:\t\r\n\r\n", 200, false},
      {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 200, false},
      {"same authority", "GET http://X/p?q HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
      {"authority only", "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
      {"asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
      {"unknown method", "FROB / HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
      {"text above ASCII", "GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\nX: \xe9\r\n\r\n", 200, false},
      {"chunked in capitals", head("Transfer-Encoding: CHUNKED\r\n", "1\r\na\r\n0\r\n\r\n"), 200,
       false},
      {"chunk with padding",
       head("Transfer-Encoding: chunked\r\n", "001 ;x=\"y;z\"\r\na\r\n00\r\nT: u\r\n\r\n"), 200,
       false},
      {"body for GET", "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nab", 200, false},
      {"zero length", head("Content-Length: 0\r\n"), 200, false},
      {"leading zeros", head("Content-Length: 0002\r\n", "ab"), 200, false},
  };
  return all;
}

// Whatever goes in, whatever comes out until the server has nothing more to say.
std::string converse(TestServer& s, const std::vector<std::string>& pieces) {
  Client c(s.url());
  std::uint64_t seen = s->stats().bytes_in;
  for (const std::string& p : pieces) {
    c.send(p);
    seen += p.size();
    // The next piece goes out only when the server has taken this one: splits are real. A server
    // that has refused the request reads on, so this ends either way.
    if (&p != &pieces.back()) {
      for (int i = 0; i < 2000 && s->stats().bytes_in < seen; ++i) std::this_thread::yield();
    }
  }
  c.halfClose();
  std::string out = c.readAll();
  // The date and generated ids differ from run to run.
  for (std::size_t at = 0; (at = out.find("\r\nDate: ", at)) != std::string::npos;)
    out.erase(at, 37);
  return out;
}

TEST(Wire, EachCaseGetsItsStatus) {
  TestServer s(echo);
  for (const Case& c : cases()) {
    SCOPED_TRACE(c.name);
    Client client(s.url());
    client.send(c.bytes);
    Answer a = client.read();
    EXPECT_EQ(a.status, c.status) << a.body;
    EXPECT_EQ(a.header("Connection"), c.closes ? "close" : "");
    if (c.closes) {
      EXPECT_TRUE(client.closedByPeer());
    } else {
      EXPECT_EQ(client.get("/after").status, 200) << "the connection is out of step";
    }
  }
  EXPECT_EQ(Client(s.url()).get("/alive").status, 200);
}

TEST(Wire, ASplitAtAnyByteChangesNothing) {
  TestServer s(echo);
  for (const Case& c : cases()) {
    if (c.bytes.size() > 400) continue;
    SCOPED_TRACE(c.name);
    const std::string whole = converse(s, {c.bytes});
    for (std::size_t i = 1; i < c.bytes.size(); ++i) {
      ASSERT_EQ(converse(s, {c.bytes.substr(0, i), c.bytes.substr(i)}), whole) << "split at " << i;
    }
    std::vector<std::string> bytes;
    for (char b : c.bytes) bytes.emplace_back(1, b);
    ASSERT_EQ(converse(s, bytes), whole) << "byte by byte";
  }
}

TEST(Wire, RandomSplitsOfPipelinesChangeNothing) {
  TestServer s(echo);
  std::mt19937 random(7);  // NOLINT: repeatable
  std::vector<const Case*> good;
  for (const Case& c : cases()) {
    if (!c.closes) good.push_back(&c);
  }
  for (int round = 0; round < 60; ++round) {
    std::string all;
    for (int i = 0; i < 6; ++i) all += good[random() % good.size()]->bytes;
    if (round % 3 == 0) all += cases()[random() % 60].bytes;
    const std::string whole = converse(s, {all});
    std::vector<std::string> pieces;
    for (std::size_t at = 0; at < all.size();) {
      std::size_t n = 1 + random() % 40;
      pieces.push_back(all.substr(at, n));
      at += n;
    }
    ASSERT_EQ(converse(s, pieces), whole);
  }
}

TEST(Wire, ARequestBehindARefusedOneIsNeverServed) {
  // The classic of smuggling: what one side takes for a body the other takes for a request.
  TestServer s(echo);
  for (const Case& c : cases()) {
    if (!c.closes || c.bytes.size() > 400) continue;
    SCOPED_TRACE(c.name);
    std::string all = converse(s, {c.bytes + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"});
    EXPECT_THAT(all, testing::Not(HasSubstr("/smuggled")));
  }
}

TEST(Wire, AnyAuthorityWhereConfigured) {
  Server::Options o = TestServer::defaults();
  o.any_authority = true;
  TestServer s(echo, o);
  Client c(s.url());
  c.send("GET http://y/z HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(c.read().body, HasSubstr("GET|/z||"));
}

}  // namespace
}  // namespace godwit::http::test
