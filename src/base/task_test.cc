#include "base/task.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace godwit {
namespace {

// Something that parks the awaiting coroutine until the test lets it go.
struct Gate {
  std::coroutine_handle<> waiting;
  bool open = false;
  bool await_ready() const { return open; }
  void await_suspend(std::coroutine_handle<> h) { waiting = h; }
  void await_resume() {}
  void release() {
    open = true;
    if (auto h = std::exchange(waiting, {})) h.resume();
  }
};

Task<int> add(int a, int b) { co_return a + b; }
Task<std::string> name(std::string s) { co_return s + "!"; }

Task<int> sum(int n) {
  int total = 0;
  for (int i = 0; i < n; ++i) total += co_await add(i, 1);
  co_return total;
}

TEST(Task, runs_inline_when_nothing_waits) { EXPECT_EQ(sum(1000).runInline(), 500500); }

TEST(Task, a_deep_loop_of_ready_awaits_does_not_grow_the_stack) {
  EXPECT_EQ(sum(20000).runInline(), 200010000);
}

TEST(Task, resumes_through_the_chain_after_a_wait) {
  Gate gate;
  auto inner = [](Gate& g) -> Task<int> {
    co_await g;
    co_return 7;
  };
  auto outer = [](auto fn, Gate& g) -> Task<int> {
    int a = co_await fn(g);
    int b = co_await add(a, 1);
    co_return b;
  };
  int got = 0;
  spawn(outer(inner, gate), [&](std::exception_ptr ex, std::optional<int> v) {
    EXPECT_FALSE(ex);
    got = *v;
  });
  EXPECT_EQ(got, 0);
  gate.release();
  EXPECT_EQ(got, 8);
}

TEST(Task, exceptions_reach_the_awaiter) {
  auto thrower = []() -> Task<int> {
    throw std::string("no");
    co_return 1;
  };
  bool caught = false;
  spawn(thrower(), [&](std::exception_ptr ex, std::optional<int>) { caught = ex != nullptr; });
  EXPECT_TRUE(caught);
}

TEST(Task, an_unfinished_task_frees_its_frame) {
  struct Counter {
    int& n;
    explicit Counter(int& c) : n(c) { ++n; }
    ~Counter() { --n; }
  };
  int alive = 0;
  Gate gate;
  {
    auto waits = [](int& n, Gate& g) -> Task<> {
      Counter c(n);
      co_await g;
    };
    Task<> t = waits(alive, gate);
    EXPECT_FALSE(t.await_ready());
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
}

// The shapes that g++ 12 compiles correctly and that the code base is allowed to use. ASan tells if
// a temporary is destroyed twice.
struct Options {
  std::string a;
  std::vector<std::string> b;
  Options(std::string x, std::vector<std::string> y) : a(std::move(x)), b(std::move(y)) {}
};
Task<std::string> takes(Options o) { co_return o.a + o.b.back(); }

Task<std::string> allowedShapes() {
  Options o("a long enough string to be on the heap", std::vector<std::string>{"one", "two"});
  std::string first = co_await takes(std::move(o));
  auto closure = [text = std::string("captured text long enough for the heap")]() { return text; };
  std::string second = co_await name(closure());
  std::string third;
  if (first.size() > 3) {
    third = co_await name("third");
  }
  co_return first + second + third;
}

TEST(Task, allowed_shapes_survive_the_compiler) {
  EXPECT_EQ(
      allowedShapes().runInline(),
      "a long enough string to be on the heaptwocaptured text long enough for the heap!third!");
}

}  // namespace
}  // namespace godwit
