#include "store/redis/link.h"

#include <fcntl.h>
#include <hiredis/async.h>

#include <algorithm>

#include "base/log.h"
#include "base/random.h"

namespace godwit::store::redis {

namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 25ms;
constexpr auto kConnectTimeout = 2s;
constexpr auto kSilence = 1s;
constexpr auto kFirstBackoff = 25ms;
constexpr auto kMaxBackoff = 400ms;

Error unavailable(std::string why) {
  return Error(ErrorCode::kUnavailable, "The cache is unavailable", std::move(why));
}

}  // namespace

// hiredis' C callbacks.
struct Hooks {
  static Link& of(void* p) { return *static_cast<Link*>(p); }
  static void addRead(void* p) { of(p).want(Reactor::kReadable, true); }
  static void delRead(void* p) { of(p).want(Reactor::kReadable, false); }
  static void addWrite(void* p) { of(p).want(Reactor::kWritable, true); }
  static void delWrite(void* p) { of(p).want(Reactor::kWritable, false); }
  static void cleanup(void*) {}
  static void connected(const redisAsyncContext* c, int status) { of(c->data).onConnected(status); }
  static void disconnected(const redisAsyncContext* c, int) { of(c->data).onGone(c->errstr); }
  static void replied(redisAsyncContext* c, void* reply, void*) {
    Link& link = of(c->data);
    if (link.sent_.empty()) return;
    auto call = std::move(link.sent_.front());
    link.sent_.pop_front();
    if (reply) {
      link.finish(call, static_cast<redisReply*>(reply), nullptr);
    } else {
      Error e = unavailable(c->err ? c->errstr : "connection closed");
      link.finish(call, nullptr, &e);
    }
  }
  static void loggedIn(redisAsyncContext* c, void* reply, void*) {
    const auto* r = static_cast<redisReply*>(reply);
    if (!r || r->type != REDIS_REPLY_ERROR) return;
    Link& link = of(c->data);
    link.login_failed_ = true;
    link.last_error_ = std::string(r->str, r->len);
    log::error("redis refuses this login or database", {{"reason", link.last_error_}});
  }
};

Link::Link(Reactor& loop, const Options& options, std::shared_ptr<postgresql::Resolver> resolver)
    : loop_(loop),
      options_(options),
      resolver_(std::move(resolver)),
      alive_(std::make_shared<bool>(true)) {}

Link::~Link() {
  *alive_ = false;
  abandon();
  auto queued = std::move(queue_);
  Error e = unavailable("stopping");
  for (auto& call : queued) finish(call, nullptr, &e);
}

void Link::send(std::vector<std::string> argv, Deadline deadline, Replied done) {
  auto call = std::make_shared<Call>();
  call->argv = std::move(argv);
  call->deadline = deadline;
  call->done = std::move(done);
  if (refusing() || queue_.size() + sent_.size() >= kMaxPending) {
    arm();
    loop_.post([this, alive = alive_, call] {
      Error e = unavailable(*alive && !last_error_.empty() ? last_error_ : "too many waiting");
      if (!call->finished) call->done(nullptr, &e);
      call->finished = true;
    });
    return;
  }
  queue_.push_back(std::move(call));
  if (ready_) {
    sendQueued();
  } else {
    open();
  }
  arm();
}

void Link::finish(const CallPtr& call, const redisReply* reply, const Error* error) {
  if (call->finished) return;
  call->finished = true;
  auto done = std::move(call->done);
  done(reply, error);
}

void Link::issue(const CallPtr& call) {
  std::vector<const char*> argv;
  std::vector<std::size_t> lengths;
  for (const auto& a : call->argv) {
    argv.push_back(a.data());
    lengths.push_back(a.size());
  }
  if (sent_.empty()) heard_ = Deadline::Clock::now();
  sent_.push_back(call);
  redisAsyncCommandArgv(context_, &Hooks::replied, nullptr, static_cast<int>(argv.size()),
                        argv.data(), lengths.data());
}

void Link::sendQueued() {
  while (ready_ && !queue_.empty()) {
    CallPtr call = std::move(queue_.front());
    queue_.pop_front();
    if (!call->finished) issue(call);
  }
}

bool Link::refusing() const {
  return down_since_ && Deadline::Clock::now() - *down_since_ > kRideThrough;
}

// --- Connecting

void Link::open() {
  if (context_ || opening_ || Deadline::Clock::now() < retry_at_) return;
  opening_ = true;
  opened_at_ = Deadline::Clock::now();
  if (!options_.socket.empty()) return connectTo("");
  resolver_->resolve("host=" + options_.host, loop_,
                     [this, alive = alive_](Result<postgresql::Overrides> found) {
                       if (!*alive) return;
                       if (!found.ok()) {
                         opening_ = false;
                         return retryLater(found.error().detail);
                       }
                       std::string address = options_.host;
                       for (const auto& [key, value] : *found) {
                         if (key == "hostaddr") address = value.substr(0, value.find(','));
                       }
                       connectTo(address);
                     });
}

void Link::connectTo(const std::string& address) {
  opening_ = false;
  login_failed_ = false;
  context_ = options_.socket.empty() ? redisAsyncConnect(address.c_str(), options_.port)
                                     : redisAsyncConnectUnix(options_.socket.c_str());
  if (!context_ || context_->err) {
    std::string why = context_ ? context_->errstr : "out of memory";
    if (context_) redisAsyncFree(context_);
    context_ = nullptr;
    return retryLater(std::move(why));
  }
  context_->data = this;
  context_->ev.data = this;
  context_->ev.addRead = &Hooks::addRead;
  context_->ev.delRead = &Hooks::delRead;
  context_->ev.addWrite = &Hooks::addWrite;
  context_->ev.delWrite = &Hooks::delWrite;
  context_->ev.cleanup = &Hooks::cleanup;
  watched_fd_.reset(::fcntl(context_->c.fd, F_DUPFD_CLOEXEC, 0));
  wanted_ = 0;
  watch_ = loop_.watch(watched_fd_.get(), [this](unsigned ev) { onEvent(ev); });
  redisAsyncSetConnectCallback(context_, &Hooks::connected);
  redisAsyncSetDisconnectCallback(context_, &Hooks::disconnected);
  arm();
}

void Link::want(unsigned event, bool on) {
  wanted_ = on ? wanted_ | event : wanted_ & ~event;
  if (watch_) watch_->want(wanted_);
}

void Link::onEvent(unsigned events) {
  auto* context = context_;
  if (!context) return;
  if (events & Reactor::kReadable) {
    heard_ = Deadline::Clock::now();
    redisAsyncHandleRead(context);
  }
  if (context_ == context && events & Reactor::kWritable) redisAsyncHandleWrite(context);
}

void Link::onConnected(int status) {
  if (status != REDIS_OK) {
    // hiredis frees the context itself when we return.
    return onGone(context_->errstr);
  }
  if (!options_.password.empty()) {
    if (options_.user.empty()) {
      redisAsyncCommand(context_, &Hooks::loggedIn, nullptr, "AUTH %b", options_.password.data(),
                        options_.password.size());
    } else {
      redisAsyncCommand(context_, &Hooks::loggedIn, nullptr, "AUTH %b %b", options_.user.data(),
                        options_.user.size(), options_.password.data(), options_.password.size());
    }
  }
  if (options_.database != 0) {
    redisAsyncCommand(context_, &Hooks::loggedIn, nullptr, "SELECT %d", options_.database);
  }
  if (down_since_) log::info("redis is back", {{"attempts", failures_}});
  ready_ = true;
  failures_ = 0;
  down_since_.reset();
  heard_ = Deadline::Clock::now();
  sendQueued();
}

// The context is on its way out; hiredis answers what was sent with nothing and frees it.
void Link::onGone(const char* why) {
  std::string reason = why && *why ? why : "connection closed";
  context_ = nullptr;
  ready_ = false;
  // Not from inside its own callback.
  loop_.post([watch = std::shared_ptr<Reactor::FdWatch>(std::move(watch_)),
              fd = std::make_shared<UniqueFd>(std::move(watched_fd_))]() mutable {
    watch.reset();
    fd.reset();
  });
  retryLater(std::move(reason));
}

void Link::retryLater(std::string why) {
  ++failures_;
  last_error_ = std::move(why);
  if (!down_since_) {
    down_since_ = Deadline::Clock::now();
    log::warn("redis is away", {{"reason", last_error_}});
  }
  auto backoff = std::min<std::chrono::milliseconds>(
      kMaxBackoff, kFirstBackoff * (1 << std::min(failures_ - 1, 6u)));
  auto drawn =
      std::chrono::milliseconds(randomBelow(static_cast<std::uint64_t>(backoff.count() / 2) + 1));
  retry_at_ = Deadline::Clock::now() + backoff / 2 + drawn;
  arm();
}

void Link::abandon() {
  if (!context_) return;
  auto* context = context_;
  context_ = nullptr;
  ready_ = false;
  watch_.reset();
  watched_fd_.reset();
  context->onDisconnect = nullptr;
  redisAsyncFree(context);  // answers what was sent, with nothing
}

// --- Deadlines

void Link::arm() {
  if (timer_ || (queue_.empty() && sent_.empty() && !down_since_)) return;
  timer_ = loop_.timer(Deadline::after(kTick), [this] {
    auto spent = std::move(timer_);
    sweep();
    arm();
  });
}

void Link::sweep() {
  auto now = Deadline::Clock::now();
  Error late(ErrorCode::kTimeout, "The cache did not answer in time");
  bool expired = false;
  auto alive = alive_;
  auto look = [&](std::deque<CallPtr> calls, bool refuse) {
    for (auto& call : calls) {
      if (call->deadline.when() <= now) {
        expired = true;
        finish(call, nullptr, &late);
      } else if (refuse) {
        Error e = unavailable(last_error_);
        finish(call, nullptr, &e);
      }
      if (!*alive) return;
    }
  };
  look(queue_, refusing());
  if (!*alive) return;
  look(sent_, false);
  if (!*alive) return;
  std::erase_if(queue_, [](const auto& c) { return c->finished; });
  bool stuck = expired && now - heard_ > kSilence;
  bool slow = context_ && !ready_ && now - opened_at_ > kConnectTimeout;
  if (context_ && (stuck || slow || login_failed_)) {
    abandon();
    retryLater(login_failed_ ? last_error_ : "no answer");
  }
  if (!context_ && (!queue_.empty() || down_since_)) open();
}

}  // namespace godwit::store::redis
