#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "godwit/result.h"

namespace godwit::store::postgresql {

// How to reach a database and how much of it to use. Sizes are per event loop.
struct Options {
  std::string url;  // libpq URI or keywords; host names are resolved off the loop

  std::size_t pool_size = 25;                      // connections kept
  std::size_t max_overflow = 10;                   // more under load, closed again when idle
  std::chrono::milliseconds pool_timeout{30'000};  // longest wait for a connection
  std::chrono::milliseconds pool_recycle{-1};      // age at which an idle connection is replaced
  std::size_t max_backlog = 4096;                  // units of work waiting for a connection
  // How long requests wait for a database that has gone away before they are refused at once.
  std::chrono::milliseconds ride_through{2000};
  std::chrono::milliseconds connect_timeout{10'000};

  // Units of one loop that write to the same list commit together; see ride.h.
  bool share_commits = true;

  std::uint64_t max_fetch_size = 10'000;  // objects of one list

  std::string read_url;  // a replica for reads that may be a little behind; "" for none
  std::chrono::milliseconds read_staleness{1000};  // how far behind at most

  Options() = default;
  explicit Options(std::string u) : url(std::move(u)) {}
};

// Reads `<prefix>url`, `<prefix>pool_size`, `<prefix>max_overflow` (or maxoverflow),
// `<prefix>pool_timeout`, `<prefix>pool_recycle` (seconds), `<prefix>max_backlog` and, for
// "storage_", max_fetch_size, share_commits (true or false), read_url,
// read_staleness_ms. Keys come without "kinto.". kInvalid
// names the setting that is wrong. Unknown keys are ignored (`poolclass` among them).
Result<Options> optionsFrom(const std::map<std::string, std::string>& settings,
                            std::string_view prefix);

// "postgres://", "postgresql://" and SQLAlchemy's "postgresql+driver://" as libpq reads them.
std::string libpqUrl(std::string_view url);
// Does this setting name a PostgreSQL database?
bool isPostgresUrl(std::string_view url);
// The URL without its password, for messages.
std::string publicUrl(std::string_view url);

}  // namespace godwit::store::postgresql
