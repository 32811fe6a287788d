#include "kinto/courier.h"

#include <algorithm>
#include <vector>

#include "base/log.h"
#include "base/random.h"

namespace godwit::kinto {
namespace {

constexpr std::chrono::seconds kComplainEvery{10};

// Between half of `pause` and all of it.
std::chrono::milliseconds jittered(std::chrono::milliseconds pause) {
  auto half = static_cast<std::uint64_t>(pause.count() / 2);
  return pause / 2 + std::chrono::milliseconds(randomBelow(half + 1));
}

}  // namespace

Courier::Courier(Options options, std::unique_ptr<Carrier> carrier)
    : options_(std::move(options)), carrier_(std::move(carrier)), thread_([this] { run(); }) {}

Courier::~Courier() { stop(Deadline::after({})); }

bool Courier::post(std::string message) {
  {
    std::lock_guard lock(mu_);
    bool room = waiting_.size() + carried_ < options_.max_messages &&
                bytes_ + message.size() <= options_.max_bytes;
    if (room && !stopping_) {
      bytes_ += message.size();
      waiting_.push_back(std::move(message));
      if (waiting_.size() == 1) wake_.notify_one();
      return true;
    }
    ++counts_.dropped;
  }
  complain(quiet_full_, "no room for another message", "");
  return false;
}

Courier::Counts Courier::counts() const {
  std::lock_guard lock(mu_);
  Counts out = counts_;
  out.waiting = waiting_.size() + carried_;
  return out;
}

void Courier::beginStop(Deadline deadline) {
  std::lock_guard lock(mu_);
  if (stopping_) return;
  stopping_ = true;
  until_ = deadline;
  wake_.notify_all();
}

void Courier::stop(Deadline deadline) {
  beginStop(deadline);
  {
    std::unique_lock lock(mu_);
    auto ended = [this] { return ended_; };
    if (until_.isNever()) {
      ended_cv_.wait(lock, ended);
    } else if (!ended_cv_.wait_until(lock, until_.when(), ended)) {
      lock.unlock();
      carrier_->cancel();
    }
  }
  if (!thread_.joinable()) return;
  thread_.join();
  Counts c = counts();
  if (c.waiting > 0 || c.dropped > 0 || c.given_up > 0) {
    log::warn("messages were lost", {{"to", options_.name},
                                     {"delivered", c.delivered},
                                     {"dropped", c.dropped},
                                     {"given_up", c.given_up},
                                     {"left", c.waiting}});
  }
  std::lock_guard lock(mu_);
  counts_.given_up += waiting_.size();
  waiting_.clear();
  bytes_ = 0;
}

void Courier::run() {
  std::vector<std::string> batch;
  std::unique_lock lock(mu_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty() || (stopping_ && until_.expired())) break;
    batch.clear();
    while (!waiting_.empty() && batch.size() < options_.batch) {
      batch.push_back(std::move(waiting_.front()));
      waiting_.pop_front();
    }
    carried_ = batch.size();
    lock.unlock();
    deliver(batch);
    lock.lock();
    carried_ = 0;
    for (const std::string& message : batch) bytes_ -= message.size();
  }
  ended_ = true;
  ended_cv_.notify_all();
}

void Courier::deliver(std::span<const std::string> batch) {
  std::chrono::milliseconds wait = options_.first_pause;
  for (unsigned attempt = 1;; ++attempt) {
    Deadline deadline = Deadline::after(options_.timeout);
    {
      std::lock_guard lock(mu_);
      if (stopping_) deadline = deadline.earlier(until_);
    }
    Carrier::Attempt tried = carrier_->carry(batch, deadline);
    bool last = options_.max_attempts != 0 && attempt >= options_.max_attempts;
    bool again = tried.outcome == Carrier::Outcome::kFailed && !last;
    {
      std::lock_guard lock(mu_);
      if (tried.outcome == Carrier::Outcome::kDelivered) {
        counts_.delivered += batch.size();
        return;
      }
      if (stopping_ && until_.expired()) again = false;
      if (again) {
        ++counts_.retries;
      } else {
        counts_.given_up += batch.size();
      }
    }
    complain(quiet_failed_, again ? "delivery failed, trying again" : "delivery failed", tried.why);
    if (!again) return;
    // When the receiver asks for patience it gets it, within reason.
    auto asked = std::min(tried.not_before, options_.longest_pause);
    if (!pause(std::max(jittered(wait), asked))) {
      std::lock_guard lock(mu_);
      counts_.given_up += batch.size();
      return;
    }
    wait = std::min(wait * 2, options_.longest_pause);
  }
}

// False: the time to stop has come.
bool Courier::pause(std::chrono::milliseconds wait) {
  std::unique_lock lock(mu_);
  auto end = std::chrono::steady_clock::now() + wait;
  while (std::chrono::steady_clock::now() < end) {
    if (stopping_ && until_.expired()) return false;
    // Once stopping, nothing more will wake this thread: it looks for itself.
    auto until = stopping_ && !until_.isNever() ? std::min(end, until_.when()) : end;
    wake_.wait_until(lock, until);
  }
  return !(stopping_ && until_.expired());
}

void Courier::complain(Deadline& quiet, const char* what, const std::string& why) {
  Counts c;
  {
    std::lock_guard lock(mu_);
    if (!quiet.expired()) return;
    quiet = Deadline::after(kComplainEvery);
    c = counts_;
  }
  log::warn(what, {{"to", options_.name},
                   log::unlessEmpty("why", why),
                   {"delivered", c.delivered},
                   {"dropped", c.dropped},
                   {"given_up", c.given_up}});
}

}  // namespace godwit::kinto
