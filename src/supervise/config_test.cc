#include "supervise/config.h"

#include <gtest/gtest.h>

#include "supervise/option_table.h"

namespace godwit::supervise {
namespace {

using Args = std::vector<std::string>;

std::string errorOf(const Args& args, std::string_view config = {}) {
  auto r = config.empty() ? readSettings(args) : readSettings(args, config);
  return r.ok() ? "" : r.error().message;
}

TEST(Config, the_old_command_lines_mean_what_they_meant) {
  auto s = readSettings({"-w", "2", "-vv", "--", "gunicorn", "--bind", "unix:/tmp/a", "app"});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->services[0].warmup, 2 * kSecond);
  EXPECT_EQ(s->instance.verbose, 2);
  EXPECT_EQ(s->services[0].command.size(), 4u);
  s = readSettings({"-k", "sleep", "9"});
  ASSERT_TRUE(s.ok());
  EXPECT_TRUE(s->instance.kill_on_term);
  EXPECT_EQ(s->services[0].on_death, OnDeath::kKill);
  EXPECT_EQ(s->warnings.size(), 1u);
}

TEST(Config, bad_use_is_one_line) {
  for (const Args& args : std::vector<Args>{{},
                                            {"--"},
                                            {"--nope", "--", "x"},
                                            {"-Z", "x"},
                                            {"--soak"},
                                            {"--soak", "x", "--", "c"},
                                            {"--listen", ":0", "--", "c"},
                                            {"--ready", "probe:/x", "--", "c"},
                                            {"--liveness", "/x", "--", "c"},
                                            {"--listen", "a=:1", "--listen", "a=:2", "--", "c"},
                                            {"--map", "TERM=jump", "--", "c"},
                                            {"--rlimit", "nofile=9:1", "--", "c"},
                                            {"--name", "a/b", "--", "c"}}) {
    std::string e = errorOf(args);
    EXPECT_FALSE(e.empty()) << (args.empty() ? "" : args[0]);
    EXPECT_EQ(e.find('\n'), std::string::npos);
  }
}

TEST(Config, a_file_says_the_same_as_options) {
  auto s = readSettings({"--soak", "3"}, R"(# comment
listen web=:8000,backlog=9
ready = probe:/healthz
linger=2s
env A=b c
command "my server" --fd {fd:web}
)");
  ASSERT_TRUE(s.ok()) << s.error().message;
  const ServiceOptions& o = s->services[0];
  EXPECT_EQ(o.listens[0].name, "web");
  EXPECT_EQ(o.ready[0].path, "/healthz");
  EXPECT_EQ(o.policy.linger, 2 * kSecond);
  EXPECT_EQ(o.policy.soak, 3 * kSecond);
  EXPECT_EQ(o.env[0].second, "b c");
  EXPECT_EQ(o.command[0], "my server");
  EXPECT_TRUE(o.policy.has_queue);
  EXPECT_EQ(errorOf({}, "command x\nlingr 2\n"), ":2: unknown option 'lingr'");
  EXPECT_EQ(errorOf({}, "command x\nlinger\n"), ":2: linger needs a value");
}

TEST(Config, several_services_with_common_defaults_and_order) {
  auto s = readSettings({}, R"(linger 2
pidfile /run/x.pid
[service db]
command db
ready notify
[service web]
command web
listen :8000
after db
linger 3
)");
  ASSERT_TRUE(s.ok()) << s.error().message;
  ASSERT_EQ(s->services.size(), 2u);
  EXPECT_EQ(s->services[0].policy.linger, 2 * kSecond);
  EXPECT_EQ(s->services[1].policy.linger, 3 * kSecond);
  EXPECT_EQ(s->services[1].after, Args{"db"});
  EXPECT_NE(errorOf({"--", "c"}, "[service a]\ncommand x\n"), "");
  EXPECT_NE(errorOf({}, "[service a]\ncommand x\nafter b\n"), "");
  EXPECT_NE(errorOf({}, "[service a]\ncommand x\nafter b\n[service b]\ncommand x\nafter a\n"), "");
  EXPECT_NE(errorOf({}, "[service a]\ncommand x\npidfile /x\n"), "");
  EXPECT_NE(errorOf({}, "[service a]\ncommand x\n[service a]\ncommand y\n"), "");
  EXPECT_NE(errorOf({}, "[service a]\n"), "");
}

TEST(Config, delay_alone_gets_a_soak) {
  EXPECT_EQ(readSettings({"--ready", "delay:1", "c"})->services[0].policy.soak, kSecond);
  EXPECT_EQ(readSettings({"--ready", "delay:1", "--soak", "0", "c"})->services[0].policy.soak, 0);
  EXPECT_EQ(readSettings({"c"})->services[0].policy.soak, 0);
}

TEST(Config, check_is_a_command_or_a_mode) {
  EXPECT_EQ(readSettings({"--check", "nginx -t", "--", "nginx"})->services[0].check, "nginx -t");
  EXPECT_EQ(readSettings({"--check", "--", "nginx"})->mode, Mode::kValidate);
  EXPECT_EQ(readSettings({"--listen", ":1", "--check"}).ok(), false);
}

TEST(Config, cutover_is_for_every_socket_that_does_not_say) {
  auto s = readSettings(
      {"--cutover", "shared", "--listen", "a=:1", "--listen", "b=:2,cutover=slots", "c"});
  ASSERT_TRUE(s.ok());
  EXPECT_EQ(s->services[0].listens[0].wantedCutover(), Cutover::kShared);
  EXPECT_EQ(s->services[0].listens[1].wantedCutover(), Cutover::kSlots);
}

TEST(Config, what_is_printed_reads_back_the_same) {
  Args args = {"--listen",
               "web=:8000,mode=0600,nodelay",
               "--ready",
               "probe:/h",
               "--soak",
               "2",
               "--stop-seq",
               "TERM/3s,QUIT/1s",
               "--max-age",
               "24h+-10%",
               "--restart",
               "always",
               "--liveness",
               "/l,fail=2",
               "--on",
               "fail=echo a 'b'",
               "--max-restarts",
               "5/1m",
               "--rlimit",
               "nofile=1k:unlimited",
               "--watchdog",
               "10",
               "--map",
               "USR2=upgrade",
               "--",
               "a b",
               "c\"d",
               ""};
  auto s = readSettings(args);
  ASSERT_TRUE(s.ok()) << s.error().message;
  std::string text = printSettings(*s);
  auto again = readSettings({}, text);
  ASSERT_TRUE(again.ok()) << again.error().message << "\n" << text;
  EXPECT_EQ(printSettings(*again), text);
  for (const char* line : {"rlimit nofile=1k:unlimited", "watchdog 10s", "map USR2=upgrade"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line;
  }
  EXPECT_EQ(again->services[0].command, s->services[0].command);
}

TEST(Config, sockets_can_be_added_but_not_changed) {
  auto one = readSettings({"--listen", "a=:1", "c"})->services[0];
  auto two = readSettings({"--listen", "a=:1", "--listen", "b=:2", "c"})->services[0];
  auto other = readSettings({"--listen", "a=:3", "c"})->services[0];
  EXPECT_EQ(unchangeable(one, two), "");
  EXPECT_NE(unchangeable(two, one), "");
  EXPECT_NE(unchangeable(one, other), "");
}

TEST(Config, names_are_stable_and_tell_instances_apart) {
  auto name = [](const Args& a) { return readSettings(a)->instance.name; };
  EXPECT_EQ(name({"--listen", ":8000", "/usr/bin/gunicorn", "app"}), "gunicorn-8000");
  EXPECT_EQ(name({"worker", "1"}), name({"worker", "1"}));
  EXPECT_NE(name({"worker", "1"}), name({"worker", "2"}));
  EXPECT_EQ(name({"--name", "x", "worker"}), "x");
}

TEST(OptionTable, names_and_letters_are_unique_and_documented) {
  std::string help = renderHelp();
  std::string docs = renderOptionsMarkdown();
  for (const OptionInfo& o : optionTable()) {
    EXPECT_EQ(findOption(o.name), &o) << o.name;
    if (o.letter) {
      EXPECT_EQ(findOption(o.letter), &o) << o.letter;
    }
    EXPECT_NE(help.find("--" + std::string(o.name)), std::string::npos);
    EXPECT_NE(docs.find("`--" + std::string(o.name)), std::string::npos);
    EXPECT_FALSE(o.help.empty());
  }
}

}  // namespace
}  // namespace godwit::supervise
