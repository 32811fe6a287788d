#include "cluster.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "base/random.h"
#include "store/postgresql/migrate.h"

namespace godwit::test {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

namespace {

std::string binary(const std::string& name) {
  ::glob_t found{};
  std::string best;
  if (::glob(("/usr/lib/postgresql/*/bin/" + name).c_str(), 0, nullptr, &found) == 0) {
    best = found.gl_pathv[found.gl_pathc - 1];
  }
  ::globfree(&found);
  return best;
}

// initdb refuses root.
std::string serverUser() {
  if (::geteuid() != 0) return "";
  return ::getpwnam("postgres") ? "postgres" : "nobody";
}

std::string superuser() {
  if (::geteuid() == 0) return serverUser();
  const auto* me = ::getpwuid(::geteuid());
  return me ? me->pw_name : "postgres";
}

}  // namespace

TempFolder::TempFolder(const std::string& name) {
  std::string pattern = (fs::temp_directory_path() / ("godwit-" + name + "-XXXXXX")).string();
  if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot create a folder: " + pattern);
  path_ = pattern;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

pid_t startProcess(const std::vector<std::string>& argv, const std::string& user,
                   const std::string& log) {
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid != 0) return pid;
  int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  int in = ::open("/dev/null", O_RDONLY);
  ::dup2(in, 0);
  ::dup2(out, 1);
  ::dup2(out, 2);
  if (!user.empty()) {
    const auto* who = ::getpwnam(user.c_str());
    if (!who || ::setgid(who->pw_gid) != 0 || ::initgroups(user.c_str(), who->pw_gid) != 0 ||
        ::setuid(who->pw_uid) != 0) {
      ::_exit(126);
    }
  }
  // After setuid, which clears it.
  ::prctl(PR_SET_PDEATHSIG, SIGQUIT);
  if (::getppid() != parent) ::_exit(125);
  std::vector<char*> args;
  for (const auto& a : argv) args.push_back(const_cast<char*>(a.c_str()));
  args.push_back(nullptr);
  ::execv(args[0], args.data());
  ::_exit(127);
}

int waitFor(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::vector<pid_t> familyOf(pid_t pid) {
  std::vector<pid_t> out = {pid};
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::ifstream children("/proc/" + std::to_string(out[i]) + "/task/" + std::to_string(out[i]) +
                           "/children");
    pid_t child = 0;
    while (children >> child) out.push_back(child);
  }
  return out;
}

namespace {

// False when another test has been given it (tests/ports.py), or somebody listens there.
bool reserve(int port) {
  std::string name = "godwit-test-port-" + std::to_string(port);
  sockaddr_un owner{};
  owner.sun_family = AF_UNIX;
  name.resize(sizeof owner.sun_path - 1, '-');
  name.copy(owner.sun_path + 1, name.size());
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int held = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int tried = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ours = ::bind(held, reinterpret_cast<sockaddr*>(&owner), sizeof owner) == 0 &&
              ::bind(tried, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;
  ::close(tried);
  if (!ours) ::close(held);  // else until this process ends
  return ours;
}

}  // namespace

int freePort() {
  int low = 32768;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> low;
  const int first = std::min(10'000, low - 1);
  for (int attempt = 0; attempt < 10'000; ++attempt) {
    int port = first + static_cast<int>(randomBelow(static_cast<std::uint64_t>(low - first)));
    if (reserve(port)) return port;
  }
  throw std::runtime_error("no free port");
}

std::string Cluster::whyNot() {
  return binary("postgres").empty() ? "PostgreSQL is not installed (tools/install-deps)" : "";
}

Cluster& Cluster::shared() {
  static Cluster cluster;
  return cluster;
}

Cluster::Cluster(Settings settings) : settings_(settings), folder_("pg"), port_(freePort()) {
  std::string user = serverUser();
  if (!user.empty()) {
    const auto* who = ::getpwnam(user.c_str());
    if (::chown(folder_.path().c_str(), who->pw_uid, who->pw_gid) != 0) {
      throw std::runtime_error("chown");
    }
  }
  std::string data = folder_.path() + "/data";
  std::string log = folder_.path() + "/log";
  pid_t init = startProcess({binary("initdb"), "-D", data, "--auth=trust", "--encoding=UTF8",
                             "--locale=C.UTF-8", "--no-sync", "--username=" + superuser()},
                            user, log);
  if (waitFor(init) != 0) throw std::runtime_error("initdb failed, see " + log);
  start();
  createDatabase("godwit");
}

Cluster::~Cluster() {
  if (pid_ > 0) kill();
}

void Cluster::start() {
  std::vector<std::string> argv = {binary("postgres"),
                                   "-D",
                                   folder_.path() + "/data",
                                   "-k",
                                   folder_.path(),
                                   "-p",
                                   std::to_string(port_),
                                   "-c",
                                   "listen_addresses=127.0.0.1",
                                   "-c",
                                   "timezone=UTC",
                                   "-c",
                                   "max_connections=" + std::to_string(settings_.max_connections),
                                   "-c",
                                   "shared_buffers=64MB",
                                   "-c",
                                   "max_wal_size=2GB"};
  if (!settings_.durable) {
    for (const char* s : {"fsync=off", "full_page_writes=off"}) {
      argv.insert(argv.end(), {"-c", s});
    }
  }
  // After a SIGKILL the dead server's children may still hold its shared memory for a moment.
  for (int attempt = 0; attempt < 100; ++attempt) {
    pid_ = startProcess(argv, serverUser(), folder_.path() + "/log");
    for (int i = 0; i < 600; ++i) {
      int status = 0;
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        break;
      }
      if (PQping(url("postgres").c_str()) == PQPING_OK) return;
      std::this_thread::sleep_for(20ms);
    }
    if (pid_ > 0) break;
    std::this_thread::sleep_for(50ms);
  }
  throw std::runtime_error("PostgreSQL does not start, see " + folder_.path() + "/log");
}

void Cluster::stop() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGINT);
  waitFor(pid_);
  pid_ = -1;
}

void Cluster::kill() {
  if (pid_ <= 0) return;
  for (pid_t p : familyOf(pid_)) ::kill(p, SIGKILL);
  waitFor(pid_);
  pid_ = -1;
}

void Cluster::pause() {
  for (pid_t p : familyOf(pid_)) ::kill(p, SIGSTOP);
}

void Cluster::resume() {
  for (pid_t p : familyOf(pid_)) ::kill(p, SIGCONT);
}

std::string Cluster::url(const std::string& database) const {
  return "postgresql://" + superuser() + "@/" + database + "?host=" + folder_.path() +
         "&port=" + std::to_string(port_);
}

std::string Cluster::tcpUrl(int port, const std::string& database) const {
  return "postgresql://" + superuser() + "@127.0.0.1:" + std::to_string(port) + "/" + database;
}

std::string Cluster::exec(const std::string& sql, const std::string& database) {
  PGconn* c = PQconnectdb(url(database).c_str());
  PGresult* r = PQexec(c, sql.c_str());
  auto status = PQresultStatus(r);
  std::string out;
  bool ok = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
  if (!ok) out = PQerrorMessage(c);
  if (ok && PQntuples(r) > 0) out = PQgetvalue(r, 0, 0);
  PQclear(r);
  PQfinish(c);
  if (!ok) throw std::runtime_error(out);
  return out;
}

void Cluster::createDatabase(const std::string& name, const std::string& options) {
  exec("CREATE DATABASE " + name + " " + options, "postgres");
}

void Cluster::dropDatabase(const std::string& name) {
  exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "postgres");
}

std::string Cluster::freshDatabase() {
  std::string name = "fresh" + std::to_string(++databases_);
  createDatabase(name);
  store::postgresql::MigrateRequest request;
  request.url = url(name);
  request.storage = request.permission = request.cache = true;
  auto done = store::postgresql::migrate(request, Deadline::after(60s));
  if (!done.ok()) throw std::runtime_error(done.error().message + ": " + done.error().detail);
  return name;
}

}  // namespace godwit::test
