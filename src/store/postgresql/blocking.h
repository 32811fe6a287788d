#pragma once

#include <libpq-fe.h>

#include <memory>
#include <string>
#include <vector>

#include "godwit/deadline.h"
#include "godwit/result.h"
#include "store/postgresql/params.h"
#include "store/postgresql/reply.h"

namespace godwit::store::postgresql {

// A plain synchronous connection, for command-line tools. One thread; every call blocks, at most
// until the deadline it was opened with (the server ends statements then).
class BlockingConnection {
 public:
  static Result<BlockingConnection> open(const std::string& url, Deadline deadline);

  // Several statements, no parameters, no rows wanted.
  Result<void> script(const std::string& sql);
  Result<Reply> query(const std::string& sql, const Params& params = Params());

  [[nodiscard]] PGconn* native() const { return conn_.get(); }

 private:
  struct Finish {
    void operator()(PGconn* c) const { PQfinish(c); }
  };
  explicit BlockingConnection(PGconn* c) : conn_(c) {}
  Error errorOf(const PGresult* r) const;
  std::unique_ptr<PGconn, Finish> conn_;
};

}  // namespace godwit::store::postgresql
