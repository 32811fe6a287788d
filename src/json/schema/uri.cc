#include "json/schema/uri.h"

#include <cctype>
#include <vector>

namespace godwit::json {
namespace {

struct Parts {
  std::string_view scheme, authority, path, query, fragment;
  bool has_scheme = false, has_authority = false, has_query = false, has_fragment = false;
};

Parts split(std::string_view s) {
  Parts p;
  if (std::size_t hash = s.find('#'); hash != s.npos) {
    p.has_fragment = true;
    p.fragment = s.substr(hash + 1);
    s = s.substr(0, hash);
  }
  if (std::size_t mark = s.find('?'); mark != s.npos) {
    p.has_query = true;
    p.query = s.substr(mark + 1);
    s = s.substr(0, mark);
  }
  std::size_t colon = s.find(':');
  if (colon != s.npos && colon > 0 && s.find('/') > colon &&
      std::isalpha(static_cast<unsigned char>(s[0]))) {
    p.has_scheme = true;
    p.scheme = s.substr(0, colon);
    s = s.substr(colon + 1);
  }
  if (s.starts_with("//")) {
    p.has_authority = true;
    std::size_t slash = s.find('/', 2);
    p.authority = s.substr(2, slash == s.npos ? s.npos : slash - 2);
    s = slash == s.npos ? std::string_view() : s.substr(slash);
  }
  p.path = s;
  return p;
}

std::string removeDots(std::string_view path) {
  std::vector<std::string_view> kept;
  bool absolute = path.starts_with('/');
  bool slash_at_end = false;
  std::size_t i = absolute ? 1 : 0;
  while (i <= path.size()) {
    std::size_t end = path.find('/', i);
    if (end == path.npos) end = path.size();
    std::string_view segment = path.substr(i, end - i);
    bool last = end == path.size();
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
      slash_at_end = last;
    } else if (segment == ".") {
      slash_at_end = last;
    } else {
      kept.push_back(segment);
    }
    i = end + 1;
  }
  std::string out = absolute ? "/" : "";
  for (std::size_t k = 0; k < kept.size(); ++k) {
    if (k > 0) out += '/';
    out += kept[k];
  }
  if (slash_at_end && !out.ends_with('/')) out += '/';
  return out;
}

}  // namespace

std::string resolveUri(std::string_view base, std::string_view reference) {
  Parts r = split(reference);
  Parts b = split(base);
  std::string path;
  Parts out = r;
  if (r.has_scheme) {
    path = removeDots(r.path);
  } else {
    out.has_scheme = b.has_scheme;
    out.scheme = b.scheme;
    if (r.has_authority) {
      path = removeDots(r.path);
    } else {
      out.has_authority = b.has_authority;
      out.authority = b.authority;
      if (r.path.empty()) {
        path = std::string(b.path);
        if (!r.has_query) {
          out.has_query = b.has_query;
          out.query = b.query;
        }
      } else if (r.path.starts_with('/')) {
        path = removeDots(r.path);
      } else {
        std::size_t slash = b.path.rfind('/');
        std::string merged;
        if (b.has_authority && b.path.empty()) {
          merged = "/";
        } else if (slash != b.path.npos) {
          merged = std::string(b.path.substr(0, slash + 1));
        }
        path = removeDots(merged + std::string(r.path));
      }
    }
  }
  std::string text;
  if (out.has_scheme) text += std::string(out.scheme) + ":";
  if (out.has_authority) text += "//" + std::string(out.authority);
  text += path;
  if (out.has_query) text += "?" + std::string(out.query);
  if (out.has_fragment) text += "#" + std::string(out.fragment);
  return text;
}

}  // namespace godwit::json
