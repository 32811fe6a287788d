#include "store/postgresql/connection.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string_view>
#include <utility>

#include "base/log.h"
#include "store/postgresql/sql.h"

namespace godwit::store::postgresql {

namespace {

// The server then notices within a second that a client has gone, also while a statement runs.
constexpr const char* kCheckClient =
    "SELECT set_config('client_connection_check_interval', '1000', false)";
constexpr int kCheckClientSince = 140000;

std::string trimmed(const char* s) {
  std::string out = s ? s : "";
  for (char& c : out) {
    if (c == '\n' || c == '\t') c = ' ';
  }
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  return out;
}

}  // namespace

Connection::Connection(Reactor& loop, Owner& owner, std::string application)
    : loop_(loop),
      owner_(owner),
      application_(std::move(application)),
      created_(Deadline::Clock::now()),
      heard_(created_),
      waiting_since_(created_) {}

Connection::~Connection() { close(); }

void Connection::connect(const std::string& url,
                         const std::vector<std::pair<std::string, std::string>>& overrides) {
  // Before dbname: defaults that the URL may change. After it: what it may not. A peer that no
  // longer acknowledges is dropped after five seconds, however patient the request is.
  std::vector<const char*> keys = {
      "fallback_application_name", "gssencmode",       "keepalives_idle", "keepalives_interval",
      "keepalives_count",          "tcp_user_timeout", "dbname",          "client_encoding"};
  std::vector<const char*> values = {application_.c_str(), "disable", "5", "2", "3", "5000",
                                     url.c_str(),          "UTF8"};
  for (const auto& [key, value] : overrides) {
    keys.push_back(key.c_str());
    values.push_back(value.c_str());
  }
  keys.push_back(nullptr);
  values.push_back(nullptr);
  conn_ = PQconnectStartParams(keys.data(), values.data(), 1);
  if (!conn_ || PQstatus(conn_) == CONNECTION_BAD) {
    Failure why;
    why.lost = true;
    why.message = conn_ ? trimmed(PQerrorMessage(conn_)) : "out of memory";
    // Not from inside connect(): the owner is still busy creating us.
    watch_.reset();
    fatal_ = why;
    auto* self = this;
    timer_ = loop_.timer(Deadline::after({}), [self] { self->die(self->fatal_); });
    return;
  }
  PQsetNoticeProcessor(
      conn_,
      [](void*, const char* text) {
        log::debug("postgresql notice", {{"text", std::string_view(text)}});
      },
      nullptr);
  watchSocket();
  watch_->want(Reactor::kWritable);
}

// libpq may close its socket and open another (next address, TLS retry), perhaps under the same
// number. The watch therefore sits on a duplicate and is renewed when the file behind changes.
void Connection::watchSocket() {
  int fd = PQsocket(conn_);
  if (fd < 0) return;
  struct stat st {};
  if (::fstat(fd, &st) != 0) return;
  if (watch_ && st.st_ino == watched_inode_) return;
  watch_.reset();
  watched_fd_.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  watched_inode_ = st.st_ino;
  watch_ = loop_.watch(watched_fd_.get(), [this](unsigned ev) { onEvent(ev); });
}

void Connection::onEvent(unsigned events) {
  if (state_ == State::kClosed) return;
  if (PQpipelineStatus(conn_) == PQ_PIPELINE_OFF) return poll();
  if (events & Reactor::kReadable) {
    heard_ = Deadline::Clock::now();
    bool alive = PQconsumeInput(conn_) == 1;
    readResults();  // also what came before the end
    if (state_ == State::kClosed) return;
    if (!alive || PQstatus(conn_) == CONNECTION_BAD) {
      Failure why = fatal_;
      if (why.message.empty()) why.message = trimmed(PQerrorMessage(conn_));
      why.lost = true;
      return die(std::move(why));
    }
  }
  flush();
}

void Connection::poll() {
  auto step = PQconnectPoll(conn_);
  heard_ = Deadline::Clock::now();
  switch (step) {
    case PGRES_POLLING_FAILED: {
      Failure why;
      why.lost = true;
      why.message = trimmed(PQerrorMessage(conn_));
      // libpq gives no SQLSTATE for a refused connection; only the words tell.
      if (why.message.find("too many") != std::string::npos ||
          why.message.find("remaining connection slots") != std::string::npos) {
        why.sqlstate = "53300";
      }
      return die(std::move(why));
    }
    case PGRES_POLLING_OK:
      watchSocket();
      return setUp();
    case PGRES_POLLING_READING:
    case PGRES_POLLING_WRITING:
    default:
      established_ = established_ || PQstatus(conn_) >= CONNECTION_MADE;
      if (PQstatus(conn_) == CONNECTION_STARTED) established_ = false;
      watchSocket();
      watch_->want(step == PGRES_POLLING_READING ? Reactor::kReadable : Reactor::kWritable);
  }
}

void Connection::setUp() {
  Failure why;
  why.lost = true;
  const char* encoding = PQparameterStatus(conn_, "server_encoding");
  if (encoding && std::string_view(encoding) != "UTF8") {
    why.message = std::string("the database's encoding is ") + encoding + ", not UTF8";
    return die(std::move(why));
  }
  if (PQsetnonblocking(conn_, 1) != 0 || PQenterPipelineMode(conn_) != 1 ||
      PQsendQueryParams(conn_, sql::kSession.data(), 0, nullptr, nullptr, nullptr, nullptr, 1) !=
          1 ||
      PQpipelineSync(conn_) != 1) {
    why.message = trimmed(PQerrorMessage(conn_));
    return die(std::move(why));
  }
  entries_.push_back({Entry::Kind::kSetup, nullptr});
  entries_.push_back({Entry::Kind::kSync, nullptr});
  if (PQserverVersion(conn_) >= kCheckClientSince) {
    PQsendQueryParams(conn_, kCheckClient, 0, nullptr, nullptr, nullptr, nullptr, 1);
    PQpipelineSync(conn_);
    entries_.push_back({Entry::Kind::kOptional, nullptr});
    entries_.push_back({Entry::Kind::kSync, nullptr});
  }
  watch_->want(Reactor::kReadable);
  flush();
}

void Connection::finishSetup(PGresult* r) {
  if (PQresultStatus(r) != PGRES_TUPLES_OK) {
    Failure why = failureOf(r);
    why.lost = true;
    return die(std::move(why));
  }
  in_recovery_ = *PQgetvalue(r, 0, PQnfields(r) - 1) != 0;
  set_up_ = true;
}

void Connection::send(CommandPtr command) {
  const Statement& s = *command->statement;
  if (commands_ == 0) waiting_since_ = Deadline::Clock::now();
  ++command->attempts;
  bool ok = true;
  if (s.slot == Statement::kUnprepared) {
    ok = PQsendQueryParams(conn_, s.sql.c_str(), command->params.size(), nullptr,
                           command->params.values(), command->params.lengths(),
                           command->params.formats(), 1) == 1;
  } else {
    if (prepared_.size() <= s.slot) prepared_.resize(s.slot + 1);
    if (!prepared_[s.slot]) {
      ok = PQsendPrepare(conn_, s.name.c_str(), s.sql.c_str(), 0, nullptr) == 1;
      // Taken back when the answer is an error or the group is skipped.
      prepared_[s.slot] = true;
      entries_.push_back({Entry::Kind::kPrepare, command});
    }
    ok = ok && PQsendQueryPrepared(conn_, s.name.c_str(), command->params.size(),
                                   command->params.values(), command->params.lengths(),
                                   command->params.formats(), 1) == 1;
  }
  entries_.push_back({Entry::Kind::kCommand, std::move(command)});
  ++commands_;
  // Only memory or a dead socket make these calls fail; the next event says which.
  if (!ok) log::debug("postgresql send failed", {{"reason", trimmed(PQerrorMessage(conn_))}});
  broken_ = broken_ || !ok;
}

void Connection::sync() {
  broken_ = PQpipelineSync(conn_) != 1 || broken_;
  entries_.push_back({Entry::Kind::kSync, nullptr});
}

void Connection::flush() {
  if (state_ == State::kClosed) return;
  int left = PQflush(conn_);
  if (left < 0 || broken_) {
    // Dying is left to the loop: our caller may be in the middle of something.
    auto* self = this;
    if (!timer_) {
      timer_ = loop_.timer(Deadline::after({}), [self] {
        if (self->state_ == State::kClosed) return;
        Failure why = self->fatal_;
        why.lost = true;
        if (why.message.empty()) why.message = trimmed(PQerrorMessage(self->conn_));
        self->die(std::move(why));
      });
    }
    return;
  }
  wantWrite(left == 1);
}

void Connection::wantWrite(bool on) {
  if (on == write_wanted_) return;
  write_wanted_ = on;
  watch_->want(Reactor::kReadable | (on ? Reactor::kWritable : 0u));
}

void Connection::readResults() {
  bool any = false;
  unsigned nulls = 0;
  while (state_ != State::kClosed && !entries_.empty() && !PQisBusy(conn_)) {
    PGresult* r = PQgetResult(conn_);
    if (!r) {
      Entry& front = entries_.front();
      if (front.answered) {
        Entry done = std::move(front);
        entries_.pop_front();
        nulls = 0;
        if (done.kind == Entry::Kind::kCommand) {
          --commands_;
          if (commands_ > 0) waiting_since_ = heard_;
          any = true;
          owner_.onReply(*this, std::move(done.command));
        }
      } else if (++nulls > 1) {
        break;
      }
      continue;
    }
    nulls = 0;
    accept(entries_.front(), r);
  }
  if (any) owner_.onTurn(*this);
}

void Connection::accept(Entry& entry, PGresult* r) {
  auto status = PQresultStatus(r);
  if (status == PGRES_PIPELINE_SYNC) {
    PQclear(r);
    if (entry.kind == Entry::Kind::kSync) entries_.pop_front();
    if (state_ == State::kConnecting && set_up_ && entries_.empty()) {
      state_ = State::kReady;
      ever_ready_ = true;
      owner_.onReady(*this);
    }
    return;
  }
  entry.answered = true;
  switch (entry.kind) {
    case Entry::Kind::kPrepare:
      if (status != PGRES_COMMAND_OK) {
        prepared_[entry.command->statement->slot] = false;
        // The command itself is answered as skipped; it takes its reason from here.
        if (status == PGRES_FATAL_ERROR) prepare_failure_ = failureOf(r);
      }
      PQclear(r);
      return;
    case Entry::Kind::kCommand: {
      Command& command = *entry.command;
      if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) {
        command.skipped = false;
        command.reply = Reply(r);
        return;
      }
      Failure f = failureOf(r);
      // 26000: its preparation was skipped in an earlier group.
      command.skipped = status == PGRES_PIPELINE_ABORTED || f.is("26000");
      PQclear(r);
      if (command.skipped && !prepare_failure_.sqlstate.empty()) {
        f = std::exchange(prepare_failure_, Failure());
        command.skipped = false;
      }
      if (f.fatal()) {
        f.lost = true;
        fatal_ = f;
      }
      command.reply = Reply(std::move(f));
      return;
    }
    case Entry::Kind::kSetup:
      finishSetup(r);
      PQclear(r);
      return;
    case Entry::Kind::kOptional:
    case Entry::Kind::kSync:
      PQclear(r);
      return;
  }
}

Failure Connection::failureOf(const PGresult* r) const {
  Failure f;
  auto field = [r](int code) {
    const char* s = PQresultErrorField(r, code);
    return std::string(s ? s : "");
  };
  f.sqlstate = field(PG_DIAG_SQLSTATE);
  f.constraint = field(PG_DIAG_CONSTRAINT_NAME);
  f.message = field(PG_DIAG_MESSAGE_PRIMARY);
  if (f.message.empty()) f.message = trimmed(PQresultErrorMessage(r));
  // libpq's own results for a connection that broke carry no SQLSTATE.
  if (f.sqlstate.empty() && PQresultStatus(r) == PGRES_FATAL_ERROR) f.lost = true;
  return f;
}

void Connection::die(Failure why) {
  if (state_ == State::kClosed) return;
  auto lost = close();
  owner_.onClosed(*this, why, std::move(lost));
}

std::deque<CommandPtr> Connection::close() {
  state_ = State::kClosed;
  watch_.reset();
  watched_fd_.reset();
  if (conn_) PQfinish(std::exchange(conn_, nullptr));
  std::deque<CommandPtr> lost;
  for (auto& e : entries_) {
    if (e.kind == Entry::Kind::kCommand) lost.push_back(std::move(e.command));
  }
  entries_.clear();
  commands_ = 0;
  return lost;
}

bool Connection::idle() const {
  return ready() && !broken_ && entries_.empty() && PQtransactionStatus(conn_) == PQTRANS_IDLE;
}

int Connection::backendPid() const { return conn_ ? PQbackendPID(conn_) : 0; }

}  // namespace godwit::store::postgresql
