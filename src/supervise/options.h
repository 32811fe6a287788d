// Everything that can be set, as plain values with their defaults.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervise/listen_spec.h"
#include "supervise/machine.h"
#include "supervise/ready_spec.h"
#include "supervise/signals.h"

namespace godwit::supervise {

enum class OnDeath : unsigned char { kTerm, kKill, kLeave };

struct Hook {
  std::string event;  // promote, fail, exit
  std::string command;
};

struct ResourceLimit {
  int resource = 0;
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
  std::string text;  // as it was given
};

struct ServiceOptions {
  std::string name;
  std::vector<std::string> command;
  std::vector<std::string> after;  // services that must be ready first

  std::vector<ListenSpec> listens;
  std::optional<Cutover> cutover;   // of those that do not say themselves
  std::vector<std::string> compat;  // server-starter, einhorn, nginx
  bool listen_pid = true;

  std::vector<ReadySpec> ready;  // empty = auto
  TimeNs warmup = kSecond;
  LivenessSpec liveness;
  TimeNs watchdog = 0;  // 0: off
  std::string check;
  std::vector<Hook> hooks;

  Policy policy;
  bool soak_given = false;
  bool stop_given = false;
  OnDeath on_death = OnDeath::kTerm;

  std::string cwd;
  std::string release_link;
  std::vector<std::pair<std::string, std::string>> env;
  std::vector<std::string> env_files;
  std::vector<std::string> env_dirs;
  std::string user;
  std::string group;
  std::vector<std::string> groups;
  std::optional<int> umask;
  std::optional<int> nice;
  std::vector<ResourceLimit> rlimits;
  bool no_new_privs = false;
  bool setsid = false;

  std::string log;
  bool log_prefix = false;
  bool capture_stderr = true;

  std::vector<std::string> watch;
  std::uint64_t max_rss = 0;
  TimeNs max_age = 0;
  int max_age_spread = 0;  // percent
  std::string child_pidfile;
};

struct InstanceOptions {
  std::string config;
  std::string name;
  std::string control;  // "" = default, "none" = off
  std::string pidfile;
  int notify_fd = -1;
  std::string metrics_file;
  bool log_json = false;
  int verbose = 0;
  bool tty_hup_reloads = false;
  bool fdstore = true;
  std::string upgrade_to;
  SignalMap signals;
  std::vector<std::string> signal_maps;  // as they were given
  bool kill_on_term = false;             // -k
};

enum class Mode : unsigned char {
  kRun,
  kValidate,
  kPrintConfig,
  kHelp,
  kVersion,
  kPrintStateTable,
  kPrintOptions,
};

struct Settings {
  Mode mode = Mode::kRun;
  InstanceOptions instance;
  std::vector<ServiceOptions> services;  // one, or one per [service NAME]
  std::vector<std::string> warnings;
};

}  // namespace godwit::supervise
