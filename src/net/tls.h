#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "godwit/result.h"
#include "net/stream.h"

namespace godwit::net {

// The server side of TLS 1.2 and 1.3 by OpenSSL, which stays inside tls.cc. Certificates can be
// replaced while serving: connections keep what they began with. Any thread.
class TlsContext {
 public:
  struct Files {
    std::string certificate;  // PEM, the chain behind it
    std::string key;          // PEM
    std::string ciphers;      // TLS 1.2 list in OpenSSL's notation; "": a modern default
  };

  static Result<std::shared_ptr<TlsContext>> load(Files files);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  // Reads the files again. On an error everything stays as it was. Sessions stay resumable.
  Result<void> reload();
  // The layer for an accepted socket; null when memory is short.
  std::unique_ptr<StreamLayer> accept(int fd);

 private:
  struct Current;
  explicit TlsContext(Files files) : files_(std::move(files)) {}
  Result<std::shared_ptr<Current>> make() const;

  const Files files_;
  std::mutex mu_;
  std::shared_ptr<Current> current_;  // guarded by mu_
};

}  // namespace godwit::net
