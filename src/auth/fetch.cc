#include "auth/fetch.h"

#include <curl/curl.h>

#include <atomic>
#include <deque>
#include <future>
#include <mutex>
#include <thread>
#include <unordered_map>

#include "base/text.h"

namespace godwit::auth {
namespace {

// libcurl's own limit on idle polling; requests and the end wake it up.
constexpr int kPollMs = 60'000;
constexpr long kMaxIdleConnections = 16;

struct CurlGlobal {
  CurlGlobal() { curl_global_init(CURL_GLOBAL_DEFAULT); }
  ~CurlGlobal() { curl_global_cleanup(); }
};

struct Call {
  FetchRequest request;
  std::function<void(Result<FetchResponse>)> finish;  // called on the fetcher's thread
  FetchResponse response;
  std::size_t header_bytes = 0;
  bool too_large = false;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;

  Call() = default;
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  ~Call() {
    curl_slist_free_all(headers);
    if (easy) curl_easy_cleanup(easy);
  }
};

std::size_t onBody(char* data, std::size_t size, std::size_t count, void* user) {
  auto* call = static_cast<Call*>(user);
  std::size_t n = size * count;
  if (call->response.body.size() + n > call->request.max_response_bytes) {
    call->too_large = true;
    return 0;  // makes curl give up
  }
  call->response.body.append(data, n);
  return n;
}

std::size_t onHeader(char* data, std::size_t size, std::size_t count, void* user) {
  constexpr std::size_t kMaxHeaderBytes = 16 * 1024;
  auto* call = static_cast<Call*>(user);
  std::size_t n = size * count;
  std::string_view line(data, n);
  std::size_t colon = line.find(':');
  call->header_bytes += n;
  if (colon == std::string_view::npos || call->header_bytes > kMaxHeaderBytes) return n;
  call->response.headers.emplace_back(lower(line.substr(0, colon)), trim(line.substr(colon + 1)));
  return n;
}

bool prepare(Call& call) {
  call.easy = curl_easy_init();
  if (!call.easy) return false;
  CURL* e = call.easy;
  const FetchRequest& r = call.request;
  for (const std::string& h : r.headers) call.headers = curl_slist_append(call.headers, h.c_str());
  call.headers = curl_slist_append(call.headers, "Expect:");
  curl_easy_setopt(e, CURLOPT_URL, r.url.c_str());
  curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, static_cast<long>(r.timeout.count()));
  curl_easy_setopt(e, CURLOPT_HTTPHEADER, call.headers);
  curl_easy_setopt(e, CURLOPT_USERAGENT, "godwit");
  curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, onBody);
  curl_easy_setopt(e, CURLOPT_WRITEDATA, &call);
  curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, onHeader);
  curl_easy_setopt(e, CURLOPT_HEADERDATA, &call);
  curl_easy_setopt(e, CURLOPT_PRIVATE, &call);
  if (r.method != "GET") curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r.method.c_str());
  if (!r.body.empty() || r.method == "POST" || r.method == "PUT") {
    curl_easy_setopt(e, CURLOPT_POSTFIELDS, r.body.data());
    curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.body.size()));
  }
  return true;
}

Result<FetchResponse> outcome(Call& call, CURLcode code) {
  if (call.too_large) return Error(ErrorCode::kLimit, "answer is too large", call.request.url);
  if (code == CURLE_OPERATION_TIMEDOUT)
    return Error(ErrorCode::kTimeout, "no answer in time", call.request.url);
  if (code != CURLE_OK)
    return Error(ErrorCode::kUnavailable, curl_easy_strerror(code), call.request.url);
  curl_easy_getinfo(call.easy, CURLINFO_RESPONSE_CODE, &call.response.status);
  const char* type = nullptr;
  if (curl_easy_getinfo(call.easy, CURLINFO_CONTENT_TYPE, &type) == CURLE_OK && type)
    call.response.content_type = type;
  return std::move(call.response);
}

}  // namespace

struct Fetcher::Impl {
  explicit Impl(std::size_t most) : bound(most) {
    static const CurlGlobal global;
    multi = curl_multi_init();
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kMaxIdleConnections);
    thread = std::thread([this] { run(); });
  }
  ~Impl() {
    close();
    thread.join();
    curl_multi_cleanup(multi);
  }

  void close() {
    {
      std::lock_guard lock(mu);
      closing = true;
    }
    curl_multi_wakeup(multi);
  }

  void submit(FetchRequest request, std::function<void(Result<FetchResponse>)> finish) {
    auto call = std::make_unique<Call>();
    call->request = std::move(request);
    call->finish = std::move(finish);
    {
      std::lock_guard lock(mu);
      if (!closing && open < bound) {
        ++open;
        incoming.push_back(std::move(call));
      }
    }
    if (call) {
      refused.fetch_add(1, std::memory_order_relaxed);
      call->finish(Error(ErrorCode::kLimit, "too many outgoing requests"));
      return;
    }
    curl_multi_wakeup(multi);
  }

  void end(std::unique_ptr<Call> call, Result<FetchResponse> result) {
    {
      std::lock_guard lock(mu);
      --open;
    }
    call->finish(std::move(result));
  }

  void start(std::unique_ptr<Call> call) {
    if (!prepare(*call) || curl_multi_add_handle(multi, call->easy) != CURLM_OK) {
      return end(std::move(call),
                 Error(ErrorCode::kInternal, "outgoing request could not be made"));
    }
    CURL* key = call->easy;
    active.emplace(key, std::move(call));
  }

  void run() {
    for (;;) {
      std::deque<std::unique_ptr<Call>> fresh;
      bool stop = false;
      {
        std::lock_guard lock(mu);
        fresh.swap(incoming);
        stop = closing;
      }
      if (stop) {
        for (auto& call : fresh) end(std::move(call), Error(ErrorCode::kClosed, "stopping"));
        break;
      }
      for (auto& call : fresh) start(std::move(call));
      int running = 0;
      curl_multi_perform(multi, &running);
      int left = 0;
      while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
        if (message->msg != CURLMSG_DONE) continue;
        CURLcode code = message->data.result;
        auto node = active.extract(message->easy_handle);
        std::unique_ptr<Call> call = std::move(node.mapped());
        curl_multi_remove_handle(multi, call->easy);
        Result<FetchResponse> result = outcome(*call, code);
        end(std::move(call), std::move(result));
      }
      curl_multi_poll(multi, nullptr, 0, kPollMs, nullptr);
    }
    for (auto& [easy, call] : active) {
      curl_multi_remove_handle(multi, easy);
      end(std::move(call), Error(ErrorCode::kClosed, "stopping"));
    }
    active.clear();
  }

  const std::size_t bound;
  CURLM* multi = nullptr;
  std::atomic<std::uint64_t> refused{0};

  std::mutex mu;
  // Guarded by mu.
  std::deque<std::unique_ptr<Call>> incoming;
  std::size_t open = 0;
  bool closing = false;

  // Fetcher's thread only.
  std::unordered_map<CURL*, std::unique_ptr<Call>> active;
  std::thread thread;
};

Fetcher::Fetcher(std::size_t bound) : impl_(std::make_unique<Impl>(bound)) {}
Fetcher::~Fetcher() = default;

void Fetcher::fetch(Reactor& home, FetchRequest request, Done done) {
  impl_->submit(std::move(request), [&home, done = std::move(done)](Result<FetchResponse> result) {
    home.post([done, result = std::move(result)]() mutable { done(std::move(result)); });
  });
}

Result<FetchResponse> Fetcher::fetchNow(FetchRequest request) {
  auto promise = std::make_shared<std::promise<Result<FetchResponse>>>();
  auto future = promise->get_future();
  impl_->submit(std::move(request),
                [promise](Result<FetchResponse> r) { promise->set_value(std::move(r)); });
  return future.get();
}

void Fetcher::close() { impl_->close(); }

std::string_view FetchResponse::header(std::string_view lower_name) const {
  for (const auto& [name, value] : headers) {
    if (name == lower_name) return value;
  }
  return {};
}

std::uint64_t Fetcher::refused() const { return impl_->refused.load(std::memory_order_relaxed); }

}  // namespace godwit::auth
