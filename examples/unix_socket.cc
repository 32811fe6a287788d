// Behind a proxy on the same machine: curl --unix-socket /tmp/example.sock http://x/
#include "common.h"

using namespace godwit;

int main(int argc, char** argv) {
  http::Server::Options options;
  options.unix_mode = 0660;
  http::Server server(options);
  server.onRequest([](const http::Request& request, http::Reply reply) {
    reply.send(200, "hello " + std::string(request.header("X-Forwarded-For")) + "\n");
  });
  return serve(server, argc, argv, "unix:/tmp/example.sock");
}
