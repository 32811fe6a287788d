#include "base/ini.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/os_error.h"
#include "base/text.h"
#include "base/unique_fd.h"

namespace godwit {
namespace {

constexpr std::size_t kMaxFile = 4 * 1024 * 1024;
constexpr int kMaxInterpolation = 10;           // levels, as configparser
constexpr std::size_t kMaxValue = 1024 * 1024;  // bytes after interpolation

Result<std::string> readFile(const std::string& path) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return osError("open " + path);
  std::string text;
  char buf[16384];
  for (;;) {
    ssize_t n = ::read(fd.get(), buf, sizeof buf);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return osError("read " + path);
    if (n == 0) return text;
    text.append(buf, static_cast<std::size_t>(n));
    if (text.size() > kMaxFile) return Error(ErrorCode::kLimit, path + ": larger than 4 MiB");
  }
}

}  // namespace

std::string Ini::where(int line) const { return file_ + ":" + std::to_string(line); }

Result<Ini> Ini::load(const std::string& path, Variables variables) {
  auto text = readFile(path);
  if (!text.ok()) return std::move(text).error();
  std::error_code ignored;
  auto absolute = std::filesystem::absolute(path, ignored);
  variables.emplace("here", absolute.parent_path().string());
  variables.emplace("__file__", absolute.string());
  return parse(*text, path, std::move(variables));
}

Result<Ini> Ini::parse(std::string_view text, std::string file, Variables variables) {
  Ini ini;
  ini.file_ = std::move(file);
  ini.variables_ = std::move(variables);
  ini.defaults_.name = "DEFAULT";
  int number = 0;
  std::size_t indent = 0;   // of the option that may go on
  bool in_section = false;  // a header was seen; `at` then names it, npos for [DEFAULT]
  std::size_t at = 0;
  auto section = [&]() -> Section& {
    return at == std::string_view::npos ? ini.defaults_ : ini.sections_[at];
  };
  auto fail = [&](std::string why) {
    return Error(ErrorCode::kInvalid, ini.where(number) + ": " + std::move(why));
  };
  if (text.substr(0, 3) == "\xef\xbb\xbf") text.remove_prefix(3);
  while (!text.empty()) {
    ++number;
    std::size_t eol = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, eol);
    text.remove_prefix(std::min(eol + 1, text.size()));
    std::string_view content = trim(line);
    bool going_on = in_section && !section().entries.empty();
    if (content.empty()) {
      // Blank lines inside a continued value belong to it; trailing ones are cut below.
      if (going_on) section().entries.back().raw += '\n';
      continue;
    }
    if (content[0] == '#' || content[0] == ';') continue;
    auto column = static_cast<std::size_t>(content.data() - line.data());
    if (going_on && column > indent) {
      std::string& raw = section().entries.back().raw;
      raw += '\n';
      raw += content;
      continue;
    }
    if (content[0] == '[') {
      std::size_t close = content.rfind(']');
      if (close == std::string_view::npos || close < 2) return fail("section header is not closed");
      std::string name(content.substr(1, close - 1));
      in_section = true;
      at = std::string_view::npos;
      if (name == "DEFAULT") continue;
      if (const Section* same = ini.find(name)) {
        return fail("section [" + name + "] was opened before, in line " +
                    std::to_string(same->line));
      }
      at = ini.sections_.size();
      ini.sections_.push_back({std::move(name), number, {}});
      continue;
    }
    if (!in_section) return fail("no section header above this line (hint: [app:main])");
    std::size_t delimiter = content.find_first_of("=:");
    if (delimiter == std::string_view::npos) return fail("expecting 'key = value'");
    std::string key(trim(content.substr(0, delimiter)));
    if (key.empty()) return fail("no key in front of '" + std::string(1, content[delimiter]) + "'");
    indent = column;
    section().entries.push_back(
        {std::move(key), std::string(trim(content.substr(delimiter + 1))), number});
  }
  for (Section* s : [&] {
         std::vector<Section*> all{&ini.defaults_};
         for (Section& x : ini.sections_) all.push_back(&x);
         return all;
       }()) {
    for (Entry& e : s->entries) {
      while (!e.raw.empty() && e.raw.back() == '\n') e.raw.pop_back();
    }
  }
  return ini;
}

const Ini::Section* Ini::find(std::string_view name) const {
  auto it = std::find_if(sections_.begin(), sections_.end(),
                         [&](const Section& s) { return s.name == name; });
  return it == sections_.end() ? nullptr : &*it;
}

const std::string* Ini::variable(std::string_view name, const Section& section) const {
  for (const Section* s : {&section, &defaults_}) {
    auto it = std::find_if(s->entries.rbegin(), s->entries.rend(),
                           [&](const Entry& e) { return e.key == name; });
    if (it != s->entries.rend()) return &it->raw;
  }
  auto it = variables_.find(name);
  return it == variables_.end() ? nullptr : &it->second;
}

Result<std::string> Ini::value(const Section& section, const Entry& entry) const {
  std::string out;
  GODWIT_TRY(interpolate(out, entry.raw, section, entry, 0));
  return out;
}

Result<void> Ini::interpolate(std::string& out, std::string_view raw, const Section& section,
                              const Entry& entry, int depth) const {
  auto fail = [&](std::string why) {
    return Error(ErrorCode::kInvalid,
                 where(entry.line) + ": value of '" + entry.key + "': " + std::move(why));
  };
  if (depth > kMaxInterpolation) return fail("%(...)s goes round in circles");
  while (!raw.empty()) {
    std::size_t percent = raw.find('%');
    out += raw.substr(0, percent);
    if (out.size() > kMaxValue) return fail("longer than 1 MiB");
    if (percent == std::string_view::npos) return {};
    raw.remove_prefix(percent);
    if (raw.substr(0, 2) == "%%") {
      out += '%';
      raw.remove_prefix(2);
      continue;
    }
    std::size_t close = raw.find(")s");
    if (raw.substr(0, 2) != "%(" || close == std::string_view::npos) {
      return fail("'%' must be followed by '%' or '(name)s' (hint: write %% for a percent sign)");
    }
    std::string_view name = raw.substr(2, close - 2);
    const std::string* replacement = variable(name, section);
    if (replacement == nullptr) return fail("'%(" + std::string(name) + ")s' is not defined");
    GODWIT_TRY(interpolate(out, *replacement, section, entry, depth + 1));
    raw.remove_prefix(close + 2);
  }
  return {};
}

}  // namespace godwit
