#pragma once

#include <string>

#include "cli/stack.h"

namespace godwit::cli {

// What `godwit up` writes; without the seal.
struct StackFiles {
  const StackPlaces& places;
  std::string server;      // the program
  std::string agent;       // the program; "" for none
  std::string web;         // as godwit-run takes it: "127.0.0.1:8888", "unix:/path"
  std::string admin;       // the same; "" for none
  std::string metrics;     // "127.0.0.1:8135": of the agent
  std::string log_format;  // "" for the programs' own choice
};

std::string agentText(const StackFiles& files);
std::string runText(const StackFiles& files);

}  // namespace godwit::cli
