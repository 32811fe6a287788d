#include "ops/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <thread>

#include "base/encoding.h"
#include "base/options.h"
#include "base/text.h"
#include "godwit/deadline.h"

namespace godwit::ops {
namespace {

using namespace std::chrono_literals;

constexpr auto kFirstPause = 200ms;
constexpr auto kLongestPause = 10s;

// Seconds; dates are not used by this API.
std::chrono::seconds secondsOf(const HttpAnswer& answer, const char* header) {
  auto found = answer.headers.find(header);
  if (found == answer.headers.end()) return 0s;
  return std::chrono::seconds(std::max<std::int64_t>(parseInt(found->second).value_or(0), 0));
}

}  // namespace

bool isHttpUrl(const std::string& text) {
  return text.starts_with("http://") || text.starts_with("https://") || text.starts_with("unix:");
}

struct HttpClient::Impl {
  Impl(const std::string& url, const std::string& authorization) : easy(curl_easy_init()) {
    if (url.starts_with("unix:")) {
      socket = url.substr(5);
      root = "http://localhost/v1";
    } else {
      root = url;
      while (root.ends_with('/')) root.pop_back();
    }
    bool whole = authorization.find(' ') != std::string::npos;
    if (!authorization.empty()) {
      add("Authorization: " + (whole ? authorization : "Basic " + base64Encode(authorization)));
    }
    add("Content-Type: application/json");
    add("Accept: application/json");
    add("Expect:");
  }
  ~Impl() {
    curl_slist_free_all(headers);
    if (easy) curl_easy_cleanup(easy);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void add(const std::string& line) { headers = curl_slist_append(headers, line.c_str()); }

  static std::size_t onBody(char* data, std::size_t size, std::size_t count, void* user) {
    auto* self = static_cast<Impl*>(user);
    if (self->answer.body.size() + size * count > kMaxAnswer) return 0;  // makes curl give up
    self->answer.body.append(data, size * count);
    return size * count;
  }

  static std::size_t onHeader(char* data, std::size_t size, std::size_t count, void* user) {
    auto* self = static_cast<Impl*>(user);
    std::string_view line(data, size * count);
    if (line.starts_with("HTTP/")) self->answer.headers.clear();  // after a 100
    std::size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      self->answer.headers[lower(trim(line.substr(0, colon)))] = trim(line.substr(colon + 1));
    }
    return size * count;
  }

  Result<void> once(const std::string& method, const std::string& url, const std::string& body) {
    answer = HttpAnswer();
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
    if (!socket.empty()) curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, socket.c_str());
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(kAnswerTime / 1ms));
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 10'000L);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "godwit");
    curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, onBody);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, onHeader);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, this);
    if (method == "HEAD") {
      curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    } else if (method != "GET") {
      curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, method.c_str());
      curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body.data());
      curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    }
    CURLcode code = curl_easy_perform(easy);
    if (code == CURLE_WRITE_ERROR) return Error(ErrorCode::kLimit, "the answer is too large");
    if (code != CURLE_OK) return Error(ErrorCode::kUnavailable, curl_easy_strerror(code));
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer.status);
    ever_answered = true;
    return {};
  }

  // The server asked for it: there is no event to wait for but time.
  Result<void> pause(std::chrono::milliseconds time) {
    if (time > kMaxWait) {
      return Error(ErrorCode::kUnavailable,
                   "the server asks to wait for " + std::to_string(time / 1s) + " s");
    }
    std::this_thread::sleep_for(time);
    waited += time;
    return {};
  }

  CURL* easy;
  curl_slist* headers = nullptr;
  std::string root;
  std::string socket;
  HttpAnswer answer;
  bool ever_answered = false;        // so the address is right, and a lost server may come back
  std::chrono::seconds back_off{0};  // before the next request
  std::uint64_t retries = 0;
  std::chrono::milliseconds waited{0};
};

HttpClient::HttpClient(const std::string& root, const std::string& authorization)
    : impl_(std::make_unique<Impl>(root, authorization)) {}
HttpClient::~HttpClient() = default;

const std::string& HttpClient::root() const { return impl_->root; }
std::uint64_t HttpClient::retries() const { return impl_->retries; }
std::chrono::seconds HttpClient::waited() const {
  return std::chrono::duration_cast<std::chrono::seconds>(impl_->waited);
}

Result<HttpAnswer> HttpClient::request(const std::string& method, const std::string& path,
                                       const std::string& body) {
  Impl& my = *impl_;
  if (!my.easy) return Error(ErrorCode::kInternal, "libcurl cannot start");
  std::string url = path.starts_with("http") ? path : my.root + path;
  Deadline deadline = Deadline::after(kPatience);
  auto step = std::chrono::milliseconds(kFirstPause);
  for (;;) {
    if (my.back_off > 0s) GODWIT_TRY(my.pause(std::exchange(my.back_off, 0s)));
    Result<void> done = my.once(method, url, body);
    if (!done.ok() && done.error().code == ErrorCode::kLimit) return std::move(done).error();
    HttpAnswer& answer = my.answer;
    if (done.ok()) {
      my.back_off = secondsOf(answer, "backoff");
      if (answer.status == 401)
        return Error(ErrorCode::kForbidden, "401: the server knows no such user");
      bool again = answer.status == 429 || answer.status >= 500;
      if (!again) return std::move(answer);
      done = Error(ErrorCode::kUnavailable, "it answers " + std::to_string(answer.status) + " " +
                                                answer.body.substr(0, 200));
    }
    if (deadline.expired() || !my.ever_answered) {
      return Error(ErrorCode::kUnavailable, method + " " + url + ": " + done.error().message);
    }
    ++my.retries;
    auto asked = std::chrono::milliseconds(secondsOf(answer, "retry-after"));
    GODWIT_TRY(my.pause(std::max(asked, step)));
    step = std::min(std::chrono::milliseconds(kLongestPause), step * 2);
  }
}

}  // namespace godwit::ops
