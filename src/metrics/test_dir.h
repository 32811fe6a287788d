#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

namespace godwit::metrics {

// For tests: a fresh directory, removed with everything in it.
class TestDir {
 public:
  TestDir() {
    std::string name = std::filesystem::temp_directory_path() / "godwit-metrics-XXXXXX";
    path_ = ::mkdtemp(name.data()) ? name : "";
  }
  ~TestDir() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  TestDir(const TestDir&) = delete;
  TestDir& operator=(const TestDir&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace godwit::metrics
