#include "godwit/http/body.h"

#include <utility>

#include "http/connection.h"
#include "http/give_back.h"
#include "http/shard.h"

namespace godwit::http {
namespace detail {

namespace {
constexpr std::size_t kTooFar = 16;  // times the limit
}

BodyState::BodyState(Exchange* e)
    : shard(e->shard), limit(e->shard.engine().options.limits.max_output_bytes), exchange(e) {}

BodyState::~BodyState() = default;

void BodyState::append(std::string_view bytes) {
  if (!exchange || ended || aborted) return;
  if (pending.size() + unsent.load(std::memory_order_relaxed) + bytes.size() > kTooFar * limit) {
    return finish(true);
  }
  pending.append(bytes);
  unsent.store(unsent.load(std::memory_order_relaxed) + bytes.size(), std::memory_order_relaxed);
  if (unsent.load(std::memory_order_relaxed) >= limit) was_full = true;
  if (exchange->connection) exchange->connection->onAnswered();
}

void BodyState::finish(bool abort) {
  if (!exchange || ended || aborted) return;
  (abort ? aborted : ended) = true;
  closed.store(true, std::memory_order_release);
  if (exchange->connection) exchange->connection->onAnswered();
}

void BodyState::settle(std::size_t in_kernel_queue) {
  unsent.store(in_kernel_queue + pending.size(), std::memory_order_relaxed);
  if (was_full && in_kernel_queue + pending.size() <= limit / 2) {
    was_full = false;
    if (on_writable) {
      // A copy: the callback may replace itself or end the body.
      std::function<void()> f = on_writable;
      f();
    }
  }
}

// The connection is done with this body, or gone.
void BodyState::detach() {
  Exchange* e = std::exchange(exchange, nullptr);
  if (!e) return;
  closed.store(true, std::memory_order_release);
  unsent.store(0, std::memory_order_relaxed);
  giveBack(pending);
  std::function<void()> gone = std::move(on_closed);
  on_writable = on_closed = on_drain = nullptr;
  if (gone && !ended) gone();
  shard.release(e);
}

}  // namespace detail

namespace {

// Ends the body when the last handle goes.
struct Owner {
  std::shared_ptr<detail::BodyState> state;
  explicit Owner(std::shared_ptr<detail::BodyState> s) : state(std::move(s)) {}
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() {
    if (state->closed.load(std::memory_order_acquire)) return;
    net::Loop& loop = state->shard.loop();
    if (loop.onThread()) {
      state->finish(true);
    } else {
      loop.post([s = state] { s->finish(true); });
    }
  }
};

}  // namespace

BodyWriter::BodyWriter(std::shared_ptr<detail::BodyState> state) {
  auto owner = std::make_shared<Owner>(std::move(state));
  state_ = std::shared_ptr<detail::BodyState>(owner, owner->state.get());
}

bool BodyWriter::write(std::string_view bytes) {
  detail::BodyState& s = *state_;
  if (s.closed.load(std::memory_order_acquire)) return false;
  net::Loop& loop = s.shard.loop();
  if (loop.onThread()) {
    s.append(bytes);
    return !s.closed.load(std::memory_order_relaxed);
  }
  s.posted.fetch_add(bytes.size(), std::memory_order_relaxed);
  loop.post([state = s.shared_from_this(), copy = std::string(bytes)] {
    state->posted.fetch_sub(copy.size(), std::memory_order_relaxed);
    state->append(copy);
  });
  return true;
}

void BodyWriter::end() {
  net::Loop& loop = state_->shard.loop();
  if (loop.onThread()) return state_->finish(false);
  loop.post([state = state_->shared_from_this()] { state->finish(false); });
  state_.reset();
}

void BodyWriter::abort() {
  net::Loop& loop = state_->shard.loop();
  if (loop.onThread()) return state_->finish(true);
  loop.post([state = state_->shared_from_this()] { state->finish(true); });
  state_.reset();
}

std::size_t BodyWriter::buffered() const {
  return state_->posted.load(std::memory_order_relaxed) +
         state_->unsent.load(std::memory_order_relaxed);
}
bool BodyWriter::full() const { return buffered() >= state_->limit; }
bool BodyWriter::closed() const {
  return !state_ || state_->closed.load(std::memory_order_acquire);
}
void BodyWriter::onWritable(std::function<void()> f) { state_->on_writable = std::move(f); }
void BodyWriter::onClosed(std::function<void()> f) { state_->on_closed = std::move(f); }
void BodyWriter::onDrain(std::function<void()> f) { state_->on_drain = std::move(f); }
Reactor& BodyWriter::reactor() const { return state_->shard.loop(); }

}  // namespace godwit::http
