#pragma once

#include <cstdint>
#include <string>
#include <string_view>

// A pull reader of JSON text, as strict as Python's json.loads (which lets NaN and Infinity pass).
// The first error sticks; every call then fails. Borrowed text must outlive the cursor.
namespace godwit::metrics {

class JsonCursor {
 public:
  static constexpr int kMaxDepth = 32;

  explicit JsonCursor(std::string_view text) : p_(text.data()), end_(p_ + text.size()) {}

  [[nodiscard]] bool ok() const { return error_.empty(); }
  [[nodiscard]] std::string_view error() const { return error_; }
  bool fail(std::string_view why) {
    if (error_.empty()) error_ = why;
    p_ = end_;
    return false;
  }
  // Only blanks are left.
  bool atEnd() {
    blanks();
    return ok() && p_ == end_;
  }

  // First character of the next value, '\0' at the end.
  char peek() {
    blanks();
    return p_ == end_ ? '\0' : *p_;
  }
  // Containers: `if (enter('{')) while (key(k)) …` and `if (enter('[')) while (element()) …`.
  bool enter(char open);
  // False at the closing brace or on an error. The view lives until the next string is read.
  bool key(std::string_view& name);
  bool element();

  bool string(std::string& out);
  // Integers that fit int64 give is_int. NaN and infinities are numbers here.
  struct Number {
    double d = 0;
    std::int64_t i = 0;
    bool is_int = false;
  };
  bool number(Number& out);
  bool boolean(bool& out);
  bool null();
  bool skip();  // any value

 private:
  void blanks() {
    while (p_ != end_ && (*p_ == ' ' || *p_ == '\n' || *p_ == '\t' || *p_ == '\r')) ++p_;
  }
  bool word(std::string_view w);
  bool view(std::string_view& out);
  bool escape();
  bool hex4(std::uint32_t& out);
  bool next(char close);

  const char* p_;
  const char* end_;
  std::string scratch_;
  std::string_view error_;
  int depth_ = 0;
  bool first_ = false;
};

}  // namespace godwit::metrics
