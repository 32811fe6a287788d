#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace godwit::test {

// A folder below the system's temporary one, removed with its content.
class TempFolder {
 public:
  explicit TempFolder(const std::string& name);
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A child process that dies with its parent. `user`: who to become when we are root ("" stays).
pid_t startProcess(const std::vector<std::string>& argv, const std::string& user,
                   const std::string& log);
int waitFor(pid_t pid);
// Every descendant of `pid`, itself first.
std::vector<pid_t> familyOf(pid_t pid);
// Nobody else's until this process ends; see tests/ports.py.
int freePort();

// A private PostgreSQL server. Unless asked for it does not sync to disk:
// the server may crash here, the machine will not.
class Cluster {
 public:
  struct Settings {
    bool durable = false;
    int max_connections = 100;
    Settings() {}
  };
  explicit Cluster(Settings settings);
  Cluster() : Cluster(Settings()) {}
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  // One for the whole test program.
  static Cluster& shared();
  // Why there is no server here; "" when there is one.
  static std::string whyNot();

  [[nodiscard]] int port() const { return port_; }
  [[nodiscard]] const std::string& folder() const { return folder_.path(); }
  // Over the unix socket, or over TCP (through `port`, for a gate).
  [[nodiscard]] std::string url(const std::string& database = "godwit") const;
  [[nodiscard]] std::string tcpUrl(int port, const std::string& database = "godwit") const;

  // A fresh database with the whole schema. Returns its name.
  std::string freshDatabase();
  void createDatabase(const std::string& name, const std::string& options = "");
  void dropDatabase(const std::string& name);
  // Runs SQL; returns the first column of the first row. Throws what went wrong.
  std::string exec(const std::string& sql, const std::string& database = "godwit");

  void start();
  void stop();  // "fast": ends sessions
  void restart() {
    stop();
    start();
  }
  void kill();    // SIGKILL to every process
  void pause();   // SIGSTOP to every process
  void resume();  // SIGCONT

 private:
  void makeReadable();

  const Settings settings_;
  TempFolder folder_;
  const int port_;
  pid_t pid_ = -1;
  int databases_ = 0;
};

}  // namespace godwit::test
