#include "ops/http_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/unique_fd.h"

namespace godwit::ops {
namespace {

TEST(HttpClient, does_not_wait_for_a_server_that_never_answered) {
  // Bound and not listening: nobody else gets the port, and connections are refused.
  UniqueFd socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* plain = reinterpret_cast<sockaddr*>(&address);
  ASSERT_EQ(::bind(socket.get(), plain, size), 0);
  ASSERT_EQ(::getsockname(socket.get(), plain, &size), 0);
  HttpClient client("http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/v1", "");
  auto answer = client.request("GET", "/");
  ASSERT_FALSE(answer.ok());
  EXPECT_EQ(answer.error().code, ErrorCode::kUnavailable);
  EXPECT_THAT(answer.error().message, testing::HasSubstr("connect"));
  EXPECT_EQ(client.retries(), 0u);
}

}  // namespace
}  // namespace godwit::ops
