#include "base/log.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "base/unique_fd.h"

namespace godwit::log {
namespace {

struct Pipe {
  UniqueFd in, out;
  Pipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) std::abort();
    in.reset(fds[0]);
    out.reset(fds[1]);
  }
  std::string read() const {
    char buf[4096];
    ssize_t n = ::read(in.get(), buf, sizeof buf);
    return n > 0 ? std::string(buf, static_cast<std::size_t>(n)) : std::string();
  }
};

class LogTest : public testing::Test {
 protected:
  void use(Format format) {
    Options o;
    o.fd = pipe_.out.get();
    o.format = format;
    o.program = "test";
    configure(o);
  }
  void TearDown() override { configure(Options()); }
  Pipe pipe_;
};

TEST_F(LogTest, json_escapes_every_value) {
  use(Format::kJson);
  info("request", {{"path", "/a\"b\n"}, {"code", 200}, {"ok", true}, {"t", 1.5}, {"bad", "\xff"}});
  std::string line = pipe_.read();
  EXPECT_NE(line.find(R"("Fields":{"path":"/a\"b\u000a","code":200,"ok":true,"t":1.5,"bad":)"),
            std::string::npos)
      << line;
  EXPECT_EQ(line.back(), '\n');
  EXPECT_EQ(line.find('\n'), line.size() - 1);
}

TEST_F(LogTest, doubles_keep_what_people_read) {
  use(Format::kText);
  info("n", {{"a", 0.1}, {"b", -2.25}, {"c", 0.0}, {"d", 1.5e-9}, {"e", 3e15}, {"f", 12.3456789}});
  EXPECT_NE(pipe_.read().find("n a=0.1 b=-2.25 c=0 d=1.5e-9 e=300000000000e4 f=12.345679\n"),
            std::string::npos);
}

TEST_F(LogTest, text_quotes_only_what_needs_it) {
  use(Format::kText);
  warn("slow", {{"path", "/x"}, {"why", "two words"}});
  EXPECT_NE(pipe_.read().find("warn slow path=/x why=\"two words\"\n"), std::string::npos);
}

TEST_F(LogTest, a_stuck_reader_drops_lines_and_counts_them) {
  use(Format::kText);
  std::uint64_t before = droppedLines();
  std::string big(4000, 'x');
  for (int i = 0; i < 64; ++i) info("fill", {{"x", big}});
  EXPECT_GT(droppedLines(), before);
}

TEST_F(LogTest, gathered_lines_come_out_whole_and_a_warning_brings_them_along) {
  Options o;
  o.fd = pipe_.out.get();
  o.gather = true;
  configure(o);
  for (int i = 0; i < 3; ++i) info("quiet", {{"n", i}});
  warn("loud");
  std::string text = pipe_.read();
  EXPECT_NE(text.find("quiet n=0\n"), std::string::npos) << text;
  EXPECT_NE(text.find("quiet n=2\n"), std::string::npos) << text;
  EXPECT_TRUE(text.ends_with("warn loud\n")) << text;
  info("late");
  flush();
  EXPECT_TRUE(pipe_.read().ends_with("info late\n"));
}

TEST_F(LogTest, debug_is_silent_by_default) {
  use(Format::kText);
  debug("hidden");
  EXPECT_EQ(pipe_.read(), "");
}

}  // namespace
}  // namespace godwit::log
