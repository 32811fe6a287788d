// The way from HTTP into the API and back.
#include <memory>

#include "kinto/app.h"

namespace godwit::kinto {

void App::handle(const http::Request& request, http::Reply reply) const {
  Reactor& reactor = reply.reactor();
  Deadline deadline = reply.deadline();
  // std::function wants to be copyable, a Reply is not.
  auto held = std::make_shared<http::Reply>(std::move(reply));
  run(request, reactor, deadline, [held](Exchange& exchange) {
    Answer& answer = exchange.call.answer;
    http::Response& response = held->response();
    response.status = answer.status;
    if (!answer.content_type.empty()) response.header("Content-Type", answer.content_type);
    response.appendHeaderBlock(answer.headers());
    response.body = std::move(answer.body);
    held->send();
  });
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
