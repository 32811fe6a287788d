#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

// Structured logging. One event = one line on one descriptor, as JSON or as short coloured text.
// A line is written with one write(2); if the descriptor would block, the line is dropped and
// counted, so that a stuck log reader never stops a server. Any thread.
namespace godwit::log {

enum class Level : std::uint8_t { kDebug, kInfo, kWarn, kError };
enum class Format : std::uint8_t { kText, kColor, kJson };

// A named value. Keys are plain identifiers from the source. Strings are borrowed until the call
// returns. Never log secrets.
struct Field {
  enum class Kind : std::uint8_t { kString, kInt, kDouble, kBool };
  std::string_view key;
  Kind kind;
  std::string_view s;
  std::int64_t i = 0;
  double d = 0;

  Field(std::string_view k, std::string_view v) : key(k), kind(Kind::kString), s(v) {}
  Field(std::string_view k, const char* v) : key(k), kind(Kind::kString), s(v) {}
  Field(std::string_view k, const std::string& v) : key(k), kind(Kind::kString), s(v) {}
  Field(std::string_view k, bool v) : key(k), kind(Kind::kBool), i(v) {}
  Field(std::string_view k, double v) : key(k), kind(Kind::kDouble), d(v) {}
  template <class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>) Field(std::string_view k, T v)
      : key(k), kind(Kind::kInt), i(static_cast<std::int64_t>(v)) {}
};
// Left out of the line when the value is empty.
inline Field unlessEmpty(std::string_view key, std::string_view value) {
  return Field(value.empty() ? std::string_view() : key, value);
}
using Fields = std::initializer_list<Field>;

struct Options {
  int fd = 2;
  Level level = Level::kInfo;
  Format format = Format::kText;
  std::string program;  // printed as "Logger" in JSON
  // Gather lines and write them together, at most 100 ms later; warnings and errors go out at once.
  // What is gathered is lost when the process is killed.
  bool gather = false;
};

// Call before other threads log, and again on reopen. The default writes text at info to stderr.
void configure(const Options& options);
// Colour on a terminal (unless NO_COLOR is set), JSON elsewhere.
Format formatFor(int fd);

[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view event, Fields fields = {});
inline void debug(std::string_view e, Fields f = {}) {
  if (enabled(Level::kDebug)) write(Level::kDebug, e, f);
}
inline void info(std::string_view e, Fields f = {}) { write(Level::kInfo, e, f); }
inline void warn(std::string_view e, Fields f = {}) { write(Level::kWarn, e, f); }
inline void error(std::string_view e, Fields f = {}) { write(Level::kError, e, f); }

// Writes what has been gathered. At exit it is done by itself.
void flush();

std::uint64_t droppedLines();

// Appends `s` as a JSON string with quotes; invalid UTF-8 becomes U+FFFD.
void appendJsonString(std::string& out, std::string_view s);

}  // namespace godwit::log
