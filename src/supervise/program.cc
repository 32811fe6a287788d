#include "supervise/program.h"

#include <unistd.h>

#include "supervise/client.h"
#include "supervise/config.h"
#include "supervise/exit_code.h"
#include "supervise/instance.h"
#include "supervise/option_table.h"
#include "supervise/state.h"

#ifndef GODWIT_VERSION
#define GODWIT_VERSION "0.1.0"
#endif

namespace godwit::supervise {
namespace {

void print(int fd, std::string_view text) {
  while (!text.empty()) {
    ssize_t n = ::write(fd, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

int runProgram(const std::vector<std::string>& args) {
  if (!args.empty() && isClientVerb(args.front())) return runClient(args);
  if (args.size() == 2 && args[0] == "--self-check") {
    auto fd = parseInt(args[1], 3, 1 << 20);
    return fd ? selfCheck(static_cast<int>(*fd)) : kExitUsage;
  }
  auto settings = readSettings(args);
  if (!settings.ok()) {
    print(2, "godwit-run: " + settings.error().message + "\n");
    return kExitUsage;
  }
  switch (settings->mode) {
    case Mode::kHelp:
      print(1, renderHelp());
      return kExitOk;
    case Mode::kVersion:
      print(1, "godwit-run " GODWIT_VERSION "\n");
      return kExitOk;
    case Mode::kPrintStateTable:
      print(1, renderStateTables());
      return kExitOk;
    case Mode::kPrintOptions:
      print(1, renderOptionsMarkdown());
      return kExitOk;
    case Mode::kValidate:
      print(1, "godwit-run: the options are good\n");
      return kExitOk;
    case Mode::kPrintConfig:
      print(1, printSettings(*settings));
      return kExitOk;
    case Mode::kRun:
      break;
  }
  Instance instance(std::move(settings).value(), args);
  return instance.run();
}

}  // namespace godwit::supervise
