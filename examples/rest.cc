// Notes in memory, by REST: routes with parameters, status codes, basic auth, forms in the query.
#include <map>
#include <mutex>

#include "common.h"
#include "godwit/http/forms.h"
#include "godwit/http/router.h"

using namespace godwit;

namespace {

class Notes {
 public:
  void list(const http::Request& request, http::Reply reply) {
    const std::string want = http::formValue(request.query, "contains").value_or("");
    std::string text;
    std::lock_guard lock(mu_);
    for (const auto& [id, note] : notes_) {
      if (note.find(want) != std::string::npos) text += std::to_string(id) + " " + note + "\n";
    }
    reply.send(200, text);
  }
  void create(const http::Request& request, http::Reply reply) {
    if (!http::basicAuth(request)) {
      reply.response().header("WWW-Authenticate", "Basic realm=\"notes\"");
      return reply.send(401, "who are you?\n");
    }
    std::lock_guard lock(mu_);
    const int id = ++last_;
    notes_[id] = request.body;
    reply.response().header("Location", "/notes/" + std::to_string(id));
    reply.send(201, std::to_string(id) + "\n");
  }
  void get(const http::Params& params, http::Reply reply) {
    std::lock_guard lock(mu_);
    auto it = notes_.find(std::atoi(std::string(params["id"]).c_str()));
    if (it == notes_.end()) return reply.send(404, "no such note\n");
    reply.send(200, it->second);
  }
  void remove(const http::Params& params, http::Reply reply) {
    std::lock_guard lock(mu_);
    reply.response().status =
        notes_.erase(std::atoi(std::string(params["id"]).c_str())) ? 204 : 404;
    reply.send();
  }

 private:
  std::mutex mu_;  // handlers run on every loop
  std::map<int, std::string> notes_;
  int last_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  Notes notes;
  http::Router router;
  router.get("/notes",
             [&](const auto& r, const auto&, auto reply) { notes.list(r, std::move(reply)); });
  router.post("/notes",
              [&](const auto& r, const auto&, auto reply) { notes.create(r, std::move(reply)); });
  router.get("/notes/{id}",
             [&](const auto&, const auto& p, auto reply) { notes.get(p, std::move(reply)); });
  router.del("/notes/{id}",
             [&](const auto&, const auto& p, auto reply) { notes.remove(p, std::move(reply)); });
  http::Server server;
  router.attach(server);
  return serve(server, argc, argv);
}
