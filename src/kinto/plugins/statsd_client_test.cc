#include "kinto/plugins/statsd_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>

namespace godwit::kinto {
namespace {

class Sink {
 public:
  Sink() : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    if (::bind(fd_.get(), reinterpret_cast<sockaddr*>(&a), n) != 0) std::abort();
    ::getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&a), &n);
    url_ = "udp://127.0.0.1:" + std::to_string(ntohs(a.sin_port));
  }
  const std::string& url() const { return url_; }
  std::string receive() {
    char buf[2048];
    ssize_t n = ::recv(fd_.get(), buf, sizeof buf, 0);
    return n < 0 ? "" : std::string(buf, static_cast<std::size_t>(n));
  }

 private:
  UniqueFd fd_;
  std::string url_;
};

TEST(StatsdClient, speaks_the_forms_kinto_spoke) {
  Sink sink;
  auto client = StatsdClient::connect(sink.url(), "kinto");
  ASSERT_TRUE(client.ok());
  (*client)->count("hits", 2, {});
  Label user[] = {{"auth", "basicauth"}, {"userid", "a:b"}};
  (*client)->count("users", 1, user);
  (*client)->observe("request_size", 12, {});
  Label method[] = {{"method", "get"}};
  (*client)->time("backend.memory.seconds", 0.0025, method);
  (*client)->flush();
  EXPECT_EQ(sink.receive(),
            "kinto.hits:2|c\nkinto.users:auth.basicauth.userid.ab|s\nkinto.request_size:12|g\n"
            "kinto.backend.memory.seconds.method.get:2.5|ms");
}

TEST(StatsdClient, packets_stay_below_a_frame_and_nothing_is_split) {
  Sink sink;
  auto client = StatsdClient::connect(sink.url(), "");
  for (int i = 0; i < 200; ++i) (*client)->count("some.counter.name." + std::to_string(i), 1, {});
  (*client)->count(std::string(5000, 'x'), 1, {});
  (*client)->flush();
  std::size_t lines = 0;
  for (std::string packet = sink.receive(); !packet.empty(); packet = sink.receive()) {
    EXPECT_LE(packet.size(), 1432u);
    EXPECT_TRUE(packet.ends_with("|c"));
    lines += static_cast<std::size_t>(std::count(packet.begin(), packet.end(), '\n')) + 1;
  }
  EXPECT_EQ(lines, 200u);
  EXPECT_EQ((*client)->droppedPackets(), 1u);
}

TEST(StatsdClient, says_what_is_wrong_with_its_address) {
  for (const char* url : {"", "tcp://127.0.0.1:1", "udp://", "udp://no-port"}) {
    EXPECT_FALSE(StatsdClient::connect(url, "").ok()) << url;
  }
}

}  // namespace
}  // namespace godwit::kinto
