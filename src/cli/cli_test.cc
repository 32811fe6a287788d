#include "cli/cli.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/log.h"
#include "base/unique_fd.h"
#include "cli/commands.h"
#include "cli/invocation.h"
#include "json/value.h"

namespace godwit::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

// What the programs were called with.
struct Calls {
  std::string port, readonly, version;
  std::vector<std::string> purged;
  std::string user, password;
};
Calls g_calls;

Result<void> fakeServe(const kinto::Settings& s, const kinto::ServeOptions& o) {
  g_calls.port = s.getString("godwit.port");
  g_calls.readonly = s.getString("readonly");
  g_calls.version = o.version;
  if (s.has("eos_message")) return Error(ErrorCode::kInvalid, "Account policy missing");
  if (s.has("eos_url")) return Error(ErrorCode::kOs, "cannot bind 127.0.0.1:1: in use");
  return {};
}
Result<void> fakeRehearse(const kinto::Settings& s) {
  if (s.has("eos_message")) return Error(ErrorCode::kInvalid, "Account policy missing");
  return {};
}
Result<std::vector<std::string>> fakeMigrate(const kinto::Settings&, bool dry_run) {
  return std::vector<std::string>{dry_run ? "would do" : "done"};
}
Result<void> fakeFlush(const kinto::Settings&) { return {}; }
Result<void> fakeCreate(const kinto::Settings&, const std::string& name,
                        const std::string& password) {
  g_calls.user = name;
  g_calls.password = password;
  return {};
}
Result<std::uint64_t> fakePurge(const kinto::Settings&, const std::vector<std::string>& resources,
                                std::uint64_t keep) {
  g_calls.purged = resources;
  return keep + 1;
}

Result<std::vector<std::string>> fakeRebuild(const kinto::Settings&, bool dry_run) {
  return std::vector<std::string>{dry_run ? "would count" : "counted"};
}

class CliTest : public testing::Test {
 protected:
  CliTest() : dir_(testing::TempDir() + "cli_test." + std::to_string(::getpid())) {
    std::filesystem::create_directories(dir_);
    g_calls = Calls();
    programs = {fakeServe,  fakeRehearse, fakeMigrate, fakeFlush,
                fakeCreate, fakePurge,    fakeRebuild};
  }
  ~CliTest() override {
    std::filesystem::remove_all(dir_);
    log::configure(log::Options());
  }

  int godwit(std::vector<std::string> arguments) {
    std::istringstream in(input);
    std::ostringstream o;
    std::ostringstream e;
    std::vector<const char*> env;
    for (const std::string& s : environment) env.push_back(s.c_str());
    env.push_back(nullptr);
    Terminal terminal{in, o, e, false, false, false};
    int code = run(arguments, env.data(), terminal, programs);
    out = o.str();
    err = e.str();
    return code;
  }
  std::string file(const std::string& name, const std::string& text) {
    std::string path = dir_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  [[nodiscard]] std::string path(const std::string& name) const { return dir_ + "/" + name; }

  Programs programs;
  std::vector<std::string> environment;
  std::string input, out, err;

 private:
  std::string dir_;
};

TEST_F(CliTest, alone_it_helps) {
  EXPECT_EQ(godwit({}), kExitOk);
  EXPECT_THAT(out, HasSubstr("godwit serve --ini kinto.ini"));
  EXPECT_EQ(err, "");
  std::string first = out;
  EXPECT_EQ(godwit({"help"}), kExitOk);
  EXPECT_EQ(out, first);
  EXPECT_EQ(godwit({"help", "serve"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("--data-dir PATH"));
  EXPECT_EQ(godwit({"config", "show", "--help"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("godwit config show"));
}

TEST_F(CliTest, tells_its_version) {
  EXPECT_EQ(godwit({"--version"}), kExitOk);
  EXPECT_THAT(out, StartsWith("godwit "));
  EXPECT_THAT(out, HasSubstr("sqlite 3."));
  EXPECT_EQ(godwit({"version", "--json"}), kExitOk);
  EXPECT_NE(json::parse(out)->get("libraries")->get("openssl"), nullptr);
}

TEST_F(CliTest, usage_errors_name_what_was_meant) {
  EXPECT_EQ(godwit({"srve"}), kExitUsage);
  EXPECT_EQ(err, "godwit: unknown command 'srve' (did you mean serve?)\n");
  EXPECT_EQ(godwit({"config", "chekc"}), kExitUsage);
  EXPECT_EQ(err, "godwit: unknown command 'config chekc' (did you mean config check?)\n");
  EXPECT_EQ(godwit({"serve", "--prot=1"}), kExitUsage);
  EXPECT_EQ(err, "godwit serve: unknown argument '--prot' (did you mean --port?)\n");
  EXPECT_EQ(godwit({"config"}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("(hint: godwit config --help)"));
  EXPECT_EQ(godwit({"serve", "--set", "x"}), kExitUsage);
  EXPECT_EQ(out, "");
}

TEST_F(CliTest, a_missing_file_is_named_with_what_names_it_and_a_way_on) {
  EXPECT_EQ(godwit({"serve", "--ini", path("none.ini")}), kExitConfig);
  EXPECT_THAT(err, HasSubstr("named by --ini; godwit init --ini " + path("none.ini")));
  environment = {"KINTO_INI=" + path("none.ini")};
  EXPECT_EQ(godwit({"serve"}), kExitConfig);
  EXPECT_THAT(err, HasSubstr("named by $KINTO_INI"));
  environment = {"GODWIT_STATE_DIR=" + path(""), "HOME=" + path("home")};
  file("godwit.ini", "[app:main]\n");
  EXPECT_EQ(godwit({"backup", path("x.backup")}), kExitFailed);
  EXPECT_THAT(err, HasSubstr("godwit up has its store in"));
  EXPECT_THAT(err, HasSubstr("--ini " + path("godwit.ini")));
}

TEST_F(CliTest, serve_resolves_settings_and_reports_failures) {
  std::string ini = file("k.ini", "[app:main]\nkinto.readonly = true\n");
  EXPECT_EQ(godwit({"serve", "--ini", ini, "--port", "1234", "-q"}), kExitOk);
  EXPECT_EQ(g_calls.port, "1234");
  EXPECT_EQ(g_calls.readonly, "true");
  EXPECT_FALSE(g_calls.version.empty());
  environment = {"KINTO_INI=" + ini, "GODWIT_PORT=77"};
  EXPECT_EQ(godwit({"serve", "--set", "kinto.readonly=false", "-q"}), kExitOk);
  EXPECT_EQ(g_calls.readonly, "false");
  EXPECT_EQ(g_calls.port, "77");
  EXPECT_EQ(godwit({"serve", "--port", "many"}), kExitConfig);
  EXPECT_EQ(err,
            "godwit: cannot use the configuration: setting 'godwit.port' (flag --port): 'many' is "
            "not a whole number\n");
  EXPECT_EQ(godwit({"serve", "--set", "eos_message=x"}), kExitConfig);
  EXPECT_EQ(err, "godwit: cannot serve: Account policy missing\n");
  EXPECT_EQ(godwit({"serve", "--set", "eos_url=x"}), kExitFailed);
  EXPECT_EQ(err, "godwit: cannot serve: cannot bind 127.0.0.1:1: in use\n");
  EXPECT_EQ(godwit({"serve", "--ini", path("none.ini")}), kExitConfig);
  EXPECT_THAT(err, HasSubstr("No such file"));
}

TEST_F(CliTest, start_is_kintos) {
  std::string ini = file("k.ini",
                         "[server:main]\nport = %(http_port)s\n[app:main]\nkinto.readonly = "
                         "true\n");
  EXPECT_EQ(godwit({"start", "--ini", ini, "--port", "4321", "-q"}), kExitOk);
  EXPECT_EQ(g_calls.port, "4321");
  EXPECT_EQ(godwit({"start"}), kExitConfig);
  EXPECT_THAT(err, HasSubstr("config/kinto.ini"));
}

TEST_F(CliTest, config_check_lists_everything) {
  std::string bad = file("b.ini", "[app:main]\nkinto.readonly = perhaps\nkinto.backoff = long\n");
  EXPECT_EQ(godwit({"config", "check", "--ini", bad}), kExitConfig);
  EXPECT_THAT(err, HasSubstr("'perhaps' is neither true nor false"));
  EXPECT_THAT(err, HasSubstr("'long' is not a whole number"));
  EXPECT_EQ(out, "");
  std::string odd = file("o.ini", "[app:main]\nkinto.readonyl = true\n");
  EXPECT_EQ(godwit({"config", "check", "--json", "--ini", odd}), kExitOk);
  auto v = json::parse(out);
  ASSERT_TRUE(v.ok()) << out;
  EXPECT_TRUE(v->get("ok")->asBool());
  EXPECT_THAT(v->get("warnings")->asArray()[0].asString(), HasSubstr("did you mean"));
}

TEST_F(CliTest, config_check_says_what_serving_would_refuse) {
  std::string ini = file("c.ini", "[app:main]\nkinto.eos_message = bye\n");
  EXPECT_EQ(godwit({"config", "check", "--ini", ini}), kExitConfig);
  EXPECT_THAT(err, HasSubstr("Account policy missing"));
}

TEST_F(CliTest, config_show_names_origins_and_hides_secrets) {
  std::string ini = file("k.ini",
                         "[app:main]\nkinto.userid_hmac_secret = hush\nkinto.storage_url = "
                         "postgresql://u:hush@h/d\nmultiauth.policy.x.client_secret = hush\n");
  environment = {"KINTO_BACKOFF=5"};
  EXPECT_EQ(godwit({"config", "show", "--ini", ini}), kExitOk);
  EXPECT_THAT(out, HasSubstr("kinto.userid_hmac_secret = ***  ; " + ini + ":2\n"));
  EXPECT_THAT(out, HasSubstr("postgresql://u:***@h/d"));
  EXPECT_THAT(out, HasSubstr("kinto.backoff = 5  ; environment KINTO_BACKOFF\n"));
  EXPECT_THAT(err, HasSubstr("more at their defaults"));
  EXPECT_EQ(godwit({"config", "show", "--all", "--json", "--ini", ini}), kExitOk);
  EXPECT_EQ(out.find("hush"), std::string::npos);
  EXPECT_GT(json::parse(out)->asArray().size(), 80u);
  EXPECT_EQ(godwit({"config", "show", "port", "paginate_by", "--ini", ini}), kExitOk);
  EXPECT_EQ(out, "godwit.port = 8888  ; default\nkinto.paginate_by =  ; not set\n");
}

TEST_F(CliTest, colour_is_for_those_who_want_it) {
  EXPECT_EQ(godwit({"config", "show", "port"}), kExitOk);
  EXPECT_EQ(out.find('\033'), std::string::npos);
  EXPECT_EQ(godwit({"config", "show", "port", "--color", "always"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("\033[1mgodwit.port\033[0m"));
  EXPECT_EQ(godwit({"config", "show", "port", "--color", "sometimes"}), kExitUsage);
}

TEST_F(CliTest, config_explain_knows_the_table) {
  EXPECT_EQ(godwit({"config", "explain", "kinto.storage_pool_maxconn", "threads"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("kinto.storage_pool_size\n"));
  EXPECT_THAT(out, HasSubstr("older names: storage_pool_maxconn"));
  EXPECT_THAT(out, HasSubstr("environment: GODWIT_THREADS"));
  EXPECT_EQ(godwit({"config", "explain", "paginated_by"}), kExitUsage);
  EXPECT_THAT(err, HasSubstr("did you mean kinto.paginate_by?"));
}

TEST_F(CliTest, the_example_is_a_good_configuration) {
  ASSERT_EQ(godwit({"config", "example"}), kExitOk);
  std::string ini = file("example.ini", out);
  EXPECT_EQ(godwit({"config", "check", "--ini", ini}), kExitOk) << err;
  EXPECT_EQ(err, "");
}

TEST_F(CliTest, init_writes_a_file_that_works_once) {
  std::string ini = path("new/kinto.ini");
  EXPECT_EQ(godwit({"init", "--ini", ini, "--backend", "postgresql", "--cache-backend", "redis",
                    "--host", "0.0.0.0"}),
            kExitOk)
      << err;
  struct stat st {};
  ASSERT_EQ(::stat(ini.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600u);
  EXPECT_EQ(godwit({"config", "check", "--ini", ini}), kExitOk) << err;
  EXPECT_EQ(err, "");
  EXPECT_EQ(godwit({"config", "show", "--ini", ini, "--json", "cache_url", "includes", "host"}),
            kExitOk);
  EXPECT_THAT(out, HasSubstr("redis://127.0.0.1/0"));
  EXPECT_THAT(out, HasSubstr("kinto.plugins.accounts"));
  EXPECT_EQ(godwit({"init", "--ini", ini}), kExitFailed);
  EXPECT_THAT(err, HasSubstr("already exists"));
}

TEST_F(CliTest, create_user_has_kintos_codes) {
  std::string plain = file("p.ini", "[app:main]\nkinto.readonly = false\n");
  std::string accounts = file("a.ini", "[app:main]\nkinto.includes = kinto.plugins.accounts\n");
  std::string readonly = file("r.ini", "[app:main]\nkinto.readonly = true\n");
  EXPECT_EQ(godwit({"create-user", "--ini", readonly, "-u", "a", "-p", "b"}), kExitReadonly);
  EXPECT_EQ(godwit({"create-user", "--ini", plain, "-u", "a", "-p", "b"}), kExitNoAccounts);
  EXPECT_EQ(godwit({"create-user", "--ini", accounts}), kExitAborted);
  EXPECT_EQ(godwit({"create-user", "--ini", accounts, "-u", "bob", "-p", "pw"}), kExitOk);
  EXPECT_EQ(g_calls.user, "bob");
  input = "no spaces\nalice\none\ntwo\nsame\nsame\n";
  EXPECT_EQ(godwit({"create-user", "--ini", accounts}), kExitOk);
  EXPECT_EQ(g_calls.user, "alice");
  EXPECT_EQ(g_calls.password, "same");
  EXPECT_EQ(err.find("same\n"), std::string::npos);
}

TEST_F(CliTest, rebuild_quotas_has_kintos_codes) {
  std::string plain = file("p.ini", "[app:main]\n");
  std::string quotas = file("q.ini", "[app:main]\nkinto.includes = kinto.plugins.quotas\n");
  std::string readonly = file("r.ini", "[app:main]\nkinto.readonly = true\n");
  EXPECT_EQ(godwit({"rebuild-quotas", "--ini", readonly}), kExitQuotasReadonly);
  EXPECT_EQ(godwit({"rebuild-quotas", "--ini", plain}), kExitNoQuotas);
  EXPECT_EQ(godwit({"rebuild-quotas", "--ini", quotas, "--dry-run"}), kExitOk);
  EXPECT_EQ(out, "would count\n");
  EXPECT_EQ(godwit({"rebuild-quotas", "--ini", quotas}), kExitOk);
  EXPECT_EQ(out, "counted\n");
}

TEST_F(CliTest, maintenance_commands_pass_their_arguments) {
  std::string ini = file("k.ini", "[app:main]\n");
  EXPECT_EQ(godwit({"migrate", "--ini", ini, "--dry-run"}), kExitOk);
  EXPECT_EQ(out, "would do\n");
  EXPECT_EQ(godwit({"flush-cache", "--ini", ini}), kExitOk);
  EXPECT_EQ(godwit({"purge-deleted", "--ini", ini, "record", "group", "5"}), kExitOk);
  EXPECT_EQ(g_calls.purged, (std::vector<std::string>{"record", "group"}));
  EXPECT_EQ(err, "6 tombstone(s) deleted.\n");
  EXPECT_EQ(godwit({"purge-deleted", "--ini", ini, "record"}), kExitUsage);
  EXPECT_EQ(godwit({"completion", "bash"}), kExitOk);
  EXPECT_THAT(out, HasSubstr("complete -F _godwit godwit"));
  EXPECT_EQ(godwit({"completion", "tcsh"}), kExitUsage);
  EXPECT_EQ(godwit({"man"}), kExitOk);
  EXPECT_THAT(out, HasSubstr(".SH EXIT STATUS"));
}

// One table: whatever understands a flag also completes and explains it.
TEST_F(CliTest, completion_and_manual_know_every_command_and_flag) {
  std::string texts[3];
  const std::vector<std::string> commands_that_print[3] = {
      {"completion", "bash"}, {"completion", "fish"}, {"man"}};
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(godwit(commands_that_print[i]), kExitOk);
    texts[i] = out;
    std::erase(texts[i], '\\');
  }
  std::size_t flags = 0;
  for (const Command& c : commands()) {
    std::string word(c.name.substr(c.name.find(' ') + 1));
    for (const std::string& text : texts) EXPECT_THAT(text, HasSubstr(word));
    for (const FlagText& f : flagsOf(c.name)) {
      std::size_t at = f.names.find("--");
      if (at == std::string::npos) continue;
      ++flags;
      std::string name = f.names.substr(at, f.names.find(',', at) - at);
      EXPECT_THAT(texts[0], HasSubstr(name));
      EXPECT_THAT(texts[1], HasSubstr("-l " + name.substr(2)));
      EXPECT_THAT(texts[2], HasSubstr(name));
    }
  }
  EXPECT_GT(flags, 60U);
  EXPECT_THAT(texts[0], HasSubstr("'restore')"));
  EXPECT_THAT(texts[2], HasSubstr("godwit restore"));
}

TEST_F(CliTest, what_destroys_something_asks_first) {
  std::string data = path("data");
  EXPECT_EQ(godwit({"purge", "tombstones", "--data-dir", data}), kExitUnconfirmed);
  EXPECT_THAT(err, HasSubstr("--yes"));
  EXPECT_EQ(godwit({"purge", "tombstones", "--data-dir", data, "--yes"}), kExitOk);
  EXPECT_EQ(godwit({"purge", "history", "--data-dir", data, "--before", "soon"}), kExitUsage);
  EXPECT_EQ(godwit({"user", "frobnicate"}), kExitUsage);
  EXPECT_EQ(godwit({"restore"}), kExitUsage);
  EXPECT_EQ(godwit({"copy", "--data-dir", data}), kExitUsage);
}

// Answers one connection with fixed bytes.
class OneAnswer {
 public:
  explicit OneAnswer(std::string bytes) : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t n = sizeof a;
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&a), n) != 0 ||
        ::listen(listener_.get(), 1) != 0 ||
        ::getsockname(listener_.get(), reinterpret_cast<sockaddr*>(&a), &n) != 0) {
      std::abort();
    }
    port_ = ntohs(a.sin_port);
    thread_ = std::thread([this, bytes = std::move(bytes)] {
      UniqueFd fd(::accept(listener_.get(), nullptr, nullptr));
      char buf[4096];
      ssize_t got = ::recv(fd.get(), buf, sizeof buf, 0);
      request.assign(buf, got > 0 ? static_cast<std::size_t>(got) : 0);
      (void)!::write(fd.get(), bytes.data(), bytes.size());
    });
  }
  ~OneAnswer() { thread_.join(); }
  [[nodiscard]] std::string url() const {
    return "http://127.0.0.1:" + std::to_string(port_) + "/v1/";
  }
  void wait() {
    thread_.join();
    thread_ = std::thread([] {});
  }
  std::string request;

 private:
  UniqueFd listener_;
  int port_ = 0;
  std::thread thread_;
};

TEST_F(CliTest, health_asks_the_heartbeat) {
  OneAnswer good("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"storage\":true}");
  EXPECT_EQ(godwit({"health", "--url", good.url(), "--json"}), kExitOk) << err;
  EXPECT_TRUE(json::parse(out)->get("checks")->get("storage")->asBool());
  good.wait();
  EXPECT_THAT(good.request, StartsWith("GET /v1/__heartbeat__ HTTP/1.1\r\n"));
  OneAnswer bad("HTTP/1.1 503 No\r\n\r\n{\"storage\":false}");
  EXPECT_EQ(godwit({"health", "--url", bad.url()}), kExitNotReady);
  EXPECT_THAT(err, HasSubstr("it answers 503 {\"storage\":false}"));
  OneAnswer odd("SSH-2.0\r\n");
  EXPECT_EQ(godwit({"health", "--url", odd.url()}), kExitNotReady);
  EXPECT_EQ(godwit({"health", "--url", "unix:" + path("none.sock")}), kExitNotReady);
  EXPECT_EQ(godwit({"health", "--url", "ftp://x/"}), kExitNotReady);
  EXPECT_EQ(godwit({"health", "--timeout", "soon"}), kExitUsage);
}

}  // namespace
}  // namespace godwit::cli
