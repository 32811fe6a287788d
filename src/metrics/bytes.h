#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

// Little-endian, bounds-checked reading and unchecked writing of flat records.
namespace godwit::metrics {

constexpr std::size_t varintSize(std::uint64_t v) {
  std::size_t n = 1;
  for (; v >= 0x80; v >>= 7) ++n;
  return n;
}

// The caller has reserved the space.
class ByteWriter {
 public:
  explicit ByteWriter(char* out) : p_(out) {}
  template <class T>
  void fixed(T v) {
    std::memcpy(p_, &v, sizeof v);
    p_ += sizeof v;
  }
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7) *p_++ = static_cast<char>(v | 0x80);
    *p_++ = static_cast<char>(v);
  }
  void text(std::string_view s) {
    varint(s.size());
    if (!s.empty()) std::memcpy(p_, s.data(), s.size());
    p_ += s.size();
  }
  [[nodiscard]] char* at() const { return p_; }

 private:
  char* p_;
};

// After the first failure every read yields zero and ok() stays false.
class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : p_(in.data()), end_(in.data() + in.size()) {}
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - p_); }

  template <class T>
  T fixed() {
    T v{};
    if (left() < sizeof v) {
      fail();
      return v;
    }
    std::memcpy(&v, p_, sizeof v);
    p_ += sizeof v;
    return v;
  }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (p_ == end_) break;
      const auto b = static_cast<unsigned char>(*p_++);
      if (shift == 63 && b > 1) break;
      v |= std::uint64_t{b & 0x7fU} << shift;
      if (b < 0x80) return v;
    }
    fail();
    return 0;
  }
  // Borrowed from the input.
  std::string_view text() {
    const std::uint64_t n = varint();
    if (n > left()) {
      fail();
      return {};
    }
    const std::string_view s(p_, n);
    p_ += n;
    return s;
  }
  void skip(std::size_t n) {
    if (n > left()) {
      fail();
    } else {
      p_ += n;
    }
  }
  void fail() {
    ok_ = false;
    p_ = end_;
  }

 private:
  const char* p_;
  const char* end_;
  bool ok_ = true;
};

}  // namespace godwit::metrics
