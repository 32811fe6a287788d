// A folder over HTTP: ranges, validators, pre-compressed siblings. usage: static [URL [FOLDER]]
#include "common.h"
#include "godwit/http/router.h"
#include "godwit/http/static_files.h"

using namespace godwit;

int main(int argc, char** argv) {
  http::StaticFiles::Options options;
  options.list_folders = true;
  auto files = http::StaticFiles::open(argc > 2 ? argv[2] : ".", options);
  if (!files.ok()) {
    std::fprintf(stderr, "%s\n", files.error().message.c_str());
    return 1;
  }
  http::Router router;
  router.any("/{path...}", [&](const http::Request& r, const http::Params& p, http::Reply reply) {
    files->serve(r, p["path"], std::move(reply));
  });
  http::Server server;
  router.attach(server);
  return serve(server, argc, argv);
}
