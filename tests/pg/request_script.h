#pragma once

#include <cstdint>
#include <map>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "normal_form.h"
#include "test_app.h"

namespace godwit::test {

// A request for several servers at once. Where they differ it holds names: "@{list#k}" is the k-th
// time of that list, "@{next}" where the last list that was cut off goes on.
struct Step {
  std::string method, path, user, body;
  kinto::HeaderList headers;
  std::vector<Step> items;  // of a batch, whose body is made of them

  [[nodiscard]] std::string text() const;
};

// Requests that follow from a seed and from which times have been seen, and from nothing else: few
// names, so that they meet, and values from every corner of JSON.
class RequestScript {
 public:
  // `ids`: user name to user id.
  RequestScript(std::uint64_t seed, std::map<std::string, std::string> ids);
  Step next(const Stamps& seen);

 private:
  Step single(const Stamps& seen);
  Step foundation();
  Step write(const Stamps& seen);
  Step read(const Stamps& seen);
  Step batch(const Stamps& seen);
  void conditions(Step& step, const Stamps& seen);

  std::string bucket();
  std::string list();
  std::string object();
  std::string data(const std::string& list, const Stamps& seen);
  std::string permissions();
  std::string principal();
  std::string patch(Step& step, const Stamps& seen);
  std::string query(const std::string& list, const Stamps& seen);
  std::string filter(const std::string& list, const Stamps& seen);
  std::string time(const std::string& list, const Stamps& seen);
  std::string user();

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  bool chance(unsigned percent) { return below(100) < percent; }
  template <class T, std::size_t kN>
  const T& pick(const T (&all)[kN]) {
    return all[below(kN)];
  }

  std::mt19937_64 random_;
  const std::map<std::string, std::string> ids_;
};

}  // namespace godwit::test
