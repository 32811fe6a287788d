// One publisher's account, kept in its cursor file together with its places in the log, so that
// both survive a kill -9 as one: received = published + dead + dropped{reason} + spooled.
// docs/formats/agent-cursor.md. One thread, but for counts().
#pragma once

#include <array>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "agent/log_reader.h"
#include "metrics/cursor_file.h"

namespace godwit::agent {

// Stored on disk by number: new ones go to the end.
enum class Drop : std::uint8_t {
  kNan,           // NaN or infinite: the target has no notation for it
  kEmptyName,     //
  kOversize,      // one line above the target's bound
  kUnsupported,   // this kind of sample has no place at this target
  kSpoolFull,     // removed from the spool before this publisher had read it
  kCorrupt,       // failed its checksum
  kTail,          // the producer had counted it, and died before it was whole
  kMiscounted,    // the frame said there were more samples than there are
  kUnknownFrame,  // a type of a later version
  kAtMostOnce,    // a crash fell between the cursor and a send that must not be repeated
  kDisabled,      // the publisher is switched off and not required
  kCount,
};
inline constexpr std::size_t kDrops = static_cast<std::size_t>(Drop::kCount);
std::string_view dropName(Drop reason);

// In samples.
struct Counts {
  std::uint64_t published = 0;
  std::uint64_t dead = 0;
  std::uint64_t skipped = 0;  // was gone from the log before this publisher began; not consumed
  std::array<std::uint64_t, kDrops> dropped{};

  [[nodiscard]] std::uint64_t droppedTotal() const;
  [[nodiscard]] std::uint64_t consumed() const { return published + dead + droppedTotal(); }
  Counts& operator+=(const Counts& other);
  // May pass below zero and come back: arithmetic is modulo 2^64.
  Counts& operator-=(const Counts& other);
  friend bool operator==(const Counts&, const Counts&) = default;
};

class Ledger {
 public:
  static Result<Ledger> open(const std::string& path);

  [[nodiscard]] const Places& places() const { return places_; }
  [[nodiscard]] const Counts& counts() const { return counts_; }
  // Never stored before.
  [[nodiscard]] bool isNew() const { return file_.generation() == 0 && !file_.damaged(); }
  [[nodiscard]] bool damaged() const { return file_.damaged(); }

  // In memory; `places` of lanes not in `keep` any more are forgotten at the next store.
  void add(const Places& places, const Counts& counts);
  // Takes over a state that was made durable elsewhere.
  void replace(Places places, Counts counts);
  void forget(const std::vector<LanePtr>& existing);
  // Makes it durable.
  Result<> store();

 private:
  explicit Ledger(spool::CursorFile file) : file_(std::move(file)) {}

  spool::CursorFile file_;
  Places places_;
  Counts counts_;
};

// Pseudo lanes of the cursor file.
void toEntries(const Places& places, const Counts& counts, std::vector<spool::CursorEntry>& out);
void fromEntries(const std::vector<spool::CursorEntry>& entries, Places& places, Counts& counts);

}  // namespace godwit::agent
