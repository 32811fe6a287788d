#include "metrics/lane_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>

namespace godwit::metrics::spool {
namespace {

struct CloseDir {
  void operator()(DIR* d) const { closedir(d); }
};
using DirStream = std::unique_ptr<DIR, CloseDir>;

template <class T, std::size_t N>
T field(const std::array<char, N>& raw, std::size_t off) {
  T v{};
  std::memcpy(&v, raw.data() + off, sizeof v);
  return v;
}

std::vector<std::uint64_t> listStream(DIR* stream) {
  std::vector<std::uint64_t> out;
  const DirStream d(stream);
  if (!d) return out;
  while (const dirent* e = readdir(d.get())) {
    if (const auto n = segmentNumber(e->d_name)) out.push_back(*n);
  }
  std::sort(out.begin(), out.end());
  return out;
}

struct flock wholeFile() {
  struct flock l {};
  l.l_type = F_WRLCK;
  l.l_whence = SEEK_SET;
  return l;
}

}  // namespace

std::string segmentName(std::uint64_t seg_no, std::string_view suffix) {
  std::string digits = std::to_string(seg_no);
  if (digits.size() < 8) digits.insert(0, 8 - digits.size(), '0');
  return digits.append(suffix);
}

std::optional<std::uint64_t> segmentNumber(std::string_view name) {
  constexpr std::string_view kSuffix = ".seg";
  if (name.size() < 8 + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  name.remove_suffix(kSuffix.size());
  std::uint64_t n = 0;
  const auto r = std::from_chars(name.data(), name.data() + name.size(), n);
  if (r.ec != std::errc{} || r.ptr != name.data() + name.size() || n == 0) return std::nullopt;
  return n;
}

std::vector<std::uint64_t> listSegments(const std::string& dir) {
  return listStream(opendir(dir.c_str()));
}

std::vector<std::uint64_t> listSegments(int dir_fd) {
  const int fd = ::openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return {};
  DIR* stream = fdopendir(fd);
  if (!stream) ::close(fd);
  return listStream(stream);
}

std::vector<std::string> listLanes(const std::string& spool_dir) {
  std::vector<std::string> out;
  const DirStream d(opendir((spool_dir + "/" + kLanesDir).c_str()));
  if (!d) return out;
  while (const dirent* e = readdir(d.get())) {
    const std::string_view name = e->d_name;
    // "<slot>-…": files, dot files and half-made directories do not look like this.
    if (name.size() > 4 && name[3] == '-' && name.find('.') == std::string_view::npos) {
      out.emplace_back(name);
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

bool lockFile(int fd) {
  struct flock l = wholeFile();
  return ::fcntl(fd, F_OFD_SETLK, &l) == 0;
}

bool lockedByOther(int fd) {
  struct flock l = wholeFile();
  return ::fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}

std::optional<UniqueFd> tryLockLane(const std::string& lane_dir) {
  UniqueFd fd(
      ::open((lane_dir + "/" + kLaneFile).c_str(), O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!fd || !lockFile(fd.get())) return std::nullopt;
  return fd;
}

bool preadAll(int fd, void* out, std::size_t size, std::uint64_t off) {
  auto* p = static_cast<char*>(out);
  while (size > 0) {
    const ssize_t n = ::pread(fd, p, size, static_cast<off_t>(off));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    off += static_cast<std::uint64_t>(n);
    size -= static_cast<std::size_t>(n);
  }
  return true;
}

SegmentInfo readSegmentInfo(int fd) {
  SegmentInfo info;
  std::array<char, kSegmentHeaderSize> raw{};
  if (!preadAll(fd, raw.data(), raw.size(), 0)) return info;
  info.sound = std::memcmp(raw.data(), kSegmentMagic, sizeof kSegmentMagic) == 0 &&
               field<std::uint32_t>(raw, offsetof(SegmentHeader, version)) == kFormatVersion &&
               crc32c(raw.data(), offsetof(SegmentHeader, crc)) ==
                   field<std::uint32_t>(raw, offsetof(SegmentHeader, crc));
  if (!info.sound) return info;
  info.lane_id = field<LaneId>(raw, offsetof(SegmentHeader, lane_id));
  info.seg_no = field<std::uint64_t>(raw, offsetof(SegmentHeader, seg_no));
  info.base_seq = field<std::uint64_t>(raw, offsetof(SegmentHeader, base_seq));
  info.created_ns = field<std::int64_t>(raw, offsetof(SegmentHeader, created_ns));
  info.size = field<std::uint32_t>(raw, offsetof(SegmentHeader, size));
  info.commit_off = field<std::uint64_t>(raw, offsetof(SegmentHeader, commit_off));
  info.last_seq = field<std::uint64_t>(raw, offsetof(SegmentHeader, last_seq));
  const auto base_samples = field<std::uint64_t>(raw, offsetof(SegmentHeader, base_samples));
  if (crc32c(&base_samples, sizeof base_samples, frameSeed(info.lane_id, info.seg_no)) ==
      field<std::uint32_t>(raw, offsetof(SegmentHeader, base_samples_crc))) {
    info.base_samples = base_samples;
  }
  return info;
}

LaneInfo readLaneInfo(int fd) {
  LaneInfo info;
  std::array<char, sizeof(LaneHeader)> raw{};
  if (!preadAll(fd, raw.data(), raw.size(), 0)) return info;
  if (std::memcmp(raw.data(), kLaneMagic, sizeof kLaneMagic) != 0) return info;
  const bool crc = crc32c(raw.data(), offsetof(LaneHeader, crc)) ==
                   field<std::uint32_t>(raw, offsetof(LaneHeader, crc));
  const bool version = field<std::uint32_t>(raw, offsetof(LaneHeader, version)) == kFormatVersion;
  // Another version may compute its CRC otherwise, so the version decides before the CRC does.
  info.other_version = !version;
  info.sound = version && crc;
  if (!info.sound) return info;
  info.lane_id = field<LaneId>(raw, offsetof(LaneHeader, lane_id));
  info.slot = field<std::uint32_t>(raw, offsetof(LaneHeader, slot));
  info.pid = field<std::uint64_t>(raw, offsetof(LaneHeader, pid));
  info.created_ns = field<std::int64_t>(raw, offsetof(LaneHeader, created_ns));
  info.frames = field<std::uint64_t>(raw, offsetof(LaneHeader, frames_total));
  info.samples = field<std::uint64_t>(raw, offsetof(LaneHeader, samples_total));
  info.bytes = field<std::uint64_t>(raw, offsetof(LaneHeader, bytes_total));
  info.ts_ahead_us = field<std::uint64_t>(raw, offsetof(LaneHeader, ts_ahead_us));
  info.clock_hold_ns = field<std::uint64_t>(raw, offsetof(LaneHeader, clock_hold_ns));
  for (std::size_t i = 0; i < kDropReasons; ++i) {
    info.dropped_frames[i] =
        field<std::uint64_t>(raw, offsetof(LaneHeader, dropped_frames) + 8 * i);
    info.dropped_samples[i] =
        field<std::uint64_t>(raw, offsetof(LaneHeader, dropped_samples) + 8 * i);
  }
  return info;
}

}  // namespace godwit::metrics::spool
