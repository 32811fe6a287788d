#include "kinto/courier.h"

#include <gtest/gtest.h>

#include <future>

namespace godwit::kinto {
namespace {

using namespace std::chrono_literals;
using Outcome = Carrier::Outcome;
using Words = std::vector<std::string>;

// What a receiver did, for a test to read after the courier has stopped.
struct Log {
  std::mutex mu;
  std::condition_variable changed;
  Words got;           // guarded by mu
  unsigned calls = 0;  // guarded by mu
  bool open = true;    // guarded by mu: carry() returns
  bool cancelled = false;

  void waitForCalls(unsigned n) {
    std::unique_lock lock(mu);
    changed.wait(lock, [&] { return calls >= n; });
  }
  void let(bool through) {
    std::lock_guard lock(mu);
    open = through;
    changed.notify_all();
  }
};

// Does as `plan` says, call after call, then delivers.
class Scripted final : public Carrier {
 public:
  Scripted(Log& log, std::vector<Outcome> plan) : log_(log), plan_(std::move(plan)) {}
  Attempt carry(std::span<const std::string> messages, Deadline) override {
    std::unique_lock lock(log_.mu);
    unsigned n = log_.calls++;
    log_.changed.notify_all();
    log_.changed.wait(lock, [&] { return log_.open || log_.cancelled; });
    if (log_.cancelled) return Attempt(Outcome::kFailed, "cancelled");
    Outcome outcome = n < plan_.size() ? plan_[n] : Outcome::kDelivered;
    if (outcome == Outcome::kDelivered) {
      log_.got.insert(log_.got.end(), messages.begin(), messages.end());
    }
    return Attempt(outcome, "as planned");
  }
  void cancel() override {
    std::lock_guard lock(log_.mu);
    log_.cancelled = true;
    log_.changed.notify_all();
  }

 private:
  Log& log_;
  const std::vector<Outcome> plan_;
};

Courier::Options quick() {
  Courier::Options options;
  options.name = "test";
  options.first_pause = 1ms;
  options.longest_pause = 2ms;
  return options;
}

TEST(Courier, everything_arrives_in_order_before_it_stops) {
  Log log;
  Courier courier(quick(), std::make_unique<Scripted>(log, std::vector<Outcome>{}));
  Words sent;
  for (int i = 0; i < 500; ++i) {
    sent.push_back(std::to_string(i));
    ASSERT_TRUE(courier.post(sent.back()));
  }
  courier.stop(Deadline::after(30s));
  EXPECT_EQ(log.got, sent);
  EXPECT_EQ(courier.counts().delivered, 500U);
  EXPECT_EQ(courier.counts().waiting, 0U);
  EXPECT_FALSE(courier.post("late"));
}

TEST(Courier, what_fails_is_tried_again_and_what_is_refused_is_not) {
  Log log;
  Courier courier(quick(), std::make_unique<Scripted>(
                               log, std::vector{Outcome::kFailed, Outcome::kFailed,
                                                Outcome::kDelivered, Outcome::kRefused}));
  for (const char* m : {"a", "b", "c"}) courier.post(m);
  courier.stop(Deadline::after(30s));
  EXPECT_EQ(log.got, (Words{"a", "c"}));
  EXPECT_EQ(log.calls, 5U);
  EXPECT_EQ(courier.counts().retries, 2U);
  EXPECT_EQ(courier.counts().given_up, 1U);
}

TEST(Courier, trying_in_vain_ends) {
  Log log;
  Courier::Options options = quick();
  options.max_attempts = 3;
  Courier courier(options, std::make_unique<Scripted>(log, std::vector(3, Outcome::kFailed)));
  courier.post("a");
  courier.post("b");
  courier.stop(Deadline::after(30s));
  EXPECT_EQ(log.got, Words{"b"});
  EXPECT_EQ(courier.counts().given_up, 1U);
}

TEST(Courier, batches_are_as_large_as_allowed) {
  Log log;
  Courier::Options options = quick();
  options.batch = 10;
  log.open = false;
  Courier courier(options, std::make_unique<Scripted>(log, std::vector<Outcome>{}));
  courier.post("first");
  log.waitForCalls(1);
  for (int i = 0; i < 20; ++i) courier.post("more");
  log.let(true);
  courier.stop(Deadline::after(30s));
  EXPECT_EQ(log.calls, 3U);
  EXPECT_EQ(log.got.size(), 21U);
}

TEST(Courier, a_full_queue_drops_and_counts) {
  Log log;
  log.open = false;
  Courier::Options options = quick();
  options.max_messages = 3;
  Courier courier(options, std::make_unique<Scripted>(log, std::vector<Outcome>{}));
  courier.post("under way");
  log.waitForCalls(1);
  EXPECT_TRUE(courier.post("a"));
  EXPECT_TRUE(courier.post("b"));
  EXPECT_FALSE(courier.post("c"));
  EXPECT_EQ(courier.counts().dropped, 1U);
  EXPECT_EQ(courier.counts().waiting, 3U);
  log.let(true);
  courier.stop(Deadline::after(30s));
  EXPECT_EQ(log.got, (Words{"under way", "a", "b"}));
}

TEST(Courier, bytes_are_bounded_too) {
  Log log;
  log.open = false;
  Courier::Options options = quick();
  options.max_bytes = 10;
  Courier courier(options, std::make_unique<Scripted>(log, std::vector<Outcome>{}));
  courier.post("12345");
  log.waitForCalls(1);
  EXPECT_TRUE(courier.post("12345"));
  EXPECT_FALSE(courier.post("1"));
  log.let(true);
  courier.stop(Deadline::after(30s));
  EXPECT_EQ(courier.counts().delivered, 2U);
}

TEST(Courier, stopping_does_not_wait_for_a_receiver_beyond_the_deadline) {
  Log log;
  log.open = false;
  Courier courier(quick(), std::make_unique<Scripted>(log, std::vector<Outcome>{}));
  courier.post("a");
  courier.post("b");
  log.waitForCalls(1);
  courier.stop(Deadline::after(20ms));  // would hang if the receiver were not cancelled
  EXPECT_TRUE(log.cancelled);
  EXPECT_EQ(courier.counts().given_up, 2U);
  EXPECT_EQ(courier.counts().waiting, 0U);
}

TEST(Courier, a_pause_does_not_outlast_the_stop) {
  Log log;
  Courier::Options options = quick();
  options.first_pause = 1h;
  options.longest_pause = 1h;
  Courier courier(options, std::make_unique<Scripted>(log, std::vector(9, Outcome::kFailed)));
  courier.post("a");
  log.waitForCalls(1);
  courier.stop(Deadline::after(20ms));
  EXPECT_EQ(courier.counts().given_up, 1U);
}

}  // namespace
}  // namespace godwit::kinto
