#include "supervise/program.h"

int main(int argc, char** argv) {
  return godwit::supervise::runProgram(std::vector<std::string>(argv + 1, argv + argc));
}
