// Probes after readiness: during the soak, and of the active generation; recycling by memory, age
// and watched paths; hooks.
#include <algorithm>

#include "base/log.h"
#include "base/random.h"
#include "supervise/procfs.h"
#include "supervise/service.h"

namespace godwit::supervise {
namespace {
constexpr TimeNs kSoakInterval = 250 * kMs;
constexpr TimeNs kExitComes = 100 * kMs;
constexpr TimeNs kSoakPatience = 2 * kSecond;
constexpr TimeNs kRssInterval = 5 * kSecond;
constexpr TimeNs kHookLimit = 30 * kSecond;
constexpr std::size_t kMaxHooks = 16;

const ReadySpec* probeOf(const ServiceOptions& o) {
  for (const ReadySpec& r : o.ready) {
    if (r.isProbe()) return &r;
  }
  return nullptr;
}
}  // namespace

// Brings the timers in line with the states. Called after every change of state.
void Service::healthFollows() {
  const GenRecord* active = machine_.active();
  int gen = active ? active->id : 0;
  if (gen != live_gen_) {
    live_gen_ = gen;
    live_failures_ = 0;
    live_probe_.reset();
    live_timer_.disarm();
    watchdog_timer_.disarm();
    if (gen != 0 && options_.watchdog > 0) watchdog_timer_.armIn(options_.watchdog);
  }
  const Running* r = find(gen);
  if (r && r->paused) watchdog_timer_.disarm();
  bool watched = r && !r->paused && !options_.liveness.path.empty();
  if (watched && !live_timer_.armed() && !live_probe_) {
    live_timer_.armIn(options_.liveness.interval);
  } else if (!watched) {
    live_timer_.disarm();
    live_probe_.reset();
  }
  bool measured = r && options_.max_rss > 0;
  if (measured && !rss_timer_.armed()) rss_timer_.armIn(kRssInterval);
  if (!measured) rss_timer_.disarm();
  if (gen != aged_gen_) age_timer_.disarm();

  const GenRecord* c = machine_.candidate();
  int soaking = c && c->state == GenState::kSoaking ? c->id : 0;
  if (soaking == soak_gen_) return;
  soak_gen_ = soaking;
  soak_probe_.reset();
  soak_timer_.disarm();
  soak_verdict_ = Verdict::kGood;
  soak_why_.clear();
  if (soaking != 0 && (probeOf(options_) || !options_.liveness.path.empty())) {
    soak_verdict_ = Verdict::kUnknownYet;
    soak_timer_.armIn(std::min(kSoakInterval, options_.policy.soak / 4));
  }
}

void Service::probeSoak() {
  if (soak_verdict_ == Verdict::kBad) {
    machine_.unhealthy(soak_gen_, {"probe", "a probe failed during the soak (" + soak_why_ + ")"},
                       monotonicNow());
    return;
  }
  const Running* r = find(soak_gen_);
  auto target = r ? targetOf(*r, false) : std::nullopt;
  if (!target) return;
  const ReadySpec* spec = probeOf(options_);
  auto kind = !spec || spec->kind == ReadySpec::Kind::kProbe ? Probe::Kind::kHttp
              : spec->kind == ReadySpec::Kind::kProbeTls     ? Probe::Kind::kTls
                                                             : Probe::Kind::kConnect;
  std::string path = spec && kind == Probe::Kind::kHttp ? spec->path : options_.liveness.path;
  int gen = soak_gen_;
  soak_probe_ = std::make_unique<Probe>(shared_.loop, *target, kind, path,
                                        timeAfter(monotonicNow(), kSoakPatience),
                                        [this, gen](bool good, const std::string& why) {
                                          if (gen != soak_gen_) return;
                                          soak_verdict_ = good ? Verdict::kGood : Verdict::kBad;
                                          soak_why_ = why;
                                          // A connection is lost just before its process is: its
                                          // exit code says more, if it comes.
                                          soak_timer_.armIn(good ? kSoakInterval : kExitComes);
                                        });
  soak_probe_->start();
}

void Service::probeLive() {
  const Running* r = find(live_gen_);
  auto target = r ? targetOf(*r, true) : std::nullopt;
  if (!target || r->leader_gone) return;
  int gen = live_gen_;
  live_probe_ = std::make_unique<Probe>(
      shared_.loop, *target, Probe::Kind::kHttp, options_.liveness.path,
      timeAfter(monotonicNow(), options_.liveness.timeout),
      [this, gen](bool good, const std::string& why) {
        if (gen != live_gen_) return;
        live_timer_.armIn(options_.liveness.interval);
        if (good) {
          live_failures_ = 0;
          return;
        }
        ++live_failures_;
        log::warn("liveness probe failed",
                  {{"service", name()}, {"gen", gen}, {"why", why}, {"failures", live_failures_}});
        if (live_failures_ % options_.liveness.fail == 0) {
          machine_.unhealthy(gen, {"liveness", "liveness: " + why}, monotonicNow());
        }
      });
  live_probe_->start();
}

void Service::checkRss() {
  const GenRecord* active = machine_.active();
  Running* r = active ? find(active->id) : nullptr;
  if (!r || options_.max_rss == 0) return;
  rss_timer_.armIn(kRssInterval);
  r->rss = treeRss(r->pid);
  if (r->rss <= options_.max_rss || !machine_.idle()) return;
  log::info("over --max-rss", {{"service", name()}, {"gen", r->id}, {"rss", r->rss}});
  recycle("max-rss");
}

void Service::armAge() {
  const GenRecord* active = machine_.active();
  aged_gen_ = active ? active->id : 0;
  if (!active || options_.max_age == 0) return;
  TimeNs age = options_.max_age;
  if (options_.max_age_spread > 0) {
    TimeNs spread = age / 100 * options_.max_age_spread;
    age += static_cast<TimeNs>(randomBelow(static_cast<std::uint64_t>(2 * spread + 1))) - spread;
  }
  age_timer_.armAt(timeAfter(active->active_at, age));
}

void Service::recycle(const char* why) {
  log::info("reload", {{"service", name()}, {"by", why}});
  machine_.reload(monotonicNow(), false);
}

void Service::runHooks(std::string_view event, int gen, int old_gen, const std::string& reason) {
  for (const Hook& h : options_.hooks) {
    if (h.event != event) continue;
    if (hooks_.size() >= kMaxHooks) {
      log::warn("hook skipped: too many are running", {{"service", name()}, {"hook", h.command}});
      return;
    }
    std::vector<std::string> env = helperEnvironment(find(gen));
    std::erase_if(env, [](const std::string& e) { return e.rfind("GENERATION=", 0) == 0; });
    env.push_back("GENERATION=" + std::to_string(gen));
    env.push_back("OLD_GENERATION=" + std::to_string(old_gen));
    env.push_back("REASON=" + reason);
    env.push_back("EVENT=" + std::string(event));
    auto helper = std::make_unique<HelperProcess>(shared_.loop, shared_.children, shared_.own_err);
    auto started = helper->start(
        h.command, env, shared_.logical_cwd, kHookLimit,
        [this, event = std::string(event)](const ExitStatus& s, const std::string&) {
          if (s.ok()) return;
          log::warn("hook failed",
                    {{"service", name()}, {"event", event}, {"code", s.asExitCode()}});
        });
    if (started.ok()) {
      hooks_.push_back(std::move(helper));
    } else {
      log::warn("hook not started", {{"service", name()}, {"why", started.error().message}});
    }
  }
}

}  // namespace godwit::supervise
