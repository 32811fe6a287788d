// Job: a move-only callable taking nothing. What is posted between threads. Any thread.
#pragma once

#include <memory>
#include <type_traits>
#include <utility>

namespace godwit {

class Job {
 public:
  Job() = default;
  template <class F>
  requires(!std::is_same_v<std::decay_t<F>, Job> && std::is_invocable_v<std::decay_t<F>&>)
      Job(F&& f)  // NOLINT: implicit on purpose
      : impl_(std::make_unique<Impl<std::decay_t<F>>>(std::forward<F>(f))) {}

  explicit operator bool() const { return impl_ != nullptr; }
  // REQUIRES bool(*this). May be called once.
  void operator()() { std::exchange(impl_, nullptr)->run(); }

 private:
  struct Base {
    virtual ~Base() = default;
    virtual void run() = 0;
  };
  template <class F>
  struct Impl final : Base {
    F f;
    explicit Impl(F&& x) : f(std::move(x)) {}
    explicit Impl(const F& x) : f(x) {}
    void run() override { f(); }
  };
  std::unique_ptr<Base> impl_;
};

}  // namespace godwit
