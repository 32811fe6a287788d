// The server under test: a constant route of about 698 bytes on the wire, TLS when given a
// certificate. usage: http_server_bench URL [THREADS] [CERT KEY]
#include <cstdio>
#include <cstdlib>
#include <string>

#include "godwit/http/server.h"

using namespace godwit;  // NOLINT

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: http_server_bench URL [THREADS] [CERT KEY]\n");
    return 2;
  }
  http::Server::Options options;
  options.threads = argc > 2 ? static_cast<std::size_t>(std::atoi(argv[2])) : 1;
  options.limits.idle_timeout = std::chrono::hours(1);
  http::Server server(options);
  if (Result<void> r = server.listen(argv[1]); !r.ok()) {
    std::fprintf(stderr, "http_server_bench: %s\n", r.error().message.c_str());
    return 1;
  }
  http::Response prepared;
  prepared.header("Content-Type", "application/json");
  prepared.header("ETag", "\"1700000000123\"");
  prepared.header("Last-Modified", "Fri, 20 Nov 2026 05:40:16 GMT");
  prepared.header("Cache-Control", "no-cache, no-store");
  prepared.header("Access-Control-Expose-Headers", "Backoff, Retry-After, Content-Length, Alert");
  prepared.header("X-Content-Type-Options", "nosniff");
  const std::string headers = prepared.headerBlock();
  const std::string body = "{\"data\":\"" + std::string(698 - 310 - 11, 'x') + "\"}";
  server.onRequest([&](const http::Request&, http::Reply reply) {
    http::Response& r = reply.response();
    r.appendHeaderBlock(headers);
    r.body.assign(body);
    reply.send();
  });
  server.onReady([&] {
    std::printf("%s\n", server.endpoints()[0].c_str());
    std::fflush(stdout);
  });
  Result<http::DrainReport> report = server.run();
  return report.ok() ? 0 : 1;
}
