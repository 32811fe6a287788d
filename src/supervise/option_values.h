// Readers of option values, for the table of options: each sets what it reads, or says what it
// would have expected.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervise/option_table.h"

namespace godwit::supervise::option_value {

using T = OptionTarget;
using V = std::string_view;
using Why = std::optional<std::string>;  // nothing: it was good

Why duration(TimeNs& out, V v, bool finite = true);
Why text(std::string& out, V v);
Why flag(bool& out, V v);
Why splitInto(std::vector<std::string>& out, V v);
Why setWarmup(T& t, V v);
Why setKill(T& t, V v);
Why setSoak(T& t, V v);
Why setKillAfter(T& t, V v);
Why setStopSignal(T& t, V v);
Why setStopSequence(T& t, V v);
Why setLiveness(T& t, V v);
Why setHook(T& t, V v);
Why setEnv(T& t, V v);
Why setRollback(T& t, V v);
Why setMaxRestarts(T& t, V v);
Why setUmask(T& t, V v);
Why setNice(T& t, V v);
Why setRlimit(T& t, V v);
Why setMaxRss(T& t, V v);
Why setMaxAge(T& t, V v);
Why setCompat(T& t, V v);
Why setMap(T& t, V v);
Why setCutover(T& t, V v);

template <class I>
Why integer(I& out, V v, std::int64_t low, std::int64_t high) {
  auto n = parseInt(v, low, high);
  if (!n) return "expected a number from " + std::to_string(low) + " to " + std::to_string(high);
  out = static_cast<I>(*n);
  return std::nullopt;
}

template <class E>
struct Choice {
  V name;
  E value;
};
template <class E, std::size_t N>
Why choose(E& out, V v, const Choice<E> (&choices)[N]) {
  std::string names;
  for (const auto& c : choices) {
    if (c.name == v) {
      out = c.value;
      return std::nullopt;
    }
    names += (names.empty() ? "" : ", ") + std::string(c.name);
  }
  return "expected one of " + names;
}

template <class R>
Why append(std::vector<R>& out, Result<R> r) {
  if (!r.ok()) return std::move(r).error().message;
  out.push_back(std::move(r).value());
  return std::nullopt;
}

}  // namespace godwit::supervise::option_value
