#include "agent/http_client.h"

#include <curl/curl.h>
#include <zlib.h>

#include <cstdlib>
#include <mutex>

namespace godwit::agent {
namespace {

constexpr std::size_t kMaxAnswer = 16 * 1024;

std::size_t onBody(char* data, std::size_t, std::size_t n, void* user) {
  auto* body = static_cast<std::string*>(user);
  std::size_t room = kMaxAnswer - std::min(kMaxAnswer, body->size());
  body->append(data, std::min(room, n));
  return n;
}

void initOnce() {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

}  // namespace

struct HttpClient::Impl {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
};

HttpClient::HttpClient() : impl_(std::make_unique<Impl>()) {
  initOnce();
  impl_->easy = curl_easy_init();
  impl_->multi = curl_multi_init();
}

HttpClient::~HttpClient() {
  curl_easy_cleanup(impl_->easy);
  curl_multi_cleanup(impl_->multi);
}

void HttpClient::abort() {
  aborted_.store(true);
  curl_multi_wakeup(impl_->multi);
}

HttpAnswer HttpClient::post(const std::string& url, const std::vector<std::string>& headers,
                            std::string_view body, std::chrono::nanoseconds timeout) {
  HttpAnswer answer;
  CURL* e = impl_->easy;
  curl_easy_reset(e);  // options only: connections stay
  curl_slist* list = nullptr;
  for (const auto& h : headers) list = curl_slist_append(list, h.c_str());
  list = curl_slist_append(list, "Expect:");
  auto ms = static_cast<long>(std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count());
  curl_easy_setopt(e, CURLOPT_URL, url.c_str());
  curl_easy_setopt(e, CURLOPT_POST, 1L);
  curl_easy_setopt(e, CURLOPT_POSTFIELDS, body.data());
  curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_easy_setopt(e, CURLOPT_HTTPHEADER, list);
  curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, onBody);
  curl_easy_setopt(e, CURLOPT_WRITEDATA, &answer.body);
  curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, ms);
  curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, std::min(ms, 5000L));
  curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(e, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(e, CURLOPT_USERAGENT, "godwit-agent");
  curl_multi_add_handle(impl_->multi, e);

  int running = 1;
  CURLcode code = CURLE_OK;
  while (running && !aborted_.load()) {
    if (curl_multi_perform(impl_->multi, &running) != CURLM_OK) break;
    int left = 0;
    while (CURLMsg* m = curl_multi_info_read(impl_->multi, &left)) {
      if (m->msg == CURLMSG_DONE) code = m->data.result;
    }
    if (running) curl_multi_poll(impl_->multi, nullptr, 0, 1000, nullptr);
  }
  bool unfinished = running != 0;
  if (!unfinished && code == CURLE_OK) {
    long status = 0;
    curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, &status);
    answer.status = static_cast<int>(status);
    answer.kind = HttpAnswer::Kind::kAnswered;
    curl_off_t wait = 0;  // seconds, also for the date form; 0 when absent
    curl_easy_getinfo(e, CURLINFO_RETRY_AFTER, &wait);
    if (wait > 0) answer.retry_after_s = static_cast<double>(wait);
  } else if (unfinished) {
    answer.kind = HttpAnswer::Kind::kAborted;
    answer.error = "aborted";
  } else {
    bool never_sent = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST ||
                      code == CURLE_SSL_CONNECT_ERROR || code == CURLE_COULDNT_RESOLVE_PROXY;
    answer.kind = never_sent ? HttpAnswer::Kind::kUnreachable : HttpAnswer::Kind::kBroken;
    answer.error = curl_easy_strerror(code);
  }
  curl_multi_remove_handle(impl_->multi, e);
  curl_slist_free_all(list);
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
