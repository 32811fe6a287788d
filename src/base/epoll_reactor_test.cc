#include "base/epoll_reactor.h"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <chrono>
#include <optional>

namespace godwit {
namespace {

using namespace std::chrono_literals;

TEST(EpollReactor, runs_what_other_threads_post_in_order) {
  EpollReactor loop;
  std::vector<int> got;
  std::thread t([&] {
    for (int i = 0; i < 100; ++i) loop.post([&got, i] { got.push_back(i); });
    loop.stop();
  });
  loop.run();
  t.join();
  ASSERT_EQ(got.size(), 100u);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(got[static_cast<std::size_t>(i)], i);
}

TEST(EpollReactor, timers_fire_in_order_and_not_after_cancel) {
  EpollReactor loop;
  std::vector<int> got;
  auto late = loop.timer(Deadline::after(40ms), [&] { got.push_back(2); });
  auto soon = loop.timer(Deadline::after(10ms), [&] { got.push_back(1); });
  auto never = loop.timer(Deadline::after(20ms), [&] { got.push_back(9); });
  never.reset();
  EXPECT_TRUE(loop.runUntil([&] { return got.size() == 2; }, Deadline::after(10s)));
  EXPECT_EQ(got, (std::vector<int>{1, 2}));
}

TEST(EpollReactor, reports_only_what_is_wanted_and_survives_a_watch_that_ends_itself) {
  EpollReactor loop;
  int pair[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  UniqueFd a(pair[0]);
  UniqueFd b(pair[1]);
  std::unique_ptr<Reactor::FdWatch> watch;
  unsigned seen = 0;
  watch = loop.watch(a.get(), [&](unsigned ev) {
    seen |= ev;
    watch.reset();
  });
  ASSERT_EQ(::write(b.get(), "x", 1), 1);
  EXPECT_FALSE(loop.runUntil([&] { return seen != 0; }, Deadline::after(20ms)));
  watch->want(Reactor::kReadable);
  EXPECT_TRUE(loop.runUntil([&] { return seen != 0; }, Deadline::after(10s)));
  EXPECT_EQ(seen, Reactor::kReadable);
}

}  // namespace
}  // namespace godwit
