#include "metrics/cursor_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/os_error.h"
#include "metrics/lane_files.h"

namespace godwit::metrics::spool {
namespace {

// 100,000 lanes take 3.2 MB; a larger file is not one of ours.
constexpr std::size_t kMaxSlotSize = 4u << 20;

struct Slot {
  std::uint64_t gen = 0;
  std::vector<CursorEntry> entries;
};

bool readSlot(int fd, std::uint64_t off, std::size_t slot_size, Slot& out) {
  std::vector<char> raw(slot_size);
  if (!preadAll(fd, raw.data(), raw.size(), off)) return false;
  CursorHeader h{};
  std::memcpy(&h, raw.data(), sizeof h);
  if (std::memcmp(h.magic, kCursorMagic, sizeof kCursorMagic) != 0) return false;
  if (h.n > cursorCapacity(slot_size) || cursorCrc(raw.data(), h.n) != h.crc) return false;
  out.gen = h.gen;
  out.entries.resize(h.n);
  if (h.n > 0) {
    std::memcpy(out.entries.data(), raw.data() + sizeof h, h.n * sizeof(CursorEntry));
  }
  return true;
}

std::vector<char> slotBytes(const std::vector<CursorEntry>& entries, std::uint64_t gen) {
  std::vector<char> raw(sizeof(CursorHeader) + entries.size() * sizeof(CursorEntry));
  CursorHeader h{};
  std::memcpy(h.magic, kCursorMagic, sizeof h.magic);
  h.gen = gen;
  h.n = static_cast<std::uint32_t>(entries.size());
  std::memcpy(raw.data(), &h, sizeof h);
  if (!entries.empty()) {
    std::memcpy(raw.data() + sizeof h, entries.data(), entries.size() * sizeof(CursorEntry));
  }
  h.crc = cursorCrc(raw.data(), h.n);
  std::memcpy(raw.data(), &h, sizeof h);
  return raw;
}

bool pwriteAll(int fd, const std::vector<char>& bytes, std::uint64_t off) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n =
        ::pwrite(fd, bytes.data() + done, bytes.size() - done, static_cast<off_t>(off + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    done += static_cast<std::size_t>(n);
  }
  return true;
}

std::size_t slotSizeOf(int fd) {
  struct stat st {};
  if (::fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return 0;
  const auto half = static_cast<std::size_t>(st.st_size) / 2;
  return half % kCursorSlotUnit == 0 && half <= kMaxSlotSize ? half : 0;
}

// Which of the two slots counts: 0, 1, or -1 for none.
int choose(int fd, std::size_t slot_size, Slot& best) {
  int active = -1;
  for (int i = 0; i < 2; ++i) {
    Slot s;
    if (readSlot(fd, static_cast<std::uint64_t>(i) * slot_size, slot_size, s) &&
        (active < 0 || s.gen > best.gen)) {
      best = std::move(s);
      active = i;
    }
  }
  return active;
}

}  // namespace

Result<CursorFile> CursorFile::open(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0660));
  if (!fd) return osError("open " + path);
  CursorFile f(path, std::move(fd));
  struct stat st {};
  if (::fstat(f.fd_.get(), &st) != 0) return osError("stat " + path);
  f.slot_size_ = slotSizeOf(f.fd_.get());
  if (f.slot_size_ == 0) {
    f.damaged_ = st.st_size != 0;
    f.slot_size_ = kCursorSlotUnit;
    if (::ftruncate(f.fd_.get(), static_cast<off_t>(2 * f.slot_size_)) != 0) {
      return osError("size " + path);
    }
    return f;
  }
  Slot best;
  f.active_ = choose(f.fd_.get(), f.slot_size_, best);
  f.damaged_ = f.active_ < 0;
  f.gen_ = best.gen;
  f.entries_ = std::move(best.entries);
  if (f.active_ < 0) f.active_ = 1;
  return f;
}

std::vector<CursorEntry> CursorFile::read(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return {};
  const std::size_t slot_size = slotSizeOf(fd.get());
  Slot best;
  if (slot_size > 0) choose(fd.get(), slot_size, best);
  return best.entries;
}

// A new file with room for twice the entries takes the place of the old one.
Result<void> CursorFile::grow(std::size_t entries) {
  std::size_t slot_size = slot_size_;
  while (cursorCapacity(slot_size) < 2 * entries) slot_size *= 2;
  if (slot_size > kMaxSlotSize) return Error(ErrorCode::kLimit, "too many lanes in " + path_);
  const std::string tmp = path_ + ".tmp";
  UniqueFd fd(::open(tmp.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0660));
  if (!fd) return osError("open " + tmp);
  if (::ftruncate(fd.get(), static_cast<off_t>(2 * slot_size)) != 0 ||
      !pwriteAll(fd.get(), slotBytes(entries_, gen_), slot_size) || ::fsync(fd.get()) != 0 ||
      ::rename(tmp.c_str(), path_.c_str()) != 0) {
    return osError("write " + tmp);
  }
  fd_ = std::move(fd);
  slot_size_ = slot_size;
  active_ = 1;
  return {};
}

Result<void> CursorFile::store(const std::vector<CursorEntry>& entries, bool sync) {
  if (entries.size() > cursorCapacity(slot_size_)) GODWIT_TRY(grow(entries.size()));
  const int target = 1 - active_;
  if (!pwriteAll(fd_.get(), slotBytes(entries, gen_ + 1),
                 static_cast<std::uint64_t>(target) * slot_size_)) {
    return osError("write " + path_);
  }
  if (sync && ::fdatasync(fd_.get()) != 0) return osError("sync " + path_);
  entries_ = entries;
  ++gen_;
  active_ = target;
  damaged_ = false;
  return {};
}

}  // namespace godwit::metrics::spool
