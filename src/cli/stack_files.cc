#include "cli/stack_files.h"

namespace godwit::cli {
namespace {

// As one word of a command in godwit-run's file.
std::string quoted(const std::string& word) {
  if (word.find_first_of(" \t'\"\\") == std::string::npos) return word;
  std::string out = "\"";
  for (char c : word) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

// The same for a command that sh runs.
std::string shellWord(const std::string& word) {
  if (word.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                             "_-./=:,+@") == std::string::npos) {
    return word;
  }
  std::string out = "'";
  for (char c : word) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

}  // namespace

std::string agentText(const StackFiles& f) {
  return "# Settings of godwit-agent. All of them: godwit-agent config example\n"
         "# After a change: godwit reload --wait\n\n"
         "[spool]\n# Where the server puts what it counts (godwit.metrics_spool).\n"
         "path = " +
         f.places.spool +
         "\n\n"
         "[statsd]\n# 127.0.0.1:8125 takes StatsD from other programs.\nudp =\n\n"
         "[http]\n# /metrics for Prometheus, /stats, /healthz; takes line protocol at /write.\n"
         "listen = " +
         f.metrics +
         "\n\n"
         "# One JSON line per message. The file becomes metrics.log.1 at file_max.\n"
         "[publisher:log]\ntype = debug\noutput = " +
         f.places.metrics_log +
         "\nfile_max = 16MiB\nrequired = off\n\n"
         "[publisher:prometheus]\ntype = prometheus\n\n"
         "# [publisher:influx]\n# type = influxdb\n# url = http://127.0.0.1:8086\n"
         "# database = godwit\n# create_database = on\n";
}

std::string runText(const StackFiles& f) {
  const std::string ini = quoted(f.places.ini);
  std::string out =
      "# What godwit-run keeps running. Every option: godwit-run --help\n\n"
      "name godwit\n"
      "control " +
      f.places.control +
      "\n\n"
      "[service server]\n"
      "listen web=" +
      f.web + "\n";
  if (!f.admin.empty()) out += "listen admin=" + f.admin + "\n";
  if (!f.log_format.empty()) out += "env GODWIT_LOG_FORMAT=" + f.log_format + "\n";
  out +=
      "# A generation gets clients when it has answered this.\n"
      "ready probe:/v1/__lbheartbeat__\n"
      "# A reload with a mistake in the settings changes nothing.\n"
      "check " +
      shellWord(f.server) + " config check --quiet --ini " + shellWord(f.places.ini) +
      " >/dev/null\n"
      "command " +
      quoted(f.server) + " serve --ini " + ini + "\n";
  if (f.agent.empty()) return out;
  out +=
      "\n[service agent]\n"
      "listen metrics=" +
      f.metrics + "\n";
  if (!f.log_format.empty()) out += "env GODWIT_AGENT_AGENT_LOG_FORMAT=" + f.log_format + "\n";
  out +=
      "# The new one stands by until the old one has let go of the spool.\n"
      "ready delay:0.5\nsoak 0\nrestart always\n"
      "check " +
      shellWord(f.agent) + " config check --config " + shellWord(f.places.agent) +
      " >/dev/null\ncommand " + quoted(f.agent) + " run --config " + quoted(f.places.agent) + "\n";
  return out;
}

}  // namespace godwit::cli
