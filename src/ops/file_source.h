#pragma once

#include <map>
#include <optional>

#include "base/unique_fd.h"
#include "ops/line_reader.h"
#include "ops/source.h"

namespace godwit::ops {

// Reads an export. All of it is checked before the first row is given out: every line, the number
// of rows and the checksum of every list, and that it is complete.
class FileSource final : public Source {
 public:
  // "-": standard input, kept in an unnamed temporary file first ($TMPDIR). kInvalid names the line
  // that is wrong.
  static Result<std::unique_ptr<FileSource>> open(const std::string& path);

  [[nodiscard]] std::string name() const override { return path_; }
  Result<std::vector<List>> lists() override { return lists_; }
  Result<Page> rows(const store::Ref& ref, store::Timestamp after, bool permissions) override;

  [[nodiscard]] bool hasPermissions() const { return permissions_; }

 private:
  struct Cursor {
    store::Ref ref;
    store::Timestamp last;
    LineReader lines;
  };

  explicit FileSource(std::string path) : path_(std::move(path)) {}
  Result<void> index();

  const std::string path_;
  UniqueFd fd_;
  bool permissions_ = true;
  std::vector<List> lists_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> offsets_;  // of first rows
  std::optional<Cursor> cursor_;
};

}  // namespace godwit::ops
