// Result<T>: a value or an Error. Errors are values everywhere in Godwit; exceptions stay inside
// the library that throws them. Header only, no dependency. Any thread.
#pragma once

#include <cassert>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>

namespace godwit {

// What went wrong, coarse enough to decide on: answer 4xx, retry, give up.
enum class ErrorCode {
  kInvalid,      // the input breaks a rule; the same input fails again
  kNotFound,     // the thing named does not exist
  kConflict,     // exists already, or changed meanwhile
  kForbidden,    // known caller, not allowed
  kUnavailable,  // a backend is away or full; worth retrying
  kTimeout,      // a deadline passed
  kLimit,        // a documented bound was reached
  kUnsupported,  // valid, but not offered here
  kNeedsWrite,   // a read-only unit of work must be run again as a write
  kClosed,       // the peer or the object is gone
  kOs,           // a system call failed; `detail` holds the reason
  kInternal,     // a bug
};

struct Error {
  ErrorCode code = ErrorCode::kInternal;
  std::string message;  // public: may be shown to whoever asked
  std::string detail;   // private: for the log only

  Error() = default;
  Error(ErrorCode c, std::string m, std::string d = {})
      : code(c), message(std::move(m)), detail(std::move(d)) {}
};

template <class T = void>
class [[nodiscard]] Result {
 public:
  Result(T value) : v_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit on purpose
  Result(Error error)
      : v_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose
  Result(ErrorCode c, std::string m, std::string d = {})
      : v_(std::in_place_index<1>, c, std::move(m), std::move(d)) {}

  [[nodiscard]] bool ok() const { return v_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // REQUIRES ok().
  [[nodiscard]] T& value() & {
    assert(ok());
    return *std::get_if<0>(&v_);
  }
  [[nodiscard]] const T& value() const& {
    assert(ok());
    return *std::get_if<0>(&v_);
  }
  [[nodiscard]] T&& value() && {
    assert(ok());
    return std::move(*std::get_if<0>(&v_));
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

  // REQUIRES !ok().
  [[nodiscard]] Error& error() & {
    assert(!ok());
    return *std::get_if<1>(&v_);
  }
  [[nodiscard]] const Error& error() const& {
    assert(!ok());
    return *std::get_if<1>(&v_);
  }
  [[nodiscard]] Error&& error() && {
    assert(!ok());
    return std::move(*std::get_if<1>(&v_));
  }

 private:
  std::variant<T, Error> v_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : failed_(true), error_(std::move(error)) {}  // NOLINT: implicit on purpose
  Result(ErrorCode c, std::string m, std::string d = {})
      : failed_(true), error_(c, std::move(m), std::move(d)) {}

  [[nodiscard]] bool ok() const { return !failed_; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] Error& error() & {
    assert(failed_);
    return error_;
  }
  [[nodiscard]] const Error& error() const& {
    assert(failed_);
    return error_;
  }
  [[nodiscard]] Error&& error() && {
    assert(failed_);
    return std::move(error_);
  }

 private:
  bool failed_ = false;
  Error error_;
};

}  // namespace godwit

// Returns the error of `expr` from the enclosing function (or coroutine with GODWIT_CO_TRY), else
// goes on. `expr` is evaluated once. For values: take the Result in a variable and test it.
#define GODWIT_TRY(expr)                            \
  do {                                              \
    if (auto godwit_r_ = (expr); !godwit_r_.ok()) { \
      return std::move(godwit_r_).error();          \
    }                                               \
  } while (0)
