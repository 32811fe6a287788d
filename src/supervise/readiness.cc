#include "supervise/readiness.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"
#include "base/os_error.h"
#include "supervise/words.h"

namespace godwit::supervise {
namespace {
constexpr TimeNs kProbeRetry = 200 * kMs;
constexpr TimeNs kDialRetry = 100 * kMs;
constexpr TimeNs kAcceptLook = 50 * kMs;
// A worker may have taken the probe's connection and be lost with it: ask again then.
constexpr TimeNs kProbePatience = 10 * kSecond;
constexpr TimeNs kDialPatience = 2 * kSecond;
constexpr TimeNs kHelperLimit = 30 * kSecond;
}  // namespace

Readiness::Readiness(EventLoop& loop, Children& children, Sink& sink, Setup setup,
                     std::function<void()> on_ready)
    : loop_(loop),
      children_(children),
      sink_(sink),
      setup_(std::move(setup)),
      on_ready_(std::move(on_ready)) {
  for (const ReadySpec& spec : setup_.conditions) {
    conditions_.push_back(std::make_unique<Condition>());
    conditions_.back()->spec = spec;
  }
}

Readiness::~Readiness() {
  for (auto& c : conditions_) {
    if (c->reader) loop_.remove(c->reader.get());
  }
}

Result<> Readiness::openFds() {
  for (auto& c : conditions_) {
    if (c->spec.kind != ReadySpec::Kind::kFd) continue;
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC | O_NONBLOCK) != 0) return osError("create a pipe");
    c->reader.reset(fds[0]);
    c->writer.reset(fds[1]);
    ::fcntl(c->writer.get(), F_SETFL, 0);
  }
  return {};
}

std::vector<UniqueFd> Readiness::takeFdWriters() {
  std::vector<UniqueFd> out;
  for (auto& c : conditions_) {
    if (c->writer) out.push_back(std::move(c->writer));
  }
  return out;
}

bool Readiness::wantsNotify() const {
  return std::any_of(conditions_.begin(), conditions_.end(), [](const auto& c) {
    return c->spec.kind == ReadySpec::Kind::kNotify || c->spec.kind == ReadySpec::Kind::kAuto;
  });
}

void Readiness::start() {
  for (auto& owned : conditions_) {
    Condition& c = *owned;
    if (c.spec.isProbe()) probe(c);
    if (!c.reader) continue;
    auto watched = loop_.add(c.reader.get(), EPOLLIN, [this, &c](std::uint32_t) {
      char buffer[256];
      ssize_t n = ::read(c.reader.get(), buffer, sizeof buffer);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
      bool newline = n > 0 && std::find(buffer, buffer + n, '\n') != buffer + n;
      if (n > 0 && !newline) return;
      loop_.remove(c.reader.get());
      c.reader.reset();
      if (newline) {
        meet(c);
      } else {
        obstacle_ = "the readiness descriptor was closed without a newline";
      }
    });
    if (!watched.ok()) obstacle_ = watched.error().message;
  }
}

void Readiness::running() {
  if (running_) return;
  running_ = true;
  for (auto& owned : conditions_) {
    Condition& c = *owned;
    switch (c.spec.kind) {
      case ReadySpec::Kind::kAuto:
        retry(c, setup_.warmup, [this, &c] {
          if (!notify_only_) meet(c);
        });
        break;
      case ReadySpec::Kind::kDelay:
        retry(c, c.spec.delay, [this, &c] { meet(c); });
        break;
      case ReadySpec::Kind::kExec:
        runHelper(c);
        break;
      case ReadySpec::Kind::kTcp:
      case ReadySpec::Kind::kUnix:
      case ReadySpec::Kind::kHttp:
        dial(c);
        break;
      default:
        break;
    }
  }
}

void Readiness::onNotify(const NotifySocket::Message& message) {
  auto ready = message.find("READY");
  bool is_ready = ready != message.end() && ready->second == "1";
  if (!is_ready && (message.count("STATUS") || message.count("EXTEND_TIMEOUT_USEC"))) {
    notify_only_ = true;
  }
  if (!is_ready) return;
  std::vector<Condition*> mine;
  for (auto& c : conditions_) {
    if (c->spec.kind == ReadySpec::Kind::kNotify || c->spec.kind == ReadySpec::Kind::kAuto) {
      mine.push_back(c.get());
    }
  }
  for (Condition* c : mine) c->met = true;
  if (!mine.empty()) meet(*mine.front());
}

// May destroy this: callers return at once.
void Readiness::meet(Condition& c) {
  c.met = true;
  for (const auto& other : conditions_) {
    if (!other->met) return;
  }
  if (auto f = std::exchange(on_ready_, nullptr)) f();
}

void Readiness::retry(Condition& c, TimeNs delay, std::function<void()> again) {
  c.timer = std::make_unique<Timer>(loop_, std::move(again));
  c.timer->armIn(delay);
}

void Readiness::probe(Condition& c) {
  if (!setup_.probe) {
    obstacle_ = "there is no address that only this generation answers";
    return;
  }
  obstacle_ = "probe: no answer yet";
  auto kind = c.spec.kind == ReadySpec::Kind::kProbe      ? Probe::Kind::kHttp
              : c.spec.kind == ReadySpec::Kind::kProbeTls ? Probe::Kind::kTls
                                                          : Probe::Kind::kConnect;
  c.probe = std::make_unique<Probe>(
      loop_, *setup_.probe, kind, c.spec.path, timeAfter(monotonicNow(), kProbePatience),
      [this, &c](bool good, const std::string& why) {
        if (good && c.spec.kind == ReadySpec::Kind::kProbeTcp) return waitForAccept(c);
        if (good) return meet(c);
        obstacle_ = "probe: " + why;
        log::debug("probe", {{"service", setup_.name}, {"gen", setup_.gen}, {"answer", why}});
        retry(c, kProbeRetry, [this, &c] { probe(c); });
      });
  c.probe->start();
}

// A connection that stands may only be queued. Nobody announces accept(), so the queue is looked
// at, until the ready timeout.
void Readiness::waitForAccept(Condition& c) {
  if (setup_.queue_empty && setup_.queue_empty()) {
    c.probe.reset();
    return meet(c);
  }
  obstacle_ = "probe: nobody accepts";
  retry(c, kAcceptLook, [this, &c] { waitForAccept(c); });
}

void Readiness::dial(Condition& c) {
  std::string text =
      expandPlaceholders(c.spec.address, [&](std::string_view name, std::string_view) {
        return name == "gen" ? std::optional(std::to_string(setup_.gen)) : std::nullopt;
      });
  auto address = c.spec.kind != ReadySpec::Kind::kUnix ? inetAddress(std::string_view(text))
                 : text.front() == '@'                 ? abstractAddress(text.substr(1))
                                                       : unixAddress(text);
  if (!address.ok()) {
    obstacle_ = address.error().message;
    return;
  }
  auto kind = c.spec.kind == ReadySpec::Kind::kHttp ? Probe::Kind::kHttp : Probe::Kind::kConnect;
  c.probe = std::make_unique<Probe>(loop_, ProbeTarget{*address, false, {}}, kind, c.spec.path,
                                    timeAfter(monotonicNow(), kDialPatience),
                                    [this, &c, text](bool good, const std::string& why) {
                                      if (good) return meet(c);
                                      obstacle_ = text + ": " + why;
                                      retry(c, kDialRetry, [this, &c] { dial(c); });
                                    });
  c.probe->start();
}

void Readiness::runHelper(Condition& c) {
  c.helper = std::make_unique<HelperProcess>(loop_, children_, sink_);
  auto r = c.helper->start(c.spec.command, setup_.helper_env, setup_.cwd, kHelperLimit,
                           [this, &c](const ExitStatus& status, const std::string&) {
                             if (status.ok()) return meet(c);
                             obstacle_ =
                                 c.spec.command + ": exit " + std::to_string(status.asExitCode());
                             retry(c, kProbeRetry, [this, &c] { runHelper(c); });
                           });
  if (r.ok()) return;
  obstacle_ = r.error().message;
  retry(c, kSecond, [this, &c] { runHelper(c); });
}

}  // namespace godwit::supervise
