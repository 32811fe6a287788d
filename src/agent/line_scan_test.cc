#include "agent/line_scan.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace godwit::agent {
namespace {

struct Plain {
  std::string line, name, value, sections;
  friend bool operator==(const Plain&, const Plain&) = default;
};

// The same, letter by letter.
std::vector<Plain> cutPlainly(std::string_view text) {
  std::vector<Plain> out;
  while (!text.empty()) {
    Plain p;
    p.line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(p.line.size() + 1, text.size()));
    std::size_t bar = p.line.find('|');
    std::size_t colon = p.line.substr(0, bar).find(':');
    if (bar != std::string::npos && colon != std::string::npos) {
      p.name = p.line.substr(0, colon);
      p.value = p.line.substr(colon + 1, bar - colon - 1);
      p.sections = p.line.substr(bar);
    }
    out.push_back(std::move(p));
  }
  return out;
}

// Each text ends where its memory does, so that a sanitizer sees a byte too many.
std::vector<Plain> cutAll(const std::string& text) {
  const std::vector<char> exact(text.begin(), text.end());
  std::string_view rest(exact.data(), exact.size());
  std::vector<Plain> out;
  while (!rest.empty()) {
    LineCut c = cutLine(rest);
    out.push_back(
        {std::string(c.line), std::string(c.name), std::string(c.value), std::string(c.sections)});
  }
  return out;
}

std::size_t countPlainly(const std::string& text) {
  std::size_t n = 0;
  for (const Plain& p : cutPlainly(text)) n += !p.line.empty() && p.line != "\r";
  return n;
}

void expectSame(const std::string& text) {
  ASSERT_EQ(cutAll(text), cutPlainly(text)) << testing::PrintToString(text);
  const std::vector<char> exact(text.begin(), text.end());
  ASSERT_EQ(countLines({exact.data(), exact.size()}), countPlainly(text))
      << testing::PrintToString(text);
}

TEST(LineScan, cuts_and_counts_as_reading_letter_by_letter_would) {
  std::mt19937 rnd(7);
  static const char kLetters[] = {'a', 'b', ':', '|', '\n', '\r', '#', '\0'};
  for (int i = 0; i < 20'000; ++i) {
    std::string text;
    const std::size_t size = rnd() % 150;
    const auto plain = 1 + rnd() % 40;  // how long it goes on without a special letter
    for (std::size_t k = 0; k < size; ++k) {
      text += rnd() % plain == 0 ? kLetters[rnd() % sizeof kLetters] : 'x';
    }
    expectSame(text);
  }
}

TEST(LineScan, every_length_around_a_block_with_every_ending) {
  for (std::size_t n = 0; n < 100; ++n) {
    for (const char* end : {"", "\n", "\r\n", "\n\r", "\r", "\n\n", "\n\r\n", "|", ":|c", ":1|c"}) {
      expectSame(std::string(n, 'x') + end);
      expectSame(std::string(n, '\n') + end);
      expectSame("\r\n" + std::string(n, 'x') + end + "\r\ny:1|c");
    }
  }
}

}  // namespace
}  // namespace godwit::agent
