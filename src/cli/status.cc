#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <ostream>

#include "base/os_error.h"
#include "base/unique_fd.h"
#include "cli/stack.h"

namespace godwit::cli {
namespace {

constexpr std::size_t kPlainWidth = 80;
constexpr std::size_t kLeastWidth = 40;

std::size_t terminalWidth() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kPlainWidth;
  return std::max<std::size_t>(size.ws_col, kLeastWidth);
}

bool serving(const json::Value& status) {
  const json::Value* server = status.get("server");
  const json::Value* supervisor = status.get("supervisor");
  if (server && server->get("error")) return false;
  const json::Value* services = supervisor ? supervisor->get("services") : nullptr;
  if (!services || !services->isArray()) return server != nullptr;
  for (const json::Value& s : services->asArray()) {
    const json::Value* active = s.get("active");
    if (!active || active->toInt().value_or(0) == 0) return false;
  }
  return true;
}

// Shows it again every second and when the window changes, until Ctrl-C, on the terminal's other
// screen, so that what was there comes back.
int watch(const Context& context, const std::string& control, std::chrono::milliseconds timeout) {
  sigset_t set;
  ::sigemptyset(&set);
  for (int s : {SIGINT, SIGTERM, SIGHUP, SIGWINCH}) ::sigaddset(&set, s);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  UniqueFd signals(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  UniqueFd clock(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  itimerspec every{{1, 0}, {1, 0}};
  if (!signals || !clock || ::timerfd_settime(clock.get(), 0, &every, nullptr) != 0) {
    return context.fail("watch", osError("wait").message);
  }
  std::ostream& out = context.terminal.out;
  bool color = context.colorsOut();
  out << "\033[?1049h\033[?25l";
  for (;;) {
    auto status = stackStatus(control, Deadline::after(timeout));
    std::string text = status.ok() ? renderStatus(*status, terminalWidth(), color)
                                   : status.error().message + " (hint: godwit up)\n";
    // Line by line, and the rest cleared: a screen that is wiped first flickers.
    out << "\033[H";
    for (char c : text) out << (c == '\n' ? "\033[K\r\n" : std::string(1, c));
    out << "\033[J" << std::flush;
    if (!out) break;
    pollfd p[] = {{signals.get(), POLLIN, 0}, {clock.get(), POLLIN, 0}};
    ::poll(p, 2, -1);  // bounded by the timer
    std::uint64_t ticks = 0;
    (void)!::read(clock.get(), &ticks, sizeof ticks);
    signalfd_siginfo info{};
    bool end = false;
    while (::read(signals.get(), &info, sizeof info) == sizeof info) {
      end = end || info.ssi_signo != SIGWINCH;
    }
    if (end) break;
  }
  out << "\033[?25h\033[?1049l" << std::flush;
  return kExitOk;
}

}  // namespace

int statusCommand(const Context& context) {
  auto places = stackPlaces(context);
  if (!places.ok()) return context.fail("look", places.error().message, kExitUsage);
  auto timeout = parseDuration(context.in.timeout);
  if (!timeout) return context.fail("wait " + context.in.timeout, "not a duration", kExitUsage);
  bool plain = !context.terminal.out_is_terminal || context.variable("TERM") == "dumb";
  if (context.in.watch && !context.in.json && !plain) {
    return watch(context, places->control, *timeout);
  }
  auto status = stackStatus(places->control, Deadline::after(*timeout));
  if (!status.ok()) {
    return context.fail("look", status.error().message + " (hint: godwit up)", kExitNotReady);
  }
  if (context.in.json) {
    context.print(json::dump(*status));
  } else {
    context.terminal.out << renderStatus(*status, plain ? kPlainWidth : terminalWidth(),
                                         context.colorsOut());
  }
  return serving(*status) ? kExitOk : kExitNotReady;
}

}  // namespace godwit::cli
