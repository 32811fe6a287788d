// What a generation writes to stdout and stderr, when it passes through the supervisor: on to a
// sink, with its end kept for the report of a failure.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/unique_fd.h"
#include "godwit/result.h"
#include "supervise/loop.h"

namespace godwit::supervise {

// Where output goes: our own stderr or stdout, or a log file. Never blocks, and never changes the
// flags of a description others share.
class Sink {
 public:
  Sink(EventLoop& loop, int fd);            // duplicates it
  Sink(EventLoop& loop, std::string path);  // opened by reopen()
  ~Sink();
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  Result<> reopen();  // log files only; the old one stays in use on an error
  [[nodiscard]] bool isFile() const { return !path_.empty(); }
  // Bytes taken; less than all means: wait for the call of onWritable. An error of the sink (full
  // disk, closed pipe) counts as taken, and as lost.
  std::size_t write(std::string_view bytes);
  // Called once when it may take more.
  void onWritable(std::function<void()> f);
  [[nodiscard]] std::uint64_t lost() const { return lost_; }

 private:
  void adopt(int fd);
  void wake();

  EventLoop& loop_;
  std::string path_;
  UniqueFd fd_;
  bool socket_ = false;
  bool careful_ = false;  // a shared blocking description: ask before each write
  bool watching_ = false;
  std::vector<std::function<void()>> waiting_;
  std::uint64_t lost_ = 0;
};

// The reading end of one generation's pipe.
class OutputPipe {
 public:
  static constexpr std::size_t kKept = 64 * 1024;

  // `sink` outlives this.
  OutputPipe(EventLoop& loop, Sink& sink) : loop_(loop), sink_(sink) {}
  ~OutputPipe();
  OutputPipe(const OutputPipe&) = delete;
  OutputPipe& operator=(const OutputPipe&) = delete;

  Result<UniqueFd> open();  // returns the writing end, for the child
  Result<> adopt(UniqueFd read_end);
  // Before each line; "" passes bytes through as they come.
  void setPrefix(std::string prefix) { prefix_ = std::move(prefix); }
  void drain();   // reads what is there now
  void finish();  // the same, then closes
  [[nodiscard]] const std::string& tail() const { return tail_; }
  void setTail(std::string tail) { tail_ = std::move(tail); }
  [[nodiscard]] std::string lastLines(std::size_t lines) const;
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  void readSome();
  void keep(std::string_view bytes);
  void pass(std::string_view bytes);
  void flush();

  EventLoop& loop_;
  Sink& sink_;
  UniqueFd fd_;
  std::string tail_;
  std::string prefix_;
  bool line_start_ = true;
  std::string unsent_;  // at most one read and its prefixes
  bool paused_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for callbacks left with the sink
};

}  // namespace godwit::supervise
