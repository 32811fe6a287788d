#include "cli/stack.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace godwit::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Seal, tells_an_edited_file_from_one_that_nobody_touched) {
  std::string file = sealed("a = 1\nb = 2\n");
  EXPECT_TRUE(unedited(file));
  EXPECT_FALSE(unedited(file + "c = 3\n"));
  EXPECT_FALSE(unedited(file.substr(0, file.size() - 1)));
  EXPECT_FALSE(unedited("a = 1\nb = 2\n"));
  EXPECT_FALSE(unedited(""));
  EXPECT_FALSE(unedited(file.substr(0, 40)));
}

json::Value status() {
  auto v = json::parse(R"({"server":{"version":"1.2.3","pid":4711,"uptime_s":61,"draining":false,
    "requests":{"per_second":1234.5,"p50_ms":0.25,"p99_ms":12.5,"failures":0.01,"client_errors":0.5,
      "waiting":3,"history":[0,1,2,4]},
    "storage":{"backend":"sqlite","place":"/data/godwit.db",
      "reads":{"per_second":9,"p50_ms":0.1,"p99_ms":1,"total_failures":0,"waiting":0},
      "writes":{"per_second":8,"p50_ms":2,"p99_ms":30,"total_failures":2,"waiting":7}}},
    "supervisor":{"pid":4700,"services":[{"service":"server","state":"running","active":2,
      "reloads":{"ok":2,"failed":1},
      "listen":[{"name":"admin","addr":"127.0.0.1:8889","queue":[0,-1,5]}],
      "generations":[{"gen":2,"pid":4711,"state":"active","age_s":60.5,"ready_ms":12,"rss":17825792}],
      "last_failure":{"gen":3,"detail":"exit 1"}}]},
    "agent":{"state":"running","spool_bytes":1048576,"publishers":[
      {"name":"in\u001b[31mflux","up":false,"spooled":1200,"published":5,"dead":1,
       "last_error":"refused"}]}})");
  return *v;
}

std::size_t columns(std::string_view line) {
  std::size_t n = 0;
  for (char c : line) n += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  return n;
}

TEST(StatusView, shows_what_an_operator_asks_for) {
  std::string text = renderStatus(status(), 120, false);
  for (const char* part : {"godwit 1.2.3",
                           "serving",
                           "1234/s",
                           "250us",
                           "12ms",
                           "1.00%",
                           "50.0%",
                           "waiting 3",
                           "/data/godwit.db",
                           "30ms",
                           "waiting 7",
                           "queue 5",
                           "active",
                           "pid 4711",
                           "17.0MiB",
                           "generation 3: exit 1",
                           "down",
                           "lag 1200",
                           "refused",
                           "spool 1.0MiB"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  EXPECT_THAT(text, Not(HasSubstr("\033"))) << "what others say must not reach the terminal";
  EXPECT_THAT(renderStatus(status(), 120, true), HasSubstr("\033[32mactive\033[0m"));
}

TEST(StatusView, fits_any_width_and_any_gap) {
  for (std::size_t width : {20u, 40u, 80u}) {
    std::string text = renderStatus(status(), width, false);
    for (std::size_t at = 0; at < text.size();) {
      std::size_t end = text.find('\n', at);
      EXPECT_LE(columns(std::string_view(text).substr(at, end - at)), width) << text;
      at = end + 1;
    }
  }
  EXPECT_NE(renderStatus(json::Value::object(), 80, false), "");
  auto away = json::parse(R"({"server":{"error":"no answer"},"supervisor":{"error":"gone"},
                              "agent":{"error":"refused"}})");
  EXPECT_THAT(renderStatus(*away, 80, false), HasSubstr("no answer"));
}

TEST(Supervisor, its_listeners_are_found_by_name) {
  EXPECT_EQ(listenerOf(*status().get("supervisor"), "server", "admin"), "127.0.0.1:8889");
  EXPECT_EQ(listenerOf(*status().get("supervisor"), "server", "web"), "");
  EXPECT_EQ(listenerOf(json::Value(), "server", "web"), "");
  auto away =
      tellSupervisor("/nonexistent/run.sock", "status", Deadline::after(std::chrono::seconds(1)));
  EXPECT_EQ(away.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace godwit::cli
