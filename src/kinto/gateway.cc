// The way from HTTP into the API and back.
#include <memory>
#include <new>
#include <utility>
#include <vector>

#include "godwit/http/static_files.h"
#include "kinto/app.h"

namespace godwit::kinto {
namespace {

// The answer is written into the strings of the HTTP response, which keep their capacity from
// request to request.
class HttpExchange final : public Exchange {
 public:
  HttpExchange(const App& a, const http::Request& r, http::Reply reply)
      : Exchange(a, r, reply.reactor(), reply.deadline()), reply_(std::move(reply)) {
    exchangeStrings();
  }

  // Requests come and go by the hundred thousand a second, each on its loop's thread: their memory
  // goes round. At most kKept of them stay with a thread.
  static void* operator new(std::size_t size) {
    if (pool().empty()) return ::operator new(size);
    void* memory = pool().back().release();
    pool().pop_back();
    return memory;
  }
  static void operator delete(void* memory) {
    if (pool().size() < kKept) {
      pool().emplace_back(memory);
    } else {
      ::operator delete(memory);
    }
  }

 private:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr std::size_t kKept = 0;  // memory that goes round would hide a use after its end
#else
  static constexpr std::size_t kKept = 64;
#endif
  struct Free {
    void operator()(void* memory) const { ::operator delete(memory); }
  };
  static std::vector<std::unique_ptr<void, Free>>& pool() {
    thread_local std::vector<std::unique_ptr<void, Free>> free = [] {
      std::vector<std::unique_ptr<void, Free>> v;
      v.reserve(kKept);
      return v;
    }();
    return free;
  }

  void deliver() override {
    Answer& answer = call.answer;
    if (!answer.content_type.empty() && !answer.files) {
      answer.block("Content-Type: ");
      answer.block(answer.content_type);
      answer.block("\r\n");
    }
    reply_.response().status = answer.status;
    if (call.route) reply_.setRoute(call.route->name, true);
    exchangeStrings();
    if (answer.files) return answer.files->serve(request, answer.file, std::move(reply_));
    reply_.send();
  }
  void exchangeStrings() {
    http::Response& response = reply_.response();
    response.body.swap(call.answer.body);
    response.swapHeaderBlock(call.answer.headerBlock());
  }

  http::Reply reply_;
};

class CalledExchange final : public Exchange {
 public:
  CalledExchange(const App& a, const http::Request& r, Reactor& home, Deadline d, Finished finished)
      : Exchange(a, r, home, d), finished_(std::move(finished)) {}

 private:
  void deliver() override { finished_(*this); }

  Finished finished_;
};

}  // namespace

// An Exchange owns itself; it ends in finish().
void App::handle(const http::Request& request, http::Reply reply) const {
  (new HttpExchange(*this, request, std::move(reply)))->start();
}

void App::run(const http::Request& request, Reactor& home, Deadline deadline,
              Exchange::Finished finished) const {
  (new CalledExchange(*this, request, home, deadline, std::move(finished)))->start();
}

void App::protocolError(int status, http::Response& response) const {
  struct Row {
    int status, errno_code;
    std::string_view message;
  };
  static constexpr Row kRows[] = {
      {408, kErrnoInvalidParameters, "The request did not arrive in time."},
      {413, kErrnoTooLarge, "The request body is too large."},
      {414, kErrnoInvalidParameters, "The request line is too long."},
      {417, kErrnoInvalidParameters, "The expectation cannot be met."},
      {431, kErrnoInvalidParameters, "The request headers are too large."},
      {501, kErrnoUndefined, "The transfer coding is not supported."},
      {503, kErrnoBackend,
       "Service temporary unavailable due to overloading or maintenance, please retry later."},
      {505, kErrnoUndefined, "The HTTP version is not supported."},
  };
  Row row{status, status < 500 ? kErrnoInvalidParameters : kErrnoUndefined,
          "The request is not valid HTTP."};
  for (const Row& each : kRows) {
    if (each.status == status) row = each;
  }
  Answer answer;
  setError(answer, status, row.errno_code, row.message);
  response.header("Content-Type", answer.content_type);
  response.appendHeaderBlock(answer.headers());
  response.appendHeaderBlock(common_headers_);
  if (status == 503 && response.get("Retry-After").empty()) {
    response.header("Retry-After", config_.retry_after_seconds);
  }
  response.body = std::move(answer.body);
}

}  // namespace godwit::kinto
