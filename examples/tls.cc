// HTTPS; kill -HUP reads the certificate again. usage: tls URL CERTIFICATE KEY
#include "common.h"

using namespace godwit;

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: tls https://127.0.0.1:8443 CERTIFICATE KEY\n");
    return 2;
  }
  http::Server server;
  http::Tls files;
  files.certificate = argv[2];
  files.key = argv[3];
  if (auto r = server.useTls(files); !r.ok()) {
    std::fprintf(stderr, "%s\n", r.error().message.c_str());
    return 1;
  }
  server.onRequest([](const http::Request& request, http::Reply reply) {
    reply.send(200, request.tls ? "hello over TLS\n" : "hello\n");
  });
  return serve(server, argc, argv);
}
