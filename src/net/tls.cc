#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>

namespace godwit::net {
namespace {

constexpr char kModernCiphers[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
    "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
constexpr unsigned char kHttp11[] = "\x08http/1.1";
constexpr unsigned char kSessionContext[] = "godwit";

std::string opensslError() {
  char text[256];
  ERR_error_string_n(ERR_get_error(), text, sizeof text);
  ERR_clear_error();
  return text;
}

// No protocol in common is an error the client hears of (RFC 7301 section 3.2).
int selectProtocol(SSL*, const unsigned char** out, unsigned char* out_size,
                   const unsigned char* in, unsigned in_size, void*) {
  auto* chosen = const_cast<unsigned char**>(out);
  return SSL_select_next_proto(chosen, out_size, kHttp11, sizeof kHttp11 - 1, in, in_size) ==
                 OPENSSL_NPN_NEGOTIATED
             ? SSL_TLSEXT_ERR_OK
             : SSL_TLSEXT_ERR_ALERT_FATAL;
}

class Session final : public StreamLayer {
 public:
  explicit Session(SSL* ssl) : ssl_(ssl) {}
  ~Session() override { SSL_free(ssl_); }

  ssize_t read(void* data, std::size_t size) override {
    ERR_clear_error();
    int n = SSL_read(ssl_, data, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
    wants_write_ = false;
    starved_ = n <= 0;
    if (n > 0) return n;
    return result(n, true);
  }
  ssize_t write(const void* data, std::size_t size) override {
    ERR_clear_error();
    int n = SSL_write(ssl_, data, static_cast<int>(std::min<std::size_t>(size, INT_MAX)));
    if (n > 0) return n;
    return result(n, false);
  }
  [[nodiscard]] bool readWantsWrite() const override { return wants_write_; }
  // After a read that got nothing, what OpenSSL holds is part of a record: no use reading again.
  [[nodiscard]] bool pending() const override { return !starved_ && SSL_has_pending(ssl_); }
  [[nodiscard]] bool handshaking() const override { return !SSL_is_init_finished(ssl_); }
  void shutdown() override {
    if (failed_ || handshaking()) return;
    ERR_clear_error();
    SSL_shutdown(ssl_);  // one close_notify; the peer's is not waited for
    ERR_clear_error();
  }

 private:
  ssize_t result(int n, bool reading) {
    int saved = errno;
    switch (SSL_get_error(ssl_, n)) {
      case SSL_ERROR_WANT_READ:
        return -EAGAIN;
      case SSL_ERROR_WANT_WRITE:
        wants_write_ = reading;
        return -EAGAIN;
      case SSL_ERROR_ZERO_RETURN:
        return reading ? 0 : -EPIPE;
      case SSL_ERROR_SYSCALL:
        failed_ = true;
        return saved ? -saved : -ECONNRESET;
      default:
        failed_ = true;
        ERR_clear_error();
        return -EPROTO;
    }
  }

  SSL* ssl_;
  bool wants_write_ = false;
  bool starved_ = true;
  bool failed_ = false;
};

}  // namespace

struct TlsContext::Current {
  SSL_CTX* ctx = nullptr;
  Current() = default;
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
  ~Current() { SSL_CTX_free(ctx); }
};

TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext::Current>> TlsContext::make() const {
  auto c = std::make_shared<Current>();
  c->ctx = SSL_CTX_new(TLS_server_method());
  auto fail = [](const std::string& what) {
    return Error(ErrorCode::kInvalid, "cannot " + what + ": " + opensslError());
  };
  if (!c->ctx) return fail("set up TLS");
  SSL_CTX_set_min_proto_version(c->ctx, TLS1_2_VERSION);
  SSL_CTX_set_options(c->ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                  SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                  SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(c->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                               SSL_MODE_RELEASE_BUFFERS);
  // One recv() takes header and record; without it each record costs two.
  SSL_CTX_set_read_ahead(c->ctx, 1);
  SSL_CTX_set_session_id_context(c->ctx, kSessionContext, sizeof kSessionContext - 1);
  SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_SERVER);
  SSL_CTX_sess_set_cache_size(c->ctx, 20'000);
  SSL_CTX_set_alpn_select_cb(c->ctx, selectProtocol, nullptr);
  const char* ciphers = files_.ciphers.empty() ? kModernCiphers : files_.ciphers.c_str();
  if (SSL_CTX_set_cipher_list(c->ctx, ciphers) != 1) return fail("use the TLS cipher list");
  if (SSL_CTX_use_certificate_chain_file(c->ctx, files_.certificate.c_str()) != 1) {
    return fail("load the certificate " + files_.certificate);
  }
  if (SSL_CTX_use_PrivateKey_file(c->ctx, files_.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return fail("load the key " + files_.key);
  }
  if (SSL_CTX_check_private_key(c->ctx) != 1) {
    return fail("use the key " + files_.key + " with the certificate " + files_.certificate);
  }
  return c;
}

Result<std::shared_ptr<TlsContext>> TlsContext::load(Files files) {
  std::shared_ptr<TlsContext> t(new TlsContext(std::move(files)));
  Result<std::shared_ptr<Current>> made = t->make();
  if (!made.ok()) return std::move(made).error();
  t->current_ = std::move(made).value();
  return t;
}

Result<void> TlsContext::reload() {
  Result<std::shared_ptr<Current>> made = make();
  if (!made.ok()) return std::move(made).error();
  std::lock_guard lock(mu_);
  // Tickets given out before stay good.
  unsigned char keys[256];
  long size = SSL_CTX_get_tlsext_ticket_keys(current_->ctx, nullptr, 0);
  if (size > 0 && size <= static_cast<long>(sizeof keys) &&
      SSL_CTX_get_tlsext_ticket_keys(current_->ctx, keys, size) == 1) {
    SSL_CTX_set_tlsext_ticket_keys((*made)->ctx, keys, size);
  }
  OPENSSL_cleanse(keys, sizeof keys);
  current_ = std::move(made).value();
  return {};
}

std::unique_ptr<StreamLayer> TlsContext::accept(int fd) {
  SSL* ssl = nullptr;
  {
    std::lock_guard lock(mu_);
    ssl = SSL_new(current_->ctx);  // keeps the SSL_CTX alive
  }
  if (!ssl) return nullptr;
  if (SSL_set_fd(ssl, fd) != 1) {
    SSL_free(ssl);
    return nullptr;
  }
  SSL_set_accept_state(ssl);
  return std::make_unique<Session>(ssl);
}

}  // namespace godwit::net
