#include "auth/fetch.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <future>
#include <thread>

#include "base/unique_fd.h"

namespace godwit::auth {
namespace {

using namespace std::chrono_literals;

// Answers one connection with fixed bytes, or never.
class OneShot {
 public:
  explicit OneShot(std::string answer) : answer_(std::move(answer)) {
    listener_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), n) != 0 ||
        ::listen(listener_.get(), 4) != 0)
      std::abort();
    ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&a), &n);
    port_ = ntohs(a.sin_port);
    thread_ = std::thread([this] {
      UniqueFd fd(::accept(listener_.get(), nullptr, nullptr));
      char buf[8192];
      ssize_t got = ::recv(fd.get(), buf, sizeof buf, 0);
      if (got > 0) request_.set_value(std::string(buf, static_cast<std::size_t>(got)));
      if (answer_.empty()) {
        (void)!::recv(fd.get(), buf, sizeof buf, 0);  // until the client gives up
      } else {
        ::send(fd.get(), answer_.data(), answer_.size(), MSG_NOSIGNAL);
      }
    });
  }
  ~OneShot() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  OneShot(const OneShot&) = delete;
  OneShot& operator=(const OneShot&) = delete;
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/x"; }
  std::string request() { return request_.get_future().get(); }

 private:
  std::string answer_;
  UniqueFd listener_;
  int port_ = 0;
  std::promise<std::string> request_;
  std::thread thread_;
};

TEST(Fetcher, brings_status_body_and_type) {
  OneShot server("HTTP/1.1 418 No\r\nContent-Type: text/x\r\nContent-Length: 3\r\n\r\nabc");
  Fetcher fetcher;
  FetchRequest r;
  r.method = "POST";
  r.url = server.url();
  r.body = "q=1";
  r.headers = {"Authorization: Bearer t"};
  auto got = fetcher.fetchNow(std::move(r));
  ASSERT_TRUE(got.ok()) << got.error().message;
  EXPECT_EQ(got->status, 418);
  EXPECT_EQ(got->body, "abc");
  EXPECT_EQ(got->content_type, "text/x");
  std::string seen = server.request();
  EXPECT_TRUE(seen.starts_with("POST /x HTTP/1.1\r\n")) << seen;
  EXPECT_NE(seen.find("Authorization: Bearer t\r\n"), std::string::npos);
}

TEST(Fetcher, a_silent_server_is_a_timeout) {
  OneShot server("");
  Fetcher fetcher;
  FetchRequest r;
  r.url = server.url();
  r.timeout = 100ms;
  auto got = fetcher.fetchNow(std::move(r));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::kTimeout);
}

TEST(Fetcher, an_answer_over_the_limit_is_cut_off) {
  OneShot server("HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n" + std::string(3000, 'x'));
  Fetcher fetcher;
  FetchRequest r;
  r.url = server.url();
  r.max_response_bytes = 1000;
  auto got = fetcher.fetchNow(std::move(r));
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.error().code, ErrorCode::kLimit);
}

TEST(Fetcher, refused_connections_and_other_schemes_are_unavailable) {
  Fetcher fetcher;
  for (const char* url : {"http://127.0.0.1:1/", "file:///etc/hostname", "not a url"}) {
    FetchRequest r;
    r.url = url;
    auto got = fetcher.fetchNow(std::move(r));
    ASSERT_FALSE(got.ok()) << url;
    EXPECT_EQ(got.error().code, ErrorCode::kUnavailable) << url;
  }
}

TEST(Fetcher, a_full_queue_refuses) {
  Fetcher fetcher(0);
  FetchRequest r;
  r.url = "http://127.0.0.1:1/";
  EXPECT_EQ(fetcher.fetchNow(std::move(r)).error().code, ErrorCode::kLimit);
  EXPECT_EQ(fetcher.refused(), 1u);
}

}  // namespace
}  // namespace godwit::auth
