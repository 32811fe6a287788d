#pragma once

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

// Coroutine tasks for work that may wait on a database. A Task is lazy until awaited; awaiting runs
// it at once on the same stack (in await_ready), and if it finished there, the awaiter never
// suspends. Chains of tasks that do not wait therefore cost a frame each and no scheduling, and do
// not grow the stack by symmetric transfer, which g++ 12 does not turn into jumps at -O0.
//
// g++ 12 miscompiles some expressions around co_await. Always:
//   1. name every aggregate and lambda on a line of its own, then std::move it into the call;
//   2. never co_await inside ?: or braces;  3. give option structs a constructor.
namespace godwit {

namespace detail {

// Frames are short-lived and few sizes recur: a per-thread free list beats malloc.
class FramePool {
 public:
  static void* get(std::size_t n) {
    std::size_t k = (n + kStep - 1) / kStep;
    if (k < kClasses) {
      Node*& head = lists().free[k];
      if (head) {
        Node* node = head;
        head = node->next;
        --lists().count[k];
        return node;
      }
      return ::operator new(k* kStep);
    }
    return ::operator new(n);
  }
  static void put(void* p, std::size_t n) noexcept {
    std::size_t k = (n + kStep - 1) / kStep;
    if (k < kClasses && lists().count[k] < kKeep) {
      Node* node = new (p) Node{lists().free[k]};
      lists().free[k] = node;
      ++lists().count[k];
    } else {
      ::operator delete(p);
    }
  }

 private:
  struct Node {
    Node* next;
  };
  static constexpr std::size_t kStep = 128;
  static constexpr std::size_t kClasses = 24;
  static constexpr unsigned kKeep = 64;  // per class and thread: at most ~200 KiB held
  struct Lists {
    Node* free[kClasses] = {};
    unsigned count[kClasses] = {};
    ~Lists() {
      for (std::size_t k = 0; k < kClasses; ++k) {
        while (free[k]) {
          Node* n = free[k];
          free[k] = n->next;
          ::operator delete(n);
        }
        count[k] = kKeep;  // frames freed after this point go straight to delete
      }
    }
  };
  static Lists& lists() {
    thread_local Lists l;
    return l;
  }
};

struct PromiseBase {
  std::coroutine_handle<> continuation;
  std::exception_ptr exception;

  static void* operator new(std::size_t n) { return FramePool::get(n); }
  static void operator delete(void* p, std::size_t n) noexcept { FramePool::put(p, n); }

  std::suspend_always initial_suspend() noexcept { return {}; }
  struct Final {
    bool await_ready() noexcept { return false; }
    template <class P>
    void await_suspend(std::coroutine_handle<P> h) noexcept {
      // Absent while the task runs inside its awaiter's await_ready: the awaiter then just goes on.
      if (auto c = h.promise().continuation) c.resume();
    }
    void await_resume() noexcept {}
  };
  Final final_suspend() noexcept { return {}; }
  void unhandled_exception() { exception = std::current_exception(); }
};

template <class T>
struct Promise : PromiseBase {
  std::optional<T> value;
  template <class U>
  requires std::is_constructible_v<T, U&&>
  void return_value(U&& v) { value.emplace(std::forward<U>(v)); }
  std::coroutine_handle<Promise> get_return_object() {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  T take() {
    if (exception) std::rethrow_exception(exception);
    return std::move(*value);
  }
};

template <>
struct Promise<void> : PromiseBase {
  void return_void() {}
  std::coroutine_handle<Promise> get_return_object() {
    return std::coroutine_handle<Promise>::from_promise(*this);
  }
  void take() {
    if (exception) std::rethrow_exception(exception);
  }
};

}  // namespace detail

// Owned by whoever awaits it; destroying an unfinished task destroys its frame (and its children).
// Not thread safe: a task is started, resumed and destroyed by one thread at a time.
template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task(Handle h) : h_(h) {}  // NOLINT: what get_return_object converts from
  Task(Task&& other) noexcept : h_(std::exchange(other.h_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (h_) h_.destroy();
      h_ = std::exchange(other.h_, {});
    }
    return *this;
  }
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  ~Task() {
    if (h_) h_.destroy();
  }

  bool await_ready() {
    h_.resume();
    return h_.done();
  }
  void await_suspend(std::coroutine_handle<> awaiting) noexcept {
    h_.promise().continuation = awaiting;
  }
  T await_resume() { return h_.promise().take(); }

  // Runs a task that is known not to wait (memory, SQLite). Precondition: it finishes at once.
  T runInline() {
    h_.resume();
    if (!h_.done()) std::terminate();
    return h_.promise().take();
  }

 private:
  Handle h_;
};

namespace detail {
struct Detached {
  struct promise_type {
    static void* operator new(std::size_t n) { return FramePool::get(n); }
    static void operator delete(void* p, std::size_t n) noexcept { FramePool::put(p, n); }
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }  // spawn() below catches before this
  };
};

template <class T, class F>
Detached spawnImpl(Task<T> task, F done) {
  // `done` takes (exception_ptr) for void tasks, (exception_ptr, optional<T>) otherwise.
  if constexpr (std::is_void_v<T>) {
    std::exception_ptr ex;
    try {
      co_await task;
    } catch (...) {
      ex = std::current_exception();
    }
    done(ex);
  } else {
    std::exception_ptr ex;
    std::optional<T> value;
    try {
      value.emplace(co_await task);
    } catch (...) {
      ex = std::current_exception();
    }
    done(ex, std::move(value));
  }
}
}  // namespace detail

// Starts `task` now, on this thread, and calls `done` when it has finished (maybe before this
// returns). The task owns itself from here on.
template <class T, class F>
void spawn(Task<T> task, F done) {
  detail::spawnImpl<T, F>(std::move(task), std::move(done));
}

}  // namespace godwit
