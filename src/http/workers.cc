#include "godwit/http/workers.h"

#include "base/worker_pool.h"
#include "godwit/http/server.h"

namespace godwit::http {

struct Workers::Impl {
  WorkerPool pool;
  Impl(std::size_t threads, std::size_t bound) : pool("workers", threads, bound) {}
};

Workers::Workers(Server& server, std::size_t threads, std::size_t bound)
    : impl_(std::make_unique<Impl>(threads, bound)) {
  server.stopWith([this](Deadline d) { impl_->pool.stop(d); });
}

Workers::~Workers() = default;

bool Workers::run(Reply reply, std::function<void(Reply)> work) {
  auto held = std::make_shared<Reply>(std::move(reply));
  const bool taken = impl_->pool.submit([held, work = std::move(work)] {
    if (held->cancelled() || held->deadline().expired()) return;  // dropped: goes nowhere
    work(std::move(*held));
  });
  if (taken) return true;
  held->response().header("Retry-After", "1");
  held->send(503, "busy\n");
  return false;
}

bool Workers::submit(Job job) { return impl_->pool.submit(std::move(job)); }
std::size_t Workers::queued() const { return impl_->pool.queued(); }
std::uint64_t Workers::refused() const { return impl_->pool.refused(); }

}  // namespace godwit::http
