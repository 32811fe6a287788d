// What every example does: listen where the first argument says, tell the URL, serve, narrate.
#pragma once

#include <cstdio>
#include <string>

#include "godwit/http/server.h"

inline int serve(godwit::http::Server& server, int argc, char** argv,
                 const std::string& fallback = "http://127.0.0.1:8000") {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);  // what happens is told when it happens
  const std::string url = argc > 1 ? argv[1] : fallback;
  if (auto bound = server.listen(url); !bound.ok()) {
    std::fprintf(stderr, "%s\n", bound.error().message.c_str());
    return 1;
  }
  server.onReady([&server] {
    std::printf("listening on %s, Ctrl-C drains\n", server.endpoints()[0].c_str());
    std::fflush(stdout);
  });
  auto report = server.run();
  if (!report.ok()) {
    std::fprintf(stderr, "%s\n", report.error().message.c_str());
    return 1;
  }
  std::printf("%s\n", godwit::http::describe(*report).c_str());
  return 0;
}
