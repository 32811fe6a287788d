#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/reactor.h"
#include "base/task.h"
#include "godwit/deadline.h"
#include "godwit/result.h"
#include "store/session.h"

namespace godwit::store {

enum class Mode : std::uint8_t {
  kPoint,  // reads by key: may run on the calling loop, must not take long
  kScan,   // reads that may touch many rows: never on a loop thread when the backend would block it
  kWrite,
};

enum class Verdict : std::uint8_t { kCommit, kRollback };

// The work of one request. Called with a session on whichever thread the backend chooses, and maybe
// more than once (a serialisation failure is retried): it starts from its inputs each time. What it
// captures must live until `done`. It answers kRollback for a request that fails.
using Work = std::function<Task<Verdict>(Session&)>;

// kCommit only after the data is durable. Errors as Session's. kNeedsWrite: a read unit met a call
// that writes and answered kRollback; the caller runs it again with Mode::kWrite, if it may.
using Done = std::function<void(Result<Verdict>)>;

// Where objects, permissions and groups live. All functions: any thread unless said otherwise.
class Backend {
 public:
  virtual ~Backend() = default;

  [[nodiscard]] virtual std::string name() const = 0;  // "memory", "sqlite", "postgresql"

  // Runs `work` in one transaction and calls `done` on `home`'s thread, exactly once, also when the
  // deadline passes or the backend stops. Call on home's thread. For kPoint a local backend may
  // call both before this returns; in the other modes `done` is always posted. Queues are bounded;
  // full answers kUnavailable. `home` must live until stop() has returned: a backend may keep a
  // pool of connections on each loop that called it.
  virtual void run(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) = 0;

  // The same for a read (kPoint, kScan) that may see a state that is a little old, as the settings
  // bound it: a backend with replicas may ask one, others run().
  virtual void runNearby(Mode mode, Reactor& home, Deadline deadline, Work work, Done done) = 0;

  // Can it read and, if `write` is set, write now? Never fails by taking long: the deadline
  // decides.
  virtual void ping(Reactor& home, Deadline deadline, bool write,
                    std::function<void(bool)> done) = 0;

  // Finishes what is queued, then stops; later run() calls answer kUnavailable. Blocks up to the
  // deadline. Not from a loop thread.
  virtual void stop(Deadline deadline) = 0;
};

// Key-value store with expiry: sessions, nonces, verified credentials. Keys and values are bytes.
class Cache {
 public:
  using Got = std::function<void(Result<std::optional<std::string>>)>;
  using Did = std::function<void(Result<bool>)>;  // true: there was such a key

  virtual ~Cache() = default;
  virtual void get(Reactor& home, std::string_view key, Got done) = 0;
  virtual void set(Reactor& home, std::string_view key, std::string value,
                   std::chrono::milliseconds ttl, Did done) = 0;
  virtual void expire(Reactor& home, std::string_view key, std::chrono::milliseconds ttl,
                      Did done) = 0;
  // Atomic: of two concurrent calls one gets the value, the other nothing.
  virtual void take(Reactor& home, std::string_view key, Got done) = 0;
  virtual void flush(Reactor& home, Did done) = 0;
  virtual void ping(Reactor& home, Deadline deadline, std::function<void(bool)> done) = 0;

  // Closes what is open on the loops that called it, which must run until this has returned. Later
  // calls answer kUnavailable. Blocks up to the deadline. Not from a loop thread.
  virtual void stop(Deadline) {}
};

}  // namespace godwit::store
