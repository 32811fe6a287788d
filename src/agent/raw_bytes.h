#pragma once

#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>

// Numbers as they lie in memory, which is little endian (asserted by the spool's headers). Any
// thread.
namespace godwit::agent {

template <class T>
void put(std::string& out, T v) {
  char buf[sizeof v];
  std::memcpy(buf, &v, sizeof v);
  out.append(buf, sizeof v);
}

// Over what put() left at `at`.
template <class T>
void putAt(std::string& out, std::size_t at, T v) {
  std::memcpy(out.data() + at, &v, sizeof v);
}

// The number at `at`; the caller has checked that it is there.
template <class T>
T get(std::string_view s, std::size_t at) {
  T v;
  std::memcpy(&v, s.data() + at, sizeof v);
  return v;
}

// The number at the front, removed from `s`; false when `s` is too short.
template <class T>
bool take(std::string_view& s, T& v) {
  if (s.size() < sizeof v) return false;
  std::memcpy(&v, s.data(), sizeof v);
  s.remove_prefix(sizeof v);
  return true;
}

}  // namespace godwit::agent
