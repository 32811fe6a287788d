#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "godwit/http/reply.h"
#include "godwit/http/request.h"
#include "godwit/result.h"

namespace godwit::http {

// Serves files below a folder, by sendfile(2): GET and HEAD, one Range, ETag and Last-Modified with
// If-None-Match, If-Modified-Since and If-Range, and NAME.br, NAME.zst or NAME.gz beside a file
// NAME for clients that accept them. Nothing outside the folder is reachable by "..", symbolic
// link, mount or encoding: the kernel resolves the path beneath the folder (openat2). Any thread.
class StaticFiles {
 public:
  struct Options {
    bool precompressed = true;
    bool list_folders = false;              // an HTML index of a folder without index_file
    std::string index_file = "index.html";  // "": none
    bool hidden = false;                    // names that begin with a dot
    std::string cache_control = "no-cache";
    Options() {}
  };

  // Errors: kNotFound, kOs.
  static Result<StaticFiles> open(const std::string& folder, Options options = {});
  StaticFiles(StaticFiles&&) noexcept;
  StaticFiles& operator=(StaticFiles&&) noexcept;
  ~StaticFiles();

  // `path` is percent-decoded and relative to the folder ("" or "/" for itself): Params of
  // "{path...}". The loop thread opens and stats the file, so the folder should be local.
  void serve(const Request& request, std::string_view path, Reply reply) const;
  // Whether serve() would find something at `path`. Looks at the disk, as serve() does.
  [[nodiscard]] bool has(std::string_view path) const;

 private:
  struct Impl;
  explicit StaticFiles(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// "text/html; charset=utf-8" for ".html" and so on; "application/octet-stream" when unknown.
std::string_view contentTypeFor(std::string_view name);

}  // namespace godwit::http
