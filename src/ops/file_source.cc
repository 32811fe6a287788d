#include "ops/file_source.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/crc32c.h"
#include "base/os_error.h"
#include "ops/durable_file.h"
#include "ops/row_text.h"
#include "ops/uri.h"

namespace godwit::ops {
namespace {

constexpr std::size_t kPageRows = 500;
constexpr std::size_t kPageBytes = std::size_t{2} << 20;

// A pipe cannot be read twice.
Result<UniqueFd> keepInput() {
  const char* folder = std::getenv("TMPDIR");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  UniqueFd fd(::open(folder ? folder : "/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (!fd) return osError("make a temporary file");
  std::string buffer(std::size_t{256} << 10, '\0');
  for (;;) {
    ssize_t n = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return osError("read standard input");
    if (n == 0) return fd;
    GODWIT_TRY(writeAll(fd.get(), std::string_view(buffer).substr(0, static_cast<std::size_t>(n))));
  }
}

}  // namespace

Result<std::unique_ptr<FileSource>> FileSource::open(const std::string& path) {
  std::unique_ptr<FileSource> source(new FileSource(path));
  if (path == "-") {
    auto kept = keepInput();
    if (!kept.ok()) return std::move(kept).error();
    source->fd_ = std::move(*kept);
  } else {
    source->fd_ = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!source->fd_) return osError("open " + path);
  }
  GODWIT_TRY(source->index());
  return source;
}

Result<void> FileSource::index() {
  LineReader lines(fd_.get(), 0);
  std::uint64_t number = 0;
  std::uint64_t total = 0;
  std::uint32_t crc = 0;
  store::Timestamp last = -1;
  bool in_list = false;
  bool finished = false;
  std::string_view text;
  auto wrong = [&](const std::string& why) {
    return Error(ErrorCode::kInvalid, path_ + " line " + std::to_string(number) + ": " + why);
  };
  for (;;) {
    auto more = lines.next(text);
    if (!more.ok()) return std::move(more).error();
    if (!*more) break;
    ++number;
    auto line = parseLine(text, false);
    if (!line.ok()) return wrong(line.error().message);
    bool header = line->kind == Line::Kind::kHeader;
    if ((number == 1) != header) return wrong("not an export of godwit");
    if (finished) return wrong("something follows the end");
    if (header) {
      permissions_ = line->permissions;
    } else if (line->kind == Line::Kind::kList) {
      if (in_list) return wrong("a list within a list");
      if (!offsets_
               .emplace(std::pair(line->list.ref.parent, line->list.ref.resource), lines.offset())
               .second) {
        return wrong("the same list again");
      }
      lists_.push_back(line->list);
      in_list = true;
      crc = 0;
      last = -1;
    } else if (line->kind == Line::Kind::kFinish) {
      if (in_list || line->rows != total) return wrong("rows are missing");
      finished = true;
    } else if (!in_list) {
      return wrong("outside of a list");
    } else if (line->kind == Line::Kind::kEnd) {
      List& list = lists_.back();
      if (line->rows != list.rows || line->crc != crc) {
        return wrong("the checksum or number of rows of " + describe(list.ref) + " is wrong");
      }
      list.timestamp = line->list.timestamp;
      in_list = false;
    } else {
      if (line->row.object.last_modified <= last) return wrong("not in the order of last_modified");
      last = line->row.object.last_modified;
      crc = crc32c(text.data(), text.size(), crc);
      crc = crc32c("\n", 1, crc);
      ++lists_.back().rows;
      ++total;
    }
  }
  if (!finished) {
    return Error(ErrorCode::kInvalid,
                 path_ + " is not complete (hint: run the export again, it goes on)");
  }
  std::sort(lists_.begin(), lists_.end(), [](const List& a, const List& b) {
    return std::tie(a.ref.parent, a.ref.resource) < std::tie(b.ref.parent, b.ref.resource);
  });
  return {};
}

Result<Page> FileSource::rows(const store::Ref& ref, store::Timestamp after, bool permissions) {
  bool goes_on = cursor_ && cursor_->ref.parent == ref.parent &&
                 cursor_->ref.resource == ref.resource && cursor_->last <= after;
  if (!goes_on) {
    auto at = offsets_.find({ref.parent, ref.resource});
    if (at == offsets_.end()) return Error(ErrorCode::kNotFound, "no " + describe(ref));
    cursor_ = Cursor{ref, -1, LineReader(fd_.get(), at->second)};
  }
  Page page;
  std::size_t bytes = 0;
  std::string_view text;
  while (page.rows.size() < kPageRows && bytes < kPageBytes) {
    auto more = cursor_->lines.next(text);
    if (!more.ok()) return std::move(more).error();
    auto line = *more ? parseLine(text) : Result<Line>(ErrorCode::kInvalid, path_ + " has changed");
    if (!line.ok()) return std::move(line).error();
    if (line->kind != Line::Kind::kRow) {
      page.last = true;
      cursor_.reset();
      return page;
    }
    if (line->row.object.last_modified <= after) continue;
    bytes += text.size();
    if (!permissions) line->row.permissions.clear();
    page.rows.push_back(std::move(line->row));
  }
  cursor_->last = page.rows.back().object.last_modified;
  return page;
}

}  // namespace godwit::ops
