#pragma once

#include <memory>
#include <string>
#include <vector>

#include "normal_form.h"
#include "request_script.h"
#include "test_app.h"

namespace godwit::test {

// One of several servers that are asked the same: any number of nodes on one store, which take
// turns.
class ApiPeer {
 public:
  ApiPeer(std::string name, std::vector<std::unique_ptr<kinto::TestApp>> nodes)
      : name_(std::move(name)), nodes_(std::move(nodes)) {}

  // The normal form of the answer.
  std::string ask(const Step& step);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Stamps& stamps() const { return stamps_; }
  [[nodiscard]] kinto::TestApp& node(std::size_t i) { return *nodes_[i]; }

 private:
  // With what this server's names stand for.
  [[nodiscard]] Step resolve(const Step& step) const;
  [[nodiscard]] std::string resolve(std::string_view text) const;
  std::string judge(const Step& step, const kinto::Seen& seen);
  std::string judgeItems(const Step& step, const kinto::Seen& seen);

  const std::string name_;
  const std::vector<std::unique_ptr<kinto::TestApp>> nodes_;
  Stamps stamps_;
  std::string next_ = "/buckets";  // of "@{next}"
  std::size_t turn_ = 0;
};

}  // namespace godwit::test
