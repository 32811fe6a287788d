// Uploads of any size in constant memory: the body is parsed as it comes, never held.
#include <memory>

#include "common.h"
#include "godwit/http/forms.h"
#include "godwit/http/router.h"

using namespace godwit;

namespace {

struct Upload {
  http::Reply reply;
  std::string report;
  std::size_t size = 0;
  std::unique_ptr<http::MultipartParser> parser;
  explicit Upload(http::Reply r) : reply(std::move(r)) {}

  void event(http::BodyEvent e, std::string_view bytes) {
    if (!reply) return;
    Result<void> ok = e == http::BodyEvent::kData  ? parser->feed(bytes)
                      : e == http::BodyEvent::kEnd ? parser->finish()
                                                   : Result<void>();
    if (!ok.ok()) return reply.send(400, ok.error().message + "\n");
    if (e == http::BodyEvent::kEnd) reply.send(200, report);
  }
};

void receive(const http::Request& request, const http::Params&, http::Reply reply) {
  auto upload = std::make_shared<Upload>(std::move(reply));
  Upload* u = upload.get();
  http::MultipartParser::Events events;
  events.begin = [u](const http::PartHead& part) {
    u->report += part.name + " " + part.filename;
    u->size = 0;
  };
  events.data = [u](std::string_view d) { u->size += d.size(); };
  events.end = [u] { u->report += " " + std::to_string(u->size) + " bytes\n"; };
  auto parser = http::MultipartParser::forRequest(request, std::move(events));
  if (!parser.ok()) return upload->reply.send(415, parser.error().message + "\n");
  u->parser = std::make_unique<http::MultipartParser>(std::move(parser).value());
  u->reply.onBody([upload](http::BodyEvent e, std::string_view bytes) { upload->event(e, bytes); });
}

}  // namespace

int main(int argc, char** argv) {
  http::Router router;
  http::RouteOptions options;
  options.body.stream = true;
  options.body.max_bytes = std::size_t{10} << 30;
  router.post("/upload", receive, options);
  http::Server server;
  router.attach(server);
  return serve(server, argc, argv);
}
