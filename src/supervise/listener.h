// One --listen: the sockets behind it, who gets new connections, and how many wait.
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/address.h"
#include "supervise/bpf.h"
#include "supervise/json.h"
#include "supervise/listen_spec.h"

namespace godwit::supervise {

// Descriptors the outer manager passed, by number and by name. Taken ones are removed.
struct InheritedFds {
  struct Entry {
    int fd = -1;
    std::string name;
  };
  std::vector<Entry> entries;
  // By service: the slot that had the public when an earlier supervisor stored its sockets.
  std::map<std::string, int> active;
  int note = -1;  // where that was written (manager.h)
  std::optional<int> take(std::string_view number_or_name);
  [[nodiscard]] int activeSlot(const std::string& service, int slots) const;
};

// Where new connections go, in slots. -1 = none.
struct SlotRouting {
  int active = -1;
  int candidate = -1;
  int canary_percent = 0;
};

// How to reach one generation and no other.
struct ProbeTarget {
  Address address;
  bool bind_source = false;
  Address source;
};

class Listener {
 public:
  enum class Kind : unsigned char { kTcpSlots, kUnixSlots, kShared };

  // Binds and listens. Errors carry code kConflict when another instance owns the unix path, kOs
  // otherwise. `service` names the sockets in the descriptor store.
  static Result<std::unique_ptr<Listener>> create(const ListenSpec& spec, int slots,
                                                  InheritedFds& inherited,
                                                  const std::string& service);
  // From a state saved before a re-exec.
  static Result<std::unique_ptr<Listener>> restore(const ListenSpec& spec, const JsonValue& in);
  void save(JsonWriter& out) const;  // clears close-on-exec of what it names
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  [[nodiscard]] const ListenSpec& spec() const { return spec_; }
  [[nodiscard]] Kind kind() const { return kind_; }
  [[nodiscard]] bool stream() const;
  // Said once at start when slots were wanted and cannot be had.
  [[nodiscard]] const std::string& fallbackReason() const { return fallback_; }

  // The socket a generation in `slot` gets; made now if need be. Stale connections in it, left by
  // an earlier generation, are reset and counted.
  Result<int> openSlot(int slot, int gen);
  // All new connections to where `r` says; at once.
  Result<> route(const SlotRouting& r);
  [[nodiscard]] bool queueEmpty(int slot) const;
  [[nodiscard]] int queueLength(int slot) const;  // -1: not known
  // The generation of this slot has no process left. Its socket may go once nothing comes in.
  void retire(int slot);
  [[nodiscard]] int slotFd(int slot) const;  // -1: none
  [[nodiscard]] bool isRetired(int slot) const;
  // Resets what reached a retired slot late. Returns how many. `final` closes unix sockets.
  int flushRetired(int slot, bool final);
  // Gives the service up: nobody listens any more, the path is gone.
  void close();

  // How S reaches the generation in `slot` (probe) or whoever serves (liveness), or nullopt.
  [[nodiscard]] std::optional<ProbeTarget> probeTarget(int slot) const;
  [[nodiscard]] std::optional<ProbeTarget> liveTarget(int slot) const;

  struct Stored {
    std::string name;
    int fd;
  };
  // What should be in the manager's descriptor store now.
  [[nodiscard]] std::vector<Stored> storable(const std::string& service) const;
  [[nodiscard]] int slotCount() const { return static_cast<int>(slots_.size()); }
  [[nodiscard]] int activeSlot() const { return routing_.active; }
  [[nodiscard]] const std::string& path() const { return spec_.path; }
  [[nodiscard]] std::uint16_t port() const { return address_.port(); }

 private:
  struct Slot {
    UniqueFd fd;
    std::string path;  // unix: where its name is now
    dev_t device = 0;
    ino_t inode = 0;
    bool retired = false;
    int serial = 0;  // unix: different for each one that was ever stored
  };

  explicit Listener(ListenSpec spec) : spec_(std::move(spec)) {}
  Result<> openTcp(InheritedFds& inherited, const std::string& service);
  Result<> openInherited(InheritedFds& inherited, const std::string& service);
  Result<> openUnix(std::size_t first, InheritedFds& inherited, const std::string& service);
  Result<> openShared();
  void becomeShared();
  bool adoptStored(InheritedFds& inherited, const std::string& service);
  bool adoptStoredUnix(Slot& slot, InheritedFds& inherited, const std::string& service);
  Result<std::string> addSlots();
  [[nodiscard]] std::string storeName(const std::string& service) const;
  Result<UniqueFd> bindTcp(bool reuse_port) const;
  Result<> listenOn(int fd) const;
  Result<> makeUnix(Slot& slot, const std::string& path);
  Result<> exposeUnix(std::size_t slot);
  bool reserveProbeSources();
  bool orderIsRight();
  Result<> attach(const SlotRouting& r);
  void removePath(const Slot& slot) const;

  ListenSpec spec_;
  Kind kind_ = Kind::kShared;
  std::string fallback_;
  Address address_;
  std::vector<Slot> slots_;
  SlotRouting routing_;
  int serials_before_ = 0;
  UniqueFd probe_port_;  // bound, never used: keeps the port from everybody else
  UniqueFd live_port_;
  Address probe_source_;
  Address live_source_;
};

}  // namespace godwit::supervise
