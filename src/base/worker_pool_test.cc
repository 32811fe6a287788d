#include "base/worker_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

namespace godwit {
namespace {

using namespace std::chrono_literals;

TEST(WorkerPool, runs_everything_that_was_taken) {
  std::atomic<int> ran{0};
  WorkerPool pool("test", 3, 1000);
  for (int i = 0; i < 500; ++i) ASSERT_TRUE(pool.submit([&] { ++ran; }));
  EXPECT_EQ(pool.stop(Deadline::after(30s)), 0u);
  EXPECT_EQ(ran, 500);
  EXPECT_FALSE(pool.submit([] {}));
}

TEST(WorkerPool, a_full_queue_refuses_and_counts) {
  std::promise<void> started, release;
  WorkerPool pool("test", 1, 2);
  ASSERT_TRUE(pool.submit([&] {
    started.set_value();
    release.get_future().wait();
  }));
  started.get_future().wait();
  EXPECT_TRUE(pool.submit([] {}));
  EXPECT_TRUE(pool.submit([] {}));
  EXPECT_FALSE(pool.submit([] {}));
  EXPECT_EQ(pool.refused(), 1u);
  EXPECT_EQ(pool.queued(), 2u);
  release.set_value();
}

TEST(WorkerPool, stop_at_a_passed_deadline_drops_what_waits_and_says_how_many) {
  std::promise<void> started, release;
  std::atomic<int> ran{0};
  WorkerPool pool("test", 1, 10);
  ASSERT_TRUE(pool.submit([&] {
    started.set_value();
    release.get_future().wait();
  }));
  started.get_future().wait();
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pool.submit([&] { ++ran; }));
  std::promise<std::size_t> dropped;
  std::thread stopper([&] { dropped.set_value(pool.stop(Deadline::after(0s))); });
  while (pool.queued() != 0) std::this_thread::yield();
  release.set_value();
  stopper.join();
  EXPECT_EQ(dropped.get_future().get(), 4u);
  EXPECT_EQ(ran, 0);
}

}  // namespace
}  // namespace godwit
