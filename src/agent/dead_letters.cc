#include "agent/dead_letters.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstring>
#include <thread>

#include "agent/files.h"
#include "agent/raw_bytes.h"
#include "base/crc32c.h"
#include "base/os_error.h"

namespace godwit::agent {
namespace {

constexpr std::uint64_t kFileBytes = 4u << 20;
constexpr std::size_t kFixed = 56;  // of a record, before reason and payload

// Record: u32 length of what follows, u32 crc32c of it, then i64 time, u128 lane, u64 seq,
// u32 index, u32 samples, u8 type, u8 0, u16 reason length, u32 payload length, reason, payload.

std::string encode(const DeadLetter& d) {
  std::string body;
  put(body, d.time_ns);
  put(body, d.lane.lo);
  put(body, d.lane.hi);
  put(body, d.seq);
  put(body, d.index);
  put(body, d.samples);
  put(body, static_cast<std::uint8_t>(d.type));
  put(body, std::uint8_t{0});
  std::string_view reason = std::string_view(d.reason).substr(0, 4096);
  put(body, static_cast<std::uint16_t>(reason.size()));
  put(body, static_cast<std::uint32_t>(d.payload.size()));
  body += reason;
  body += d.payload;
  std::string out;
  put(out, static_cast<std::uint32_t>(body.size()));
  put(out, crc32c(body.data(), body.size()));
  out += body;
  return out;
}

// Size of the record at the front of `s`, 0 if there is no sound one.
std::size_t decode(std::string_view s, DeadLetter& d) {
  if (s.size() < 8) return 0;
  auto n = get<std::uint32_t>(s, 0);
  if (n < kFixed - 8 || n > s.size() - 8) return 0;
  std::string_view b = s.substr(8, n);
  if (crc32c(b.data(), b.size()) != get<std::uint32_t>(s, 4)) return 0;
  d.time_ns = get<std::int64_t>(b, 0);
  d.lane.lo = get<std::uint64_t>(b, 8);
  d.lane.hi = get<std::uint64_t>(b, 16);
  d.seq = get<std::uint64_t>(b, 24);
  d.index = get<std::uint32_t>(b, 32);
  d.samples = get<std::uint32_t>(b, 36);
  d.type = static_cast<FrameType>(b[40]);
  auto reason = get<std::uint16_t>(b, 42);
  auto payload = get<std::uint32_t>(b, 44);
  if (std::uint64_t{48} + reason + payload != n) return 0;
  d.reason = b.substr(48, reason);
  d.payload = b.substr(48u + reason, payload);
  return n + 8;
}

std::uint64_t keyOf(const DeadLetter& d) {
  struct {
    std::uint64_t lo, hi, seq, index;
  } k{d.lane.lo, d.lane.hi, d.seq, d.index};
  std::uint64_t h = crc32c(&k, sizeof k, 1);
  return h << 32 | crc32c(&k, sizeof k, 2);
}

std::vector<std::uint64_t> listFiles(const std::string& dir) {
  std::vector<std::uint64_t> out;
  DIR* d = ::opendir(dir.c_str());
  if (!d) return out;
  while (const dirent* e = ::readdir(d)) {
    std::string_view name = e->d_name;
    std::uint64_t n = 0;
    auto r = std::from_chars(name.data(), name.data() + name.size(), n);
    if (r.ec == std::errc() && std::string_view(r.ptr) == ".dead") out.push_back(n);
  }
  ::closedir(d);
  std::sort(out.begin(), out.end());
  return out;
}

std::string fileName(const std::string& dir, std::uint64_t n) {
  std::string digits = std::to_string(n);
  return dir + "/" + std::string(digits.size() < 8 ? 8 - digits.size() : 0, '0') + digits + ".dead";
}

// Held by the agent for a flush, by the tools for a rewrite.
Result<UniqueFd> lockDir(const std::string& dir, std::chrono::milliseconds wait) {
  UniqueFd fd(::open((dir + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0660));
  if (!fd) return osError("open " + dir + "/lock");
  auto end = std::chrono::steady_clock::now() + wait;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return osError("lock " + dir);
    if (std::chrono::steady_clock::now() >= end) {
      return Error(ErrorCode::kUnavailable, dir + " is in use");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return fd;
}

}  // namespace

Result<DeadLetters> DeadLetters::open(const std::string& dir, std::uint64_t max_bytes) {
  if (::mkdir(dir.c_str(), 0770) != 0 && errno != EEXIST) return osError("create " + dir);
  DeadLetters d(dir, max_bytes);
  for (std::uint64_t n : listFiles(dir)) {
    d.file_no_ = std::max(d.file_no_, n);
    auto text = readFile(fileName(dir, n));
    if (!text) continue;
    std::string_view rest = *text;
    DeadLetter letter;
    while (std::size_t size = decode(rest, letter)) {
      d.keys_.insert(keyOf(letter));
      rest.remove_prefix(size);
    }
    std::size_t sound = text->size() - rest.size();
    if (!rest.empty()) {
      [[maybe_unused]] int r = ::truncate(fileName(dir, n).c_str(), static_cast<off_t>(sound));
    }
    d.bytes_ += sound;
  }
  return d;
}

bool DeadLetters::add(DeadLetter letter) {
  if (!keys_.insert(keyOf(letter)).second) return false;
  pending_ += encode(letter);
  return true;
}

Result<> DeadLetters::roll() {
  std::string path = fileName(dir_, ++file_no_);
  file_.reset(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0660));
  if (!file_) return osError("create " + path);
  file_bytes_ = 0;
  return {};
}

Result<> DeadLetters::flush() {
  if (pending_.empty()) return {};
  auto lock = lockDir(dir_, std::chrono::seconds(5));
  if (!lock) return lock.error();
  struct stat st {};
  // A tool may have rewritten the files meanwhile: never go on in one that has lost its name.
  bool orphan = file_ && (::fstat(file_.get(), &st) != 0 || st.st_nlink == 0);
  if (!file_ || orphan || file_bytes_ >= kFileBytes) GODWIT_TRY(roll());
  off_t start = ::lseek(file_.get(), 0, SEEK_END);
  std::string_view rest = pending_;
  while (!rest.empty()) {
    ssize_t n = ::write(file_.get(), rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      Error e = osError("write dead letters in " + dir_);
      [[maybe_unused]] int r = ::ftruncate(file_.get(), start);  // no half record
      return e;
    }
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  if (::fdatasync(file_.get()) != 0) return osError("flush dead letters in " + dir_);
  file_bytes_ += pending_.size();
  bytes_ += pending_.size();
  pending_.clear();
  expire();
  return {};
}

void DeadLetters::expire() {
  if (bytes_ <= max_) return;
  for (std::uint64_t n : listFiles(dir_)) {
    if (bytes_ <= max_ || n == file_no_) break;
    std::string path = fileName(dir_, n);
    auto text = readFile(path);
    if (!text || ::unlink(path.c_str()) != 0) continue;
    std::string_view rest = *text;
    DeadLetter letter;
    while (std::size_t size = decode(rest, letter)) {
      expired_ += letter.samples;
      keys_.erase(keyOf(letter));
      rest.remove_prefix(size);
    }
    bytes_ -= std::min<std::uint64_t>(bytes_, text->size());
  }
}

std::string deadIdText(DeadId id) {
  return std::to_string(id.file) + ":" + std::to_string(id.offset);
}

bool parseDeadId(std::string_view text, DeadId& out) {
  const char* end = text.data() + text.size();
  auto a = std::from_chars(text.data(), end, out.file);
  if (a.ec != std::errc() || a.ptr == end || *a.ptr != ':') return false;
  auto b = std::from_chars(a.ptr + 1, end, out.offset);
  return b.ec == std::errc() && b.ptr == end;
}

void readDeadLetters(const std::string& dir,
                     const std::function<bool(DeadId, const DeadLetter&)>& each) {
  for (std::uint64_t n : listFiles(dir)) {
    auto text = readFile(fileName(dir, n));
    if (!text) continue;
    std::string_view rest = *text;
    DeadLetter letter;
    while (std::size_t size = decode(rest, letter)) {
      if (!each({n, text->size() - rest.size()}, letter)) return;
      rest.remove_prefix(size);
    }
  }
}

Result<std::uint64_t> dropDeadLetters(const std::string& dir,
                                      const std::function<bool(DeadId, const DeadLetter&)>& drop) {
  auto lock = lockDir(dir, std::chrono::seconds(5));
  if (!lock) return std::move(lock).error();
  std::uint64_t dropped = 0;
  for (std::uint64_t n : listFiles(dir)) {
    std::string path = fileName(dir, n);
    auto text = readFile(path);
    if (!text) continue;
    std::string_view rest = *text;
    std::string keep;
    DeadLetter letter;
    std::uint64_t here = 0;
    while (std::size_t size = decode(rest, letter)) {
      if (drop({n, text->size() - rest.size()}, letter)) {
        ++here;
      } else {
        keep.append(rest.substr(0, size));
      }
      rest.remove_prefix(size);
    }
    if (here == 0) continue;
    dropped += here;
    if (keep.empty()) {
      if (::unlink(path.c_str()) != 0) return osError("remove " + path);
    } else {
      GODWIT_TRY(writeFileDurably(path, keep));
    }
  }
  return dropped;
}

}  // namespace godwit::agent
