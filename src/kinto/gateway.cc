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

}  // namespace godwit::kinto
