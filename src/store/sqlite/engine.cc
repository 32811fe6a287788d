#include "store/sqlite/engine.h"

#include <fcntl.h>

#include <condition_variable>
#include <mutex>

#include "base/os_error.h"
#include "store/sqlite/schema.h"

namespace godwit::store::sqlite {
namespace {

constexpr std::size_t kPageBytes = 4096;

ConnectionOptions connectionTo(const SqliteOptions& o, Role role, std::size_t cache_kib) {
  ConnectionOptions c;
  c.path = o.path;
  c.role = role;
  c.cache_kib = cache_kib;
  return c;
}

Writer::Limits writerLimits(const SqliteOptions& o) {
  Writer::Limits l;
  l.max_queue = o.max_write_queue;
  l.max_group = o.max_group;
  l.wal_pages = o.wal_limit_bytes / kPageBytes;
  return l;
}

Error cannotOpen(const std::string& path, Error why) {
  // While it is open this may be a passing fault; here it is a wrong file.
  if (why.detail.find("not a database") != std::string::npos) why.code = ErrorCode::kInvalid;
  std::string reason = why.detail.empty() ? why.message : why.message + ": " + why.detail;
  return {why.code, "cannot open " + path + ": " + reason};
}

// Polls like Writer::persist, and for the same reason; nothing else happens in this thread yet.
bool acquire(WriterLock& lock, Deadline deadline) {
  std::mutex mu;
  std::condition_variable never;
  std::unique_lock hold(mu);
  while (!lock.tryAcquire()) {
    if (deadline.expired()) return false;
    never.wait_for(hold, std::chrono::milliseconds(1));
  }
  return true;
}

}  // namespace

Result<std::shared_ptr<Engine>> Engine::open(const SqliteOptions& options) {
  // Created here for its mode: it holds password hashes. SQLite gives -wal and -shm the same.
  UniqueFd made(::open(options.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!made) return osError("open " + options.path);
  made.reset();

  auto lock = WriterLock::open(options.path);
  if (!lock.ok()) return lock.error();
  Deadline deadline = Deadline::after(options.open_wait);
  if (!acquire(*lock, deadline)) {
    return {ErrorCode::kUnavailable,
            "cannot open " + options.path + ": another process is writing and does not stop"};
  }
  auto writer = Connection::open(connectionTo(options, Role::kWriter, options.writer_cache_kib));
  if (!writer.ok()) return cannotOpen(options.path, writer.error());
  Result<void> ready = prepareSchema(**writer);
  while (!ready.ok() && (*writer)->lastWasBusy() && !deadline.expired()) {
    ready = prepareSchema(**writer);  // waits 20 ms each time
  }
  if (!ready.ok()) return cannotOpen(options.path, ready.error());
  lock->release();
  return std::make_shared<Engine>(options, std::move(*writer), std::move(*lock));
}

Engine::Engine(const SqliteOptions& options, std::unique_ptr<Connection> writer, WriterLock lock)
    : options_(options),
      scans_(connectionTo(options, Role::kReader, options.scan_cache_kib), *options.clock,
             options.scan_threads, options.max_scan_queue),
      writer_(std::move(writer), std::move(lock), options.path, *options.clock,
              writerLimits(options)) {}

Reader* Engine::readerOf(const Reactor& home) {
  std::size_t i = home.index();
  if (i >= kMaxLoops) return nullptr;
  if (!readers_[i]) {
    readers_[i] = std::make_unique<Reader>(
        connectionTo(options_, Role::kReader, options_.loop_cache_kib), *options_.clock);
  }
  return readers_[i].get();
}

void Engine::run(Mode mode, std::unique_ptr<Unit> unit) {
  if (mode == Mode::kWrite) return writer_.submit(std::move(unit));
  if (stopped_.load(std::memory_order_relaxed)) return deliver(std::move(unit), stopping());
  Reader* reader = mode == Mode::kPoint ? readerOf(*unit->home) : nullptr;
  if (!reader) return scans_.submit(std::move(unit));
  if (unit->deadline.expired()) return unit->done(tooLate());
  Result<Verdict> result = reader->runInTurn(*unit);
  // A loop does not wait for locks; a scan thread may.
  if (reader->wasBusy()) return scans_.submit(std::move(unit));
  unit->done(std::move(result));
}

void Engine::stop(Deadline deadline) {
  stopped_ = true;
  scans_.stop(deadline);
  writer_.stop(deadline);
}

}  // namespace godwit::store::sqlite
