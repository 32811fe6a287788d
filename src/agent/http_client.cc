#include "agent/http_client.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <zlib.h>

#include <cstdlib>
#include <mutex>
#include <type_traits>

namespace godwit::agent {
namespace {

constexpr std::size_t kMaxAnswer = 16 * 1024;

std::size_t onBody(char* data, std::size_t, std::size_t n, void* user) {
  auto* body = static_cast<std::string*>(user);
  std::size_t room = kMaxAnswer - std::min(kMaxAnswer, body->size());
  body->append(data, std::min(room, n));
  return n;
}

// libcurl and what it drags in are 7 MiB of resident pages: loaded by the first publisher that
// speaks HTTP, so that an agent without one stays small.
struct Curl {
  decltype(&curl_global_init) global_init = nullptr;
  decltype(&curl_easy_init) easy_init = nullptr;
  decltype(&curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&curl_easy_reset) easy_reset = nullptr;
  decltype(&curl_easy_setopt) easy_setopt = nullptr;
  decltype(&curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&curl_easy_strerror) easy_strerror = nullptr;
  decltype(&curl_multi_init) multi_init = nullptr;
  decltype(&curl_multi_cleanup) multi_cleanup = nullptr;
  decltype(&curl_multi_add_handle) multi_add_handle = nullptr;
  decltype(&curl_multi_remove_handle) multi_remove_handle = nullptr;
  decltype(&curl_multi_perform) multi_perform = nullptr;
  decltype(&curl_multi_info_read) multi_info_read = nullptr;
  decltype(&curl_multi_poll) multi_poll = nullptr;
  decltype(&curl_multi_wakeup) multi_wakeup = nullptr;
  decltype(&curl_slist_append) slist_append = nullptr;
  decltype(&curl_slist_free_all) slist_free_all = nullptr;
  bool loaded = false;

  static const Curl& get() {
    static const Curl curl = load();
    return curl;
  }

 private:
  static Curl load() {
    Curl c;
    void* lib = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (!lib) return c;
    bool all = true;
    auto find = [&](auto& to, const char* name) {
      to = reinterpret_cast<std::remove_reference_t<decltype(to)>>(::dlsym(lib, name));
      all = all && to;
    };
    find(c.global_init, "curl_global_init");
    find(c.easy_init, "curl_easy_init");
    find(c.easy_cleanup, "curl_easy_cleanup");
    find(c.easy_reset, "curl_easy_reset");
    find(c.easy_setopt, "curl_easy_setopt");
    find(c.easy_getinfo, "curl_easy_getinfo");
    find(c.easy_strerror, "curl_easy_strerror");
    find(c.multi_init, "curl_multi_init");
    find(c.multi_cleanup, "curl_multi_cleanup");
    find(c.multi_add_handle, "curl_multi_add_handle");
    find(c.multi_remove_handle, "curl_multi_remove_handle");
    find(c.multi_perform, "curl_multi_perform");
    find(c.multi_info_read, "curl_multi_info_read");
    find(c.multi_poll, "curl_multi_poll");
    find(c.multi_wakeup, "curl_multi_wakeup");
    find(c.slist_append, "curl_slist_append");
    find(c.slist_free_all, "curl_slist_free_all");
    c.loaded = all && c.global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
    return c;
  }
};

}  // namespace

struct HttpClient::Impl {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {}

HttpClient::~HttpClient() {
  if (!impl_->easy) return;
  Curl::get().easy_cleanup(impl_->easy);
  Curl::get().multi_cleanup(impl_->multi);
}

// Before the first request, not before: an agent may have this object and no use for it.
bool HttpClient::prepare() {
  std::lock_guard lock(mu_);
  if (impl_->easy) return true;
  const Curl& curl = Curl::get();
  if (!curl.loaded) return false;
  impl_->easy = curl.easy_init();
  impl_->multi = curl.multi_init();
  return impl_->easy && impl_->multi;
}

void HttpClient::abort() {
  aborted_.store(true);
  std::lock_guard lock(mu_);
  if (impl_->multi) Curl::get().multi_wakeup(impl_->multi);
}

HttpAnswer HttpClient::post(const std::string& url, const std::vector<std::string>& headers,
                            std::string_view body, std::chrono::nanoseconds timeout) {
  HttpAnswer answer;
  if (!prepare()) {
    answer.error = "libcurl.so.4 cannot be loaded (hint: apt-get install libcurl4)";
    return answer;
  }
  const Curl& curl = Curl::get();
  CURL* e = impl_->easy;
  curl.easy_reset(e);  // options only: connections stay
  curl_slist* list = nullptr;
  for (const auto& h : headers) list = curl.slist_append(list, h.c_str());
  list = curl.slist_append(list, "Expect:");
  auto ms =
      static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count());
  curl.easy_setopt(e, CURLOPT_URL, url.c_str());
  curl.easy_setopt(e, CURLOPT_POST, 1L);
  curl.easy_setopt(e, CURLOPT_POSTFIELDS, body.data());
  curl.easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl.easy_setopt(e, CURLOPT_HTTPHEADER, list);
  curl.easy_setopt(e, CURLOPT_WRITEFUNCTION, onBody);
  curl.easy_setopt(e, CURLOPT_WRITEDATA, &answer.body);
  curl.easy_setopt(e, CURLOPT_TIMEOUT_MS, ms);
  curl.easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, std::min(ms, 5000L));
  curl.easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  curl.easy_setopt(e, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl.easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
  curl.easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
  curl.easy_setopt(e, CURLOPT_USERAGENT, "godwit-agent");
  curl.multi_add_handle(impl_->multi, e);

  int running = 1;
  CURLcode code = CURLE_OK;
  while (running && !aborted_.load()) {
    if (curl.multi_perform(impl_->multi, &running) != CURLM_OK) break;
    int left = 0;
    while (CURLMsg* m = curl.multi_info_read(impl_->multi, &left)) {
      if (m->msg == CURLMSG_DONE) code = m->data.result;
    }
    if (running) curl.multi_poll(impl_->multi, nullptr, 0, 1000, nullptr);
  }
  bool unfinished = running != 0;
  if (!unfinished && code == CURLE_OK) {
    long status = 0;
    curl.easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    answer.kind = HttpAnswer::Kind::kAnswered;
    curl_off_t wait = 0;  // seconds, also for the date form; 0 when absent
    curl.easy_getinfo(e, CURLINFO_RETRY_AFTER, &wait);
    if (wait > 0) answer.retry_after_s = static_cast<double>(wait);
  } else if (unfinished) {
    answer.kind = HttpAnswer::Kind::kAborted;
    answer.error = "aborted";
  } else {
    bool never_sent = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                      code == CURLE_SSL_CONNECT_ERROR || code == CURLE_COULDNT_RESOLVE_PROXY;
    answer.kind = never_sent ? HttpAnswer::Kind::kUnreachable : HttpAnswer::Kind::kBroken;
    answer.error = curl.easy_strerror(code);
  }
  curl.multi_remove_handle(impl_->multi, e);
  curl.slist_free_all(list);
  return answer;
}

bool gzipCompress(std::string_view in, std::string& out) {
  z_stream z{};
  if (deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK) return false;
  out.resize(deflateBound(&z, in.size()));
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  int r = deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return r == Z_STREAM_END;
}

bool gzipDecompress(std::string_view in, std::size_t limit, std::string& out) {
  z_stream z{};
  if (inflateInit2(&z, 15 + 32) != Z_OK) return false;
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(in.data()));
  z.avail_in = static_cast<uInt>(in.size());
  out.clear();
  char buf[65536];
  int r = Z_OK;
  while (r == Z_OK) {
    z.next_out = reinterpret_cast<Bytef*>(buf);
    z.avail_out = sizeof buf;
    r = inflate(&z, Z_NO_FLUSH);
    std::size_t n = sizeof buf - z.avail_out;
    if (out.size() + n > limit) {
      r = Z_MEM_ERROR;
      break;
    }
    out.append(buf, n);
    if (n == 0 && r == Z_BUF_ERROR) break;
  }
  bool whole = r == Z_STREAM_END && z.avail_in == 0;
  inflateEnd(&z);
  return whole;
}

}  // namespace godwit::agent
