// The smallest server. SIGTERM and Ctrl-C drain it; a second one stops it at once.
#include "common.h"

using namespace godwit;

int main(int argc, char** argv) {
  http::Server server;
  server.onRequest([](const http::Request&, http::Reply reply) { reply.send(200, "hello\n"); });
  return serve(server, argc, argv);
}
