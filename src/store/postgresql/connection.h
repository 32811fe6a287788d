#pragma once

#include <libpq-fe.h>

#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/reactor.h"
#include "base/unique_fd.h"
#include "store/postgresql/look.h"

namespace godwit::store::postgresql {

// One libpq connection in pipeline mode, driven by a Reactor. Loop thread only.
class Connection {
 public:
  // Told of what happens. A connection must not be destroyed inside these calls.
  class Owner {
   public:
    virtual ~Owner() = default;
    virtual void onReady(Connection& c) = 0;
    // In the order sent. The reply is in `command`; nothing has been resumed yet.
    virtual void onReply(Connection& c, CommandPtr command) = 0;
    // All replies that one read brought have been reported.
    virtual void onTurn(Connection& c) = 0;
    // Dead for good. `lost` were sent and not answered.
    virtual void onClosed(Connection& c, const Failure& why, std::deque<CommandPtr> lost) = 0;
  };
  enum class State : std::uint8_t { kConnecting, kReady, kClosed };
  using Time = Deadline::Clock::time_point;

  Connection(Reactor& loop, Owner& owner, std::string application);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Starts connecting; onReady or onClosed follows, never from inside. Host names in `url` must be
  // resolved already (libpq would block): `hosts` holds keyword=value pairs to override it with.
  void connect(const std::string& url,
               const std::vector<std::pair<std::string, std::string>>& overrides);

  // Puts a command (preceded by its preparation, where needed) into the pipeline. Not yet flushed.
  void send(CommandPtr command);
  // Ends the group: the server answers, and forgets an error. Not yet flushed.
  void sync();
  // Writes what the socket takes; the rest follows by itself.
  void flush();
  // Ends the connection now; no onClosed. What was in flight is returned.
  std::deque<CommandPtr> close();

  [[nodiscard]] State state() const { return state_; }
  [[nodiscard]] bool ready() const { return state_ == State::kReady; }
  [[nodiscard]] bool everReady() const { return ever_ready_; }
  // Statements sent and not yet answered.
  [[nodiscard]] std::size_t pending() const { return commands_; }
  // Nothing sent that is not answered, and no transaction open.
  [[nodiscard]] bool idle() const;
  // Each statement, or each look that it is for.
  template <class F>
  void forEachUnanswered(F f) const {
    for (const auto& e : entries_) {
      if (e.kind != Entry::Kind::kCommand) continue;
      if (!e.command->gathering) {
        f(*e.command);
        continue;
      }
      for (const auto& member : e.command->gathering->members()) f(*member);
    }
  }
  [[nodiscard]] Time created() const { return created_; }
  // When bytes last came from the server; when the oldest group now waiting was sent.
  [[nodiscard]] Time lastHeard() const { return heard_; }
  [[nodiscard]] Time waitingSince() const { return waiting_since_; }
  [[nodiscard]] bool tcpEstablished() const { return established_; }
  [[nodiscard]] int backendPid() const;
  [[nodiscard]] bool inRecovery() const { return in_recovery_; }

  // For the owner's bookkeeping.
  bool leased = false;
  bool returning = false;  // given back, its last answer still to come
  bool lane = false;
  int timeout_ms = 60'000;  // session's statement_timeout
  Time idle_since{};

 private:
  struct Entry {
    enum class Kind : std::uint8_t { kPrepare, kCommand, kSetup, kOptional, kSync };
    Kind kind;
    CommandPtr command;     // kPrepare, kCommand
    bool answered = false;  // a result has come; the terminating NULL has not
  };

  void onEvent(unsigned events);
  void poll();
  void watchSocket();
  void setUp();
  void finishSetup(PGresult* r);
  void readResults();
  void accept(Entry& entry, PGresult* r);
  Failure failureOf(const PGresult* r) const;
  void die(Failure why);
  void wantWrite(bool on);

  // Set once
  Reactor& loop_;
  Owner& owner_;
  const std::string application_;
  const Time created_;

  PGconn* conn_ = nullptr;
  UniqueFd watched_fd_;  // a duplicate: libpq closes and replaces its socket while connecting
  std::uint64_t watched_inode_ = 0;
  std::unique_ptr<Reactor::FdWatch> watch_;
  State state_ = State::kConnecting;
  bool established_ = false;
  bool set_up_ = false;
  bool ever_ready_ = false;
  bool in_recovery_ = false;
  bool write_wanted_ = false;
  bool broken_ = false;                     // libpq refused to take something
  std::unique_ptr<Reactor::Handle> timer_;  // a death that must not happen inside a call
  std::deque<Entry> entries_;
  std::size_t commands_ = 0;
  std::vector<bool> prepared_;
  Failure prepare_failure_;
  Failure fatal_;  // the last words of a server that ends the session
  Time heard_;
  Time waiting_since_;
};

}  // namespace godwit::store::postgresql
