#include "ops/file_sink.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/os_error.h"
#include "ops/durable_file.h"
#include "ops/line_reader.h"
#include "ops/row_text.h"

namespace godwit::ops {
namespace {

constexpr std::size_t kBuffer = std::size_t{1} << 20;

std::pair<std::string, std::string> keyOf(const store::Ref& ref) {
  return {ref.parent, ref.resource};
}

std::string hex(std::uint32_t n) {
  char text[9];
  std::snprintf(text, sizeof text, "%08x", n);
  return text;
}

}  // namespace

Result<std::unique_ptr<FileSink>> FileSink::open(const Request& request) {
  std::unique_ptr<FileSink> sink(new FileSink(request));
  if (request.path == "-") {
    sink->fd_ = STDOUT_FILENO;
    GODWIT_TRY(sink->writeHeader());
    return sink;
  }
  if (!request.replace && ::access(request.path.c_str(), F_OK) == 0) {
    return Error(ErrorCode::kConflict, request.path + " exists (hint: --yes replaces it)");
  }
  GODWIT_TRY(sink->openPart());
  return sink;
}

Result<void> FileSink::openPart() {
  std::string part = request_.path + ".part";
  // Its records are as secret as the store they come from.
  own_ = UniqueFd(::open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!own_) return osError("open " + part);
  fd_ = own_.get();
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    return Error(ErrorCode::kConflict, "another export writes " + part);
  }
  GODWIT_TRY(readPart());
  return {};
}

Result<void> FileSink::readPart() {
  LineReader lines(fd_, 0);
  std::uint64_t good = 0;
  std::string_view text;
  for (;;) {
    auto more = lines.next(text);
    if (!more.ok()) return std::move(more).error();
    if (!*more) break;
    auto line = parseLine(text, false);
    // A torn end: from here on it is written again.
    if (!line.ok() || line->kind == Line::Kind::kFinish) break;
    if ((good == 0) != (line->kind == Line::Kind::kHeader)) break;
    if (line->kind == Line::Kind::kHeader) {
      if (line->from != request_.from || line->permissions != request_.permissions) {
        return Error(ErrorCode::kConflict, request_.path + ".part is an interrupted export of " +
                                               line->from +
                                               (line->permissions ? "" : " without permissions") +
                                               " (hint: remove it to start anew)");
      }
    } else if (line->kind == Line::Kind::kList) {
      open_list_ = line->list.ref;
      lists_[keyOf(*open_list_)];
    } else if (!open_list_) {
      break;
    } else if (line->kind == Line::Kind::kEnd) {
      lists_[keyOf(*open_list_)].ended = true;
      open_list_.reset();
    } else {
      Written& w = lists_[keyOf(*open_list_)];
      ++w.rows;
      ++present_;
      w.crc = crc32c(text.data(), text.size(), w.crc);
      w.crc = crc32c("\n", 1, w.crc);
      w.last = line->row.object.last_modified;
    }
    good = lines.offset();
  }
  rows_ = present_;
  if (::ftruncate(fd_, static_cast<off_t>(good)) != 0) return osError("cut " + request_.path);
  if (::lseek(fd_, 0, SEEK_END) < 0) return osError("seek in " + request_.path);
  return good == 0 ? writeHeader() : Result<void>();
}

Result<void> FileSink::writeHeader() {
  buffer_ = "{\"godwit\":\"export\",\"version\":1,\"from\":";
  json::dumpString(buffer_, request_.from);
  buffer_ += request_.permissions ? ",\"permissions\":true}\n" : ",\"permissions\":false}\n";
  return flush();
}

const store::Ref* FileSink::unfinished() const { return open_list_ ? &*open_list_ : nullptr; }

Result<bool> FileSink::begin(const List& list, store::Timestamp& after) {
  auto known = lists_.find(keyOf(list.ref));
  if (known != lists_.end()) {
    if (known->second.ended) return false;
    after = known->second.last;
    return true;
  }
  open_list_ = list.ref;
  lists_[keyOf(list.ref)];
  appendListLine(buffer_, list);
  buffer_ += '\n';
  return true;
}

Result<void> FileSink::put(const store::Ref& ref, const std::vector<Row>& rows) {
  Written& w = lists_[keyOf(ref)];
  for (const Row& row : rows) {
    std::size_t from = buffer_.size();
    appendRow(buffer_, row);
    buffer_ += '\n';
    w.crc = crc32c(buffer_.data() + from, buffer_.size() - from, w.crc);
    ++w.rows;
    ++written_;
    if (buffer_.size() > kBuffer) GODWIT_TRY(flush());
  }
  rows_ += rows.size();
  // What was read so far is kept whatever happens next.
  return flush();
}

Result<void> FileSink::end(const List& list) {
  Written& w = lists_[keyOf(list.ref)];
  buffer_ += "{\"end\":{\"timestamp\":" + std::to_string(list.timestamp) +
             ",\"rows\":" + std::to_string(w.rows) + ",\"crc32c\":\"" + hex(w.crc) + "\"}}\n";
  w.ended = true;
  open_list_.reset();
  return buffer_.size() > kBuffer ? flush() : Result<void>();
}

Result<void> FileSink::flush() {
  Result<void> done = writeAll(fd_, buffer_);
  buffer_.clear();
  return done;
}

Result<void> FileSink::finish() {
  buffer_ += "{\"finish\":{\"rows\":" + std::to_string(rows_) + "}}\n";
  GODWIT_TRY(flush());
  if (!own_) return {};
  if (::fsync(fd_) != 0) return osError("write " + request_.path + ".part to the disk");
  return renameDurably(request_.path + ".part", request_.path);
}

}  // namespace godwit::ops
