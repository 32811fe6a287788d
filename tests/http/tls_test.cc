// TLS against the tools people use: openssl s_client and curl.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <fstream>

#include "support.h"

namespace godwit::http::test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string run(const std::string& command) {
  std::string out;
  FILE* p = ::popen(("timeout 20 " + command + " 2>&1").c_str(), "r");
  if (!p) return out;
  std::array<char, 4096> block{};
  while (std::size_t n = std::fread(block.data(), 1, block.size(), p)) out.append(block.data(), n);
  ::pclose(p);
  return out;
}

struct Certificate {
  std::string dir = tempDir();
  std::string cert = dir + "/cert.pem";
  std::string key = dir + "/key.pem";
  Certificate() { make("one"); }
  void make(const std::string& name) const {
    run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj "
        "/CN=" +
        name + " -addext subjectAltName=IP:127.0.0.1,DNS:localhost -keyout " + key + " -out " +
        cert);
  }
};

// A server that listens with TLS; TestServer's own listener stays plain.
std::unique_ptr<TestServer> tlsServer(const Certificate& files, Handler handler,
                                      Server::Options o = TestServer::defaults()) {
  return std::make_unique<TestServer>(std::move(handler), o, [&](Server& s) {
    EXPECT_FALSE(s.listen("https://127.0.0.1:0").ok()) << "no certificate yet";
    Result<void> r = s.useTls({files.cert, files.key, ""});
    ASSERT_TRUE(r.ok()) << r.error().message;
    ASSERT_TRUE(s.listen("https://127.0.0.1:0").ok());
  });
}
std::string port(TestServer& s) {
  std::string url = s->endpoints()[1];
  EXPECT_THAT(url, testing::StartsWith("https://127.0.0.1:"));
  return url.substr(url.rfind(':') + 1);
}
void answer(const Request& r, Reply reply) {
  if (r.path == "/big") return reply.send(200, std::string(3'000'000, 'b'));
  reply.send(200, std::string(r.tls ? "tls " : "plain ")
                      .append(r.path)
                      .append(" ")
                      .append(std::to_string(r.body.size())));
}

TEST(Tls, CurlVerifiesAndGetsAnswers) {
  Certificate files;
  auto s = tlsServer(files, answer);
  std::string curl = "curl -sS --cacert " + files.cert + " ";
  std::string base = "https://127.0.0.1:" + port(*s);
  EXPECT_EQ(run(curl + base + "/a " + base + "/b"), "tls /a 0tls /b 0");
  EXPECT_EQ((*s)->stats().connections_total, 1U);
  EXPECT_EQ(
      run(curl + "--http1.1 -o /dev/null -w '%{http_code} %{size_download}' " + base + "/big"),
      "200 3000000");
  std::string upload = files.dir + "/upload";
  std::ofstream(upload) << std::string(2'000'000, 'u');
  EXPECT_EQ(run(curl + "-T " + upload + " " + base + "/put"), "tls /put 2000000");
  EXPECT_EQ(run(curl + "--tls-max 1.2 " + base + "/old"), "tls /old 0");
  EXPECT_EQ(run(curl + "http://127.0.0.1:" + (*s).url().substr((*s).url().rfind(':') + 1) + "/p"),
            "plain /p 0");
}

TEST(Tls, VersionsProtocolsAndResumption) {
  Certificate files;
  auto s = tlsServer(files, answer);
  std::string client = "openssl s_client -connect 127.0.0.1:" + port(*s) + " -CAfile " + files.cert;
  std::string quiet = " </dev/null";
  EXPECT_THAT(run(client + " -tls1_3 -alpn h2,http/1.1" + quiet),
              testing::AllOf(HasSubstr("ALPN protocol: http/1.1"), HasSubstr("TLSv1.3")));
  EXPECT_THAT(run(client + " -tls1_1 -cipher ALL:@SECLEVEL=0" + quiet), HasSubstr("alert"));
  EXPECT_THAT(run(client + " -alpn h2" + quiet), HasSubstr("no application protocol"));
  for (const char* version : {"-tls1_2", "-tls1_3"}) {
    std::string session = files.dir + "/session" + version;
    run("sh -c \"(printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n') | " +
        client + " " + version + " -ign_eof -sess_out " + session + "\"");
    std::string second =
        run("sh -c \"(printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n') | " +
            client + " " + version + " -ign_eof -sess_in " + session + "\"");
    EXPECT_THAT(second, HasSubstr("Reused, ")) << version;
    EXPECT_THAT(second, HasSubstr("tls / 0")) << version;
    // Also after the certificates have been read anew.
    ASSERT_TRUE((*s)->reloadCertificates().ok());
    EXPECT_THAT(
        run("sh -c \"(printf 'GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n') | " +
            client + " " + version + " -ign_eof -sess_in " + session + "\""),
        HasSubstr("Reused, "))
        << version;
  }
}

TEST(Tls, CertificatesAreReplacedWithoutDroppingConnections) {
  Certificate files;
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  auto s = tlsServer(files, [&](const Request& r, Reply reply) {
    if (r.path != "/wait") return reply.send(200, "now");
    threads.emplace_back([&, reply = std::move(reply)]() mutable {
      while (!go) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      reply.send(200, "kept");
    });
  });
  std::string base = "https://127.0.0.1:" + port(*s);
  std::string kept;
  std::thread waiting([&] { kept = run("curl -sS -k " + base + "/wait"); });
  ASSERT_TRUE(eventually([&] { return (*s)->stats().requests_total == 1; }));
  std::string show = "sh -c 'openssl s_client -connect 127.0.0.1:" + port(*s) +
                     " </dev/null 2>/dev/null | openssl x509 -noout -subject'";
  EXPECT_THAT(run(show), HasSubstr("one"));
  files.make("two");
  ASSERT_TRUE((*s)->reloadCertificates().ok());
  EXPECT_THAT(run(show), HasSubstr("two"));
  std::ofstream(files.cert) << "broken";
  EXPECT_FALSE((*s)->reloadCertificates().ok());
  EXPECT_THAT(run(show), HasSubstr("two")) << "a broken file must change nothing";
  go = true;
  waiting.join();
  EXPECT_EQ(kept, "kept");
  for (auto& t : threads) t.join();
}

TEST(Tls, SilentAndGarbledHandshakesAreClosed) {
  Certificate files;
  Server::Options o = TestServer::defaults();
  o.limits.header_timeout = std::chrono::milliseconds(200);
  auto s = tlsServer(files, answer, o);
  std::string url = (*s)->endpoints()[1];
  Client silent(url);
  Client half(url);
  half.send(std::string("\x16\x03\x01\x02\x00\x01\x00", 7));
  Client plain(url);
  plain.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_THAT(plain.readAll(), Not(HasSubstr("HTTP/1.1 200")));
  EXPECT_TRUE(silent.closedByPeer());
  EXPECT_TRUE(half.closedByPeer());
  EXPECT_EQ(run("curl -sS -k https://127.0.0.1:" + port(*s) + "/alive"), "tls /alive 0");
}

TEST(Tls, DrainDuringAHandshake) {
  Certificate files;
  auto s = tlsServer(files, answer);
  Client half((*s)->endpoints()[1]);
  half.send(std::string("\x16\x03\x01\x02\x00\x01\x00", 7));
  ASSERT_TRUE(eventually([&] { return (*s)->stats().connections_open == 1; }));
  DrainReport r = s->drain();
  EXPECT_EQ(r.aborted, 0U);
  EXPECT_EQ(r.connections_closed, 1U);
  EXPECT_LT(r.took.count(), 9000);
}

TEST(Tls, BadFilesAreErrors) {
  Certificate files;
  Server s(TestServer::defaults());
  EXPECT_FALSE(s.useTls({"/nonexistent", files.key, ""}).ok());
  EXPECT_FALSE(s.useTls({files.cert, "/nonexistent", ""}).ok());
  EXPECT_FALSE(s.useTls({files.cert, files.cert, ""}).ok());
  Certificate other;
  EXPECT_FALSE(s.useTls({files.cert, other.key, ""}).ok());
  EXPECT_FALSE(s.reloadCertificates().ok());
}

}  // namespace
}  // namespace godwit::http::test
