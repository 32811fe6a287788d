#include "ops/backup_file.h"

#include <unistd.h>
#include <zstd.h>

#include <cstring>
#include <memory>

#include "base/os_error.h"
#include "json/value.h"
#include "ops/durable_file.h"
#include "ops/sha256.h"

namespace godwit::ops {
namespace {

constexpr std::uint32_t kSkippable = 0x184D2A50;  // RFC 8878 section 3.1.2
constexpr std::size_t kMaxInfo = 4096;
constexpr std::size_t kChunk = std::size_t{256} << 10;
constexpr int kVersion = 1;
constexpr int kLevel = 3;

void putLe32(std::string& out, std::uint32_t n) {
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>((n >> shift) & 0xFF);
}

std::uint32_t le32(const unsigned char* p) {
  return static_cast<std::uint32_t>(p[0]) | static_cast<std::uint32_t>(p[1]) << 8 |
         static_cast<std::uint32_t>(p[2]) << 16 | static_cast<std::uint32_t>(p[3]) << 24;
}

// Less than asked for only at the end.
Result<std::size_t> readAt(int fd, std::uint64_t offset, char* to, std::size_t size) {
  std::size_t got = 0;
  while (got < size) {
    ssize_t n = ::pread(fd, to + got, size - got, static_cast<off_t>(offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return osError("read");
    if (n == 0) break;
    got += static_cast<std::size_t>(n);
  }
  return got;
}

std::string frameOf(const BackupInfo& info) {
  json::Value v = json::Value::object();
  v.asObject().set("godwit", "backup");
  v.asObject().set("version", kVersion);
  v.asObject().set("made", info.made);
  v.asObject().set("schema", info.schema);
  v.asObject().set("bytes", info.bytes);
  v.asObject().set("sha256", info.sha256);
  v.asObject().set("objects", info.objects);
  v.asObject().set("tombstones", info.tombstones);
  std::string text = json::dump(v);
  std::string out;
  putLe32(out, kSkippable);
  putLe32(out, static_cast<std::uint32_t>(text.size()));
  return out + text;
}

std::uint64_t number(const json::Value& v, const char* key) {
  const json::Value* n = v.get(key);
  return n ? static_cast<std::uint64_t>(n->toInt().value_or(0)) : 0;
}

std::string text(const json::Value& v, const char* key) {
  const json::Value* s = v.get(key);
  return s && s->isString() ? s->asString() : "";
}

Error notABackup() { return Error(ErrorCode::kInvalid, "it is not a backup of godwit"); }
Error damaged(const std::string& why) {
  return Error(ErrorCode::kInvalid, "the backup is damaged: " + why);
}

}  // namespace

Result<void> measure(int fd, BackupInfo& info) {
  Sha256 hash;
  std::string chunk(kChunk, '\0');
  info.bytes = 0;
  for (;;) {
    auto n = readAt(fd, info.bytes, chunk.data(), chunk.size());
    if (!n.ok()) return std::move(n).error();
    hash.add(std::string_view(chunk.data(), *n));
    info.bytes += *n;
    if (*n < chunk.size()) break;
  }
  info.sha256 = hash.hex();
  return {};
}

Result<void> compressDatabase(int database, const BackupInfo& info, int out,
                              const Bytes& progress) {
  GODWIT_TRY(writeAll(out, frameOf(info)));
  std::unique_ptr<ZSTD_CCtx, std::size_t (*)(ZSTD_CCtx*)> zstd(ZSTD_createCCtx(), ZSTD_freeCCtx);
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_compressionLevel, kLevel);
  ZSTD_CCtx_setParameter(zstd.get(), ZSTD_c_checksumFlag, 1);
  std::string from(kChunk, '\0');
  std::string to(ZSTD_CStreamOutSize(), '\0');
  std::uint64_t done = 0;
  for (bool last = false; !last;) {
    auto n = readAt(database, done, from.data(), from.size());
    if (!n.ok()) return std::move(n).error();
    done += *n;
    last = *n < from.size();
    ZSTD_inBuffer in{from.data(), *n, 0};
    ZSTD_EndDirective how = last ? ZSTD_e_end : ZSTD_e_continue;
    for (std::size_t left = 1; left != 0;) {
      ZSTD_outBuffer buffer{to.data(), to.size(), 0};
      left = ZSTD_compressStream2(zstd.get(), &buffer, &in, how);
      if (ZSTD_isError(left) != 0) {
        return Error(ErrorCode::kInternal, std::string("compress: ") + ZSTD_getErrorName(left));
      }
      GODWIT_TRY(writeAll(out, std::string_view(to.data(), buffer.pos)));
      if (!last && in.pos == in.size) break;
    }
    if (progress) progress(done, info.bytes);
  }
  return {};
}

Result<BackupInfo> readBackupInfo(int fd, std::uint64_t& data_offset) {
  unsigned char head[8];
  auto n = readAt(fd, 0, reinterpret_cast<char*>(head), sizeof head);
  if (!n.ok()) return std::move(n).error();
  if (*n < sizeof head || le32(head) != kSkippable || le32(head + 4) > kMaxInfo) {
    return notABackup();
  }
  std::string frame(le32(head + 4), '\0');
  n = readAt(fd, sizeof head, frame.data(), frame.size());
  if (!n.ok()) return std::move(n).error();
  auto v = json::parse(frame);
  if (*n < frame.size() || !v.ok() || text(*v, "godwit") != "backup") return notABackup();
  if (number(*v, "version") != kVersion) {
    return Error(ErrorCode::kUnsupported, "the backup is of a version this program does not know");
  }
  BackupInfo info;
  info.made = text(*v, "made");
  info.sha256 = text(*v, "sha256");
  info.bytes = number(*v, "bytes");
  info.objects = number(*v, "objects");
  info.tombstones = number(*v, "tombstones");
  info.schema = static_cast<int>(number(*v, "schema"));
  data_offset = sizeof head + frame.size();
  return info;
}

Result<BackupInfo> expandBackup(int backup, int out, const Bytes& progress) {
  std::uint64_t offset = 0;
  auto info = readBackupInfo(backup, offset);
  if (!info.ok()) return info;
  std::unique_ptr<ZSTD_DCtx, std::size_t (*)(ZSTD_DCtx*)> zstd(ZSTD_createDCtx(), ZSTD_freeDCtx);
  std::string from(kChunk, '\0');
  std::string to(ZSTD_DStreamOutSize(), '\0');
  Sha256 hash;
  std::uint64_t done = 0;
  std::size_t left = 1;
  bool begun = false;
  for (;;) {
    auto n = readAt(backup, offset, from.data(), from.size());
    if (!n.ok()) return std::move(n).error();
    if (*n == 0) break;
    offset += *n;
    ZSTD_inBuffer in{from.data(), *n, 0};
    bool full = false;
    while (in.pos < in.size || full) {
      if (left == 0 && begun) return damaged("something follows its end");
      begun = true;
      ZSTD_outBuffer buffer{to.data(), to.size(), 0};
      left = ZSTD_decompressStream(zstd.get(), &buffer, &in);
      if (ZSTD_isError(left) != 0) return damaged(ZSTD_getErrorName(left));
      full = buffer.pos == buffer.size && left != 0;
      std::string_view piece(to.data(), buffer.pos);
      done += piece.size();
      // No more than was promised: a hostile file must not fill the disk.
      if (done > info->bytes) return damaged("it is larger than it says");
      hash.add(piece);
      if (out >= 0) GODWIT_TRY(writeAll(out, piece));
    }
    if (progress) progress(done, info->bytes);
  }
  if (left != 0) return damaged("its end is missing");
  if (done != info->bytes || hash.hex() != info->sha256) return damaged("the checksum is wrong");
  return info;
}

}  // namespace godwit::ops
