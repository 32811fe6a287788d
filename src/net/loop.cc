#include "net/loop.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <stdexcept>

#include "base/os_error.h"

namespace godwit::net {

namespace asio = boost::asio;
using ErrorCodeAsio = boost::system::error_code;
using Executor = asio::io_context::executor_type;

struct Loop::Asio {
  // One thread runs the loop, so the reactor needs no lock; the queue keeps its own for post().
  asio::io_context io{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  asio::executor_work_guard<Executor> work{io.get_executor()};
  asio::posix::basic_stream_descriptor<Executor> ready{io.get_executor()};
  asio::basic_waitable_timer<std::chrono::steady_clock,
                             asio::wait_traits<std::chrono::steady_clock>, Executor>
      timer{io.get_executor()};
  asio::basic_signal_set<Executor> signals{io.get_executor()};
};

namespace {
std::int64_t steadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
             .count() +
         1;
}
}  // namespace

class Loop::Timer final : public Reactor::Handle {
 public:
  Timer(Loop& loop, std::int64_t due, Job job) : loop_(loop), job_(std::move(job)) {
    at_ = loop_.timers_.emplace(due, this);
  }
  ~Timer() override {
    if (filed_) loop_.timers_.erase(at_);
  }
  void fire() {
    filed_ = false;
    Job job = std::move(job_);
    job();  // may destroy *this
  }

 private:
  friend class Loop;
  Loop& loop_;
  Job job_;
  bool filed_ = true;
  std::multimap<std::int64_t, Timer*>::iterator at_;
};

namespace {

class Watch final : public Reactor::FdWatch, public Poller::Watcher {
 public:
  Watch(Poller& poller, int fd, std::function<void(unsigned)> ready)
      : poller_(poller), fd_(fd), ready_(std::move(ready)) {}
  ~Watch() override {
    if (alive_) *alive_ = false;
    poller_.remove(wanted_ ? fd_ : -1, *this);
  }
  void want(unsigned events) override {
    if (events == wanted_) return;
    // A descriptor that waits for nothing leaves the set: epoll reports errors and hang-ups of its
    // members whether asked or not, and a level-triggered loop would spin on them.
    if (events == 0) {
      poller_.remove(fd_, *this);
    } else {
      std::uint32_t bits = (events & Reactor::kReadable ? EPOLLIN | EPOLLRDHUP : 0U) |
                           (events & Reactor::kWritable ? std::uint32_t{EPOLLOUT} : 0U);
      if (wanted_) {
        poller_.modify(fd_, bits, *this);
      } else {
        poller_.add(fd_, bits, *this);
      }
    }
    wanted_ = events;
  }
  void onReady(std::uint32_t events) override {
    unsigned bits = 0;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) bits |= Reactor::kReadable;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) bits |= Reactor::kWritable;
    bits &= wanted_;
    if (!bits) return;
    // The callback may destroy the watch, and with it the function that is running.
    bool alive = true;
    alive_ = &alive;
    std::function<void(unsigned)> ready = std::move(ready_);
    ready(bits);
    if (alive) {
      ready_ = std::move(ready);
      alive_ = nullptr;
    }
  }

 private:
  Poller& poller_;
  const int fd_;
  std::function<void(unsigned)> ready_;
  unsigned wanted_ = 0;
  bool* alive_ = nullptr;
};

}  // namespace

Loop::Loop(std::size_t index) : index_(index), asio_(std::make_unique<Asio>()) {
  if (poller_.fd() < 0) throw std::runtime_error(osError("create an epoll set").message);
  asio_->ready.assign(poller_.fd());
  refreshNow();
  wheel_.start(now_ms_);
  armPoller();
}

Loop::~Loop() {
  asio_->ready.release();
  for (auto& [due, timer] : timers_) timer->filed_ = false;  // their owners may outlive us
  // Jobs own what they captured; let them go while the loop they may refer to still stands.
  posted_.clear();
}

std::int64_t Loop::refreshNow() { return now_ms_ = steadyMs(); }

bool Loop::onThread() const {
  return thread_.load(std::memory_order_relaxed) == std::this_thread::get_id();
}

void Loop::enter() {
  thread_.store(std::this_thread::get_id(), std::memory_order_relaxed);
  refreshNow();
}

void Loop::run() {
  enter();
  asio_->io.run();
}

void Loop::poll(std::chrono::milliseconds wait) {
  enter();
  if (asio_->io.stopped()) return;
  if (asio_->io.poll() == 0 && wait.count() > 0) asio_->io.run_one_for(wait);
}

void Loop::stop() { asio_->io.stop(); }
bool Loop::stopped() const { return asio_->io.stopped(); }

void Loop::runLeftovers() {
  enter();
  // Bounded: a job that keeps posting itself must not keep a stopped program alive.
  for (int round = 0; round < 100; ++round) {
    {
      std::lock_guard lock(mu_);
      if (posted_.empty()) break;
    }
    runPosted();
  }
}

void Loop::post(Job job) {
  bool first = false;
  {
    std::lock_guard lock(mu_);
    first = posted_.empty();
    posted_.push_back(std::move(job));
  }
  // One wake-up carries everything that is posted until it runs.
  if (first) asio::post(asio_->io, [this] { runPosted(); });
}

void Loop::runPosted() {
  {
    std::lock_guard lock(mu_);
    running_.swap(posted_);
  }
  refreshNow();
  for (Job& job : running_) job();
  running_.clear();
  turnEnd();
}

std::unique_ptr<Reactor::FdWatch> Loop::watch(int fd, std::function<void(unsigned)> ready) {
  return std::make_unique<Watch>(poller_, fd, std::move(ready));
}

std::unique_ptr<Reactor::Handle> Loop::timer(Deadline when, Job job) {
  std::int64_t due = Wheel::kNever;
  if (!when.isNever()) {
    due = std::chrono::ceil<std::chrono::milliseconds>(when.when().time_since_epoch()).count() + 1;
  }
  auto t = std::make_unique<Timer>(*this, due, std::move(job));
  armTimer();
  return t;
}

void Loop::armPoller() {
  asio_->ready.async_wait(asio::posix::descriptor_base::wait_read, [this](ErrorCodeAsio ec) {
    if (ec) return;
    refreshNow();
    // A few full batches in a row, then posts and timers get their turn.
    for (int i = 0; i < 4 && poller_.dispatch(); ++i) {
    }
    turnEnd();
    armPoller();
  });
}

void Loop::armTimer() {
  std::int64_t next = wheel_.nextMs();
  if (!timers_.empty()) next = std::min(next, timers_.begin()->first);
  // Waking up early is harmless, and cheaper than moving the kernel's timer on every change.
  if (next >= armed_ms_ && armed_ms_ != Wheel::kNever) return;
  if (next == Wheel::kNever) return;
  armed_ms_ = next;
  asio_->timer.expires_at(std::chrono::steady_clock::time_point(std::chrono::milliseconds(next)));
  asio_->timer.async_wait([this](ErrorCodeAsio ec) {
    if (!ec) onTimer();
  });
}

void Loop::onTimer() {
  armed_ms_ = Wheel::kNever;
  refreshNow();
  wheel_.advance(now_ms_);
  // Only timers that were due before this turn: one that re-arms itself for now waits its turn.
  const std::int64_t now = now_ms_;
  for (int i = 0; i < 1000 && !timers_.empty() && timers_.begin()->first <= now; ++i) {
    auto it = timers_.begin();
    Timer* t = it->second;
    timers_.erase(it);
    t->fire();
  }
  turnEnd();
  armTimer();
}

void Loop::onSignals(const std::vector<int>& signals, std::function<void(int)> handler) {
  ErrorCodeAsio ec;
  asio_->signals.cancel(ec);
  asio_->signals.clear(ec);
  on_signal_ = std::move(handler);
  for (int s : signals) asio_->signals.add(s, ec);
  if (!signals.empty()) waitSignal();
}

void Loop::waitSignal() {
  asio_->signals.async_wait([this](ErrorCodeAsio ec, int number) {
    if (ec) return;
    refreshNow();
    waitSignal();
    if (on_signal_) on_signal_(number);
    turnEnd();
  });
}

}  // namespace godwit::net
