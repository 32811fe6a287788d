#include "godwit/http/static_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/encoding.h"
#include "base/os_error.h"
#include "base/unique_fd.h"
#include "http/response_writer.h"
#include "http/text.h"

namespace godwit::http {
namespace {

struct Type {
  std::string_view extension, type;
};
constexpr Type kTypes[] = {
    {"html", "text/html; charset=utf-8"},
    {"htm", "text/html; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"json", "application/json"},
    {"map", "application/json"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/markdown; charset=utf-8"},
    {"csv", "text/csv; charset=utf-8"},
    {"xml", "application/xml"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"wasm", "application/wasm"},
    {"pdf", "application/pdf"},
    {"zip", "application/zip"},
    {"gz", "application/gzip"},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
};

constexpr std::size_t kMaxListed = 10'000;

struct File {
  UniqueFd fd;
  struct stat st {};
};

// Opens `path` beneath `root` with no way out. The kernel does the looking; without openat2 there
// is no serving at all.
int openBeneath(int root, const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<__u64>(flags | O_CLOEXEC | O_NONBLOCK);
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV;
  return static_cast<int>(
      ::syscall(SYS_openat2, root, path.empty() ? "." : path.c_str(), &how, sizeof how));
}

// The value of `coding` in an Accept-Encoding list: 0 to 1000, -1 when not named.
int quality(std::string_view list, std::string_view coding) {
  int star = -1;
  int found = -1;
  forEachMember(list, [&](std::string_view m) {
    std::size_t semicolon = m.find(';');
    std::string_view name = trim(m.substr(0, semicolon));
    int q = 1000;
    if (semicolon != std::string_view::npos) {
      std::string_view p = trim(m.substr(semicolon + 1));
      if (p.size() > 2 && (p[0] == 'q' || p[0] == 'Q') && p[1] == '=') {
        std::string_view v = p.substr(2);
        q = v[0] == '1' ? 1000 : 0;
        if (v[0] == '0' && v.size() > 2) {
          int scale = 100;
          for (char c : v.substr(2, 3)) {
            if (c >= '0' && c <= '9') q += (c - '0') * scale;
            scale /= 10;
          }
        }
      }
    }
    if (iequals(name, coding)) found = q;
    if (name == "*") star = q;
  });
  return found >= 0 ? found : star;
}

bool etagMatches(std::string_view list, std::string_view etag) {
  bool hit = false;
  forEachMember(list, [&](std::string_view m) {
    if (m.starts_with("W/")) m.remove_prefix(2);
    hit |= m == "*" || m == etag;
  });
  return hit;
}

enum class RangeKind { kNone, kOne, kUnsatisfiable };

// A single range only: several are legal to ignore (RFC 9110 section 14.2), and costly to serve.
RangeKind parseRange(std::string_view value, std::uint64_t size, std::uint64_t& from,
                     std::uint64_t& length) {
  if (!value.starts_with("bytes=")) return RangeKind::kNone;
  value = trim(value.substr(6));
  std::size_t dash = value.find('-');
  if (dash == std::string_view::npos || value.find(',') != std::string_view::npos) {
    return RangeKind::kNone;
  }
  auto number = [](std::string_view s, std::uint64_t& n) {
    auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), n);
    return !s.empty() && ec == std::errc() && end == s.data() + s.size();
  };
  std::string_view a = value.substr(0, dash);
  std::string_view b = value.substr(dash + 1);
  std::uint64_t last = 0;
  if (a.empty()) {
    std::uint64_t suffix = 0;
    if (!number(b, suffix)) return RangeKind::kNone;
    if (suffix == 0 || size == 0) return RangeKind::kUnsatisfiable;
    length = std::min(suffix, size);
    from = size - length;
    return RangeKind::kOne;
  }
  if (!number(a, from)) return RangeKind::kNone;
  if (b.empty()) {
    last = UINT64_MAX;
  } else if (!number(b, last) || last < from) {
    return RangeKind::kNone;
  }
  if (from >= size) return RangeKind::kUnsatisfiable;
  length = std::min(last, size - 1) - from + 1;
  return RangeKind::kOne;
}

std::string escapeHtml(std::string_view s) {
  std::string out;
  for (char c : s) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

std::string_view contentTypeFor(std::string_view name) {
  std::size_t dot = name.rfind('.');
  if (dot != std::string_view::npos) {
    for (const Type& t : kTypes) {
      if (iequals(name.substr(dot + 1), t.extension)) return t.type;
    }
  }
  return "application/octet-stream";
}

struct StaticFiles::Impl {
  UniqueFd root;
  Options options;

  // `path` without slashes at its ends. False when no file may have that name.
  [[nodiscard]] bool tidy(std::string_view path, std::string& clean) const;
  // The file, or an empty one with errno set.
  [[nodiscard]] File open(const std::string& path) const {
    File f;
    f.fd.reset(openBeneath(root.get(), path, O_RDONLY));
    if (f.fd && ::fstat(f.fd.get(), &f.st) != 0) f.fd.reset();
    return f;
  }
  void sendListing(const Request& request, UniqueFd folder, Reply reply) const;
  void sendFile(const Request& request, const std::string& path, File file, Reply reply) const;
};

StaticFiles::StaticFiles(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
StaticFiles::StaticFiles(StaticFiles&&) noexcept = default;
StaticFiles& StaticFiles::operator=(StaticFiles&&) noexcept = default;
StaticFiles::~StaticFiles() = default;

Result<StaticFiles> StaticFiles::open(const std::string& folder, Options options) {
  auto impl = std::make_unique<Impl>();
  impl->root.reset(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!impl->root) return osError("open the folder " + folder);
  UniqueFd probe(openBeneath(impl->root.get(), "", O_RDONLY | O_DIRECTORY));
  if (!probe) return osError("serve " + folder + " safely (openat2)");
  impl->options = std::move(options);
  return StaticFiles(std::move(impl));
}

// "a//b" and "./a" have no business here; ".." the kernel refuses, and we before it.
bool StaticFiles::Impl::tidy(std::string_view path, std::string& clean) const {
  if (path.starts_with('/')) path.remove_prefix(1);
  while (!path.empty()) {
    std::size_t slash = path.find('/');
    std::string_view segment = path.substr(0, slash);
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash + 1);
    if (segment.empty() || segment == "." || segment == ".." ||
        segment.find('\0') != std::string_view::npos || (segment[0] == '.' && !options.hidden)) {
      return false;
    }
    if (!clean.empty()) clean += '/';
    clean += segment;
  }
  return true;
}

bool StaticFiles::has(std::string_view path) const {
  const bool folder_form = path.empty() || path.ends_with('/');
  std::string clean;
  if (!impl_->tidy(path, clean)) return false;
  File f = impl_->open(clean);
  if (!f.fd) return false;
  if (!S_ISDIR(f.st.st_mode)) return S_ISREG(f.st.st_mode) && !folder_form;
  // Another spelling of a folder leads there.
  if (!folder_form || impl_->options.list_folders) return true;
  if (impl_->options.index_file.empty()) return false;
  File index = impl_->open(clean + (clean.empty() ? "" : "/") + impl_->options.index_file);
  return index.fd && S_ISREG(index.st.st_mode);
}

void StaticFiles::serve(const Request& request, std::string_view path, Reply reply) const {
  if (request.method != Method::kGet && request.method != Method::kHead) {
    reply.response().header("Allow", "GET, HEAD");
    return reply.send(405, "method not allowed\n");
  }
  const bool folder_form = path.empty() || path.ends_with('/');
  std::string clean;
  if (!impl_->tidy(path, clean)) return reply.send(404, "not found\n");
  File f = impl_->open(clean);
  if (!f.fd) return reply.send(404, "not found\n");
  if (S_ISDIR(f.st.st_mode)) {
    if (!folder_form) {
      std::string target(request.path);
      // A path that begins with two slashes would name another host.
      if (target.starts_with("//")) return reply.send(404, "not found\n");
      target += '/';
      if (!request.query.empty()) target.append("?").append(request.query);
      reply.response().header("Location", target);
      return reply.send(301, "moved\n");
    }
    if (!impl_->options.index_file.empty()) {
      std::string index = clean + (clean.empty() ? "" : "/") + impl_->options.index_file;
      File i = impl_->open(index);
      if (i.fd && S_ISREG(i.st.st_mode)) {
        return impl_->sendFile(request, index, std::move(i), std::move(reply));
      }
    }
    if (!impl_->options.list_folders) return reply.send(404, "not found\n");
    return impl_->sendListing(request, std::move(f.fd), std::move(reply));
  }
  if (!S_ISREG(f.st.st_mode) || folder_form) return reply.send(404, "not found\n");
  impl_->sendFile(request, clean, std::move(f), std::move(reply));
}

void StaticFiles::Impl::sendFile(const Request& request, const std::string& path, File file,
                                 Reply reply) const {
  Response& r = reply.response();
  std::string coding;
  if (options.precompressed) {
    r.header("Vary", "Accept-Encoding");
    std::string_view accepted = request.header("Accept-Encoding");
    int best = 0;
    struct Variant {
      const char *coding, *suffix;
    };
    for (const Variant& v : {Variant{"br", ".br"}, {"zstd", ".zst"}, {"gzip", ".gz"}}) {
      int q = accepted.empty() ? 0 : quality(accepted, v.coding);
      if (q <= best) continue;
      File other = open(path + v.suffix);
      // One that is older than what it was made from is stale.
      if (!other.fd || !S_ISREG(other.st.st_mode) || other.st.st_mtime < file.st.st_mtime) continue;
      best = q;
      coding = v.coding;
      file = std::move(other);
    }
  }
  const auto size = static_cast<std::uint64_t>(file.st.st_size);
  char etag[64];
  int n = std::snprintf(etag, sizeof etag, "\"%llx-%llx-%llx\"",
                        static_cast<unsigned long long>(file.st.st_ino),
                        static_cast<unsigned long long>(size),
                        static_cast<unsigned long long>(file.st.st_mtim.tv_sec) * 1'000'000'000ULL +
                            static_cast<unsigned long long>(file.st.st_mtim.tv_nsec));
  const std::string_view tag(etag, static_cast<std::size_t>(n));
  r.header("ETag", tag);
  r.header("Last-Modified", httpDate(file.st.st_mtime));
  if (!options.cache_control.empty()) r.header("Cache-Control", options.cache_control);
  r.header("X-Content-Type-Options", "nosniff");
  if (!coding.empty()) r.header("Content-Encoding", coding);

  if (request.has("If-None-Match")) {
    if (etagMatches(request.header("If-None-Match"), tag)) {
      r.status = 304;
      return reply.send();
    }
  } else if (request.has("If-Modified-Since")) {
    std::int64_t since = parseHttpDate(request.header("If-Modified-Since"));
    if (since >= 0 && file.st.st_mtime <= since) {
      r.status = 304;
      return reply.send();
    }
  }
  r.header("Content-Type", contentTypeFor(path));
  r.header("Accept-Ranges", "bytes");
  std::uint64_t from = 0;
  std::uint64_t length = size;
  if (request.has("Range") && request.method == Method::kGet) {
    std::string_view condition = request.header("If-Range");
    // A date must match exactly, and a weak tag never does.
    bool same = condition.empty() || condition == tag ||
                (condition.find('"') == std::string_view::npos &&
                 parseHttpDate(condition) == file.st.st_mtime);
    if (same) {
      switch (parseRange(request.header("Range"), size, from, length)) {
        case RangeKind::kNone:
          from = 0;
          length = size;
          break;
        case RangeKind::kUnsatisfiable:
          r.header("Content-Range", "bytes */" + std::to_string(size));
          r.remove("Content-Encoding");
          return reply.send(416, "range not satisfiable\n");
        case RangeKind::kOne:
          r.status = 206;
          r.header("Content-Range", "bytes " + std::to_string(from) + "-" +
                                        std::to_string(from + length - 1) + "/" +
                                        std::to_string(size));
          break;
      }
    }
  }
  reply.sendFile(file.fd.release(), from, length);
}

void StaticFiles::Impl::sendListing(const Request& request, UniqueFd folder, Reply reply) const {
  DIR* dir = ::fdopendir(folder.get());
  if (!dir) return reply.send(404, "not found\n");
  (void)folder.release();
  std::vector<std::string> names;
  while (const dirent* e = ::readdir(dir)) {  // NOLINT(concurrency-mt-unsafe): own DIR
    std::string name = e->d_name;
    if (name == "." || name == ".." || (name[0] == '.' && !options.hidden)) continue;
    if (e->d_type != DT_DIR && e->d_type != DT_REG) continue;
    if (e->d_type == DT_DIR) name += '/';
    names.push_back(std::move(name));
    if (names.size() == kMaxListed) break;
  }
  ::closedir(dir);
  std::sort(names.begin(), names.end());
  std::string title = escapeHtml(percentDecode(request.path).value_or(""));
  std::string html =
      "<!doctype html><meta charset=utf-8><title>" + title + "</title><h1>" + title + "</h1><ul>\n";
  if (request.path != "/") html += "<li><a href=\"../\">../</a>\n";
  for (const std::string& name : names) {
    html += "<li><a href=\"./" + percentEncode(name, "-._~/") + "\">" + escapeHtml(name) + "</a>\n";
  }
  html += "</ul>\n";
  Response& r = reply.response();
  r.status = 200;
  r.header("Content-Type", "text/html; charset=utf-8");
  r.header("X-Content-Type-Options", "nosniff");
  r.body = std::move(html);
  reply.send();
}

}  // namespace godwit::http
