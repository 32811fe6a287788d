#pragma once

#include <map>
#include <optional>

#include "base/unique_fd.h"
#include "ops/source.h"

namespace godwit::ops {

// Writes an export (docs/formats/export.md). It grows as `<path>.part` and gets its name when it is
// complete and on the disk. A part that is there already is gone on with: it is read once, cut
// after its last whole line, and nothing that is in it is asked for again.
class FileSink final : public Sink {
 public:
  struct Request {
    std::string path;  // "-": standard output, which is not gone on with
    std::string from;  // where the data comes from; a part from elsewhere is refused
    bool permissions = true;
    bool replace = false;  // a complete file of that name
    Request() = default;
  };
  // kConflict: the file exists, or another export writes it.
  static Result<std::unique_ptr<FileSink>> open(const Request& request);

  [[nodiscard]] std::string name() const override { return request_.path; }
  [[nodiscard]] const store::Ref* unfinished() const override;
  Result<bool> begin(const List& list, store::Timestamp& after) override;
  Result<void> put(const store::Ref& ref, const std::vector<Row>& rows) override;
  Result<void> end(const List& list) override;
  Result<void> finish() override;

 private:
  struct Written {
    std::uint64_t rows = 0;
    std::uint32_t crc = 0;
    store::Timestamp last = -1;
    bool ended = false;
  };

  explicit FileSink(const Request& request) : request_(request) {}
  Result<void> openPart();
  Result<void> readPart();
  Result<void> flush();
  Result<void> writeHeader();

  const Request request_;
  UniqueFd own_;
  int fd_ = -1;
  std::string buffer_;
  std::map<std::pair<std::string, std::string>, Written> lists_;
  std::optional<store::Ref> open_list_;
  std::uint64_t rows_ = 0;
};

}  // namespace godwit::ops
