#include "agent/otlp_client.h"

#include "agent/otlp_encoder.h"

namespace godwit::agent {
namespace {

Outcome otlpOutcome(const HttpAnswer& a) {
  Outcome o;
  o.code = a.kind == HttpAnswer::Kind::kAnswered ? a.status : 0;
  o.retry_after_s = a.retry_after_s;
  o.message = a.kind == HttpAnswer::Kind::kAnswered
                  ? "HTTP " + std::to_string(a.status) + ": " + a.body.substr(0, 300)
                  : a.error;
  if (a.kind == HttpAnswer::Kind::kAborted) {
    o.kind = Outcome::Kind::kAborted;
  } else if (a.kind != HttpAnswer::Kind::kAnswered) {
    o.unreachable = a.kind == HttpAnswer::Kind::kUnreachable;
  } else if (a.status >= 200 && a.status < 300) {
    o.kind = Outcome::Kind::kOk;
  } else if (a.status == 400 || a.status == 422) {
    o.kind = Outcome::Kind::kRejected;
  } else if (a.status == 413) {
    o.kind = Outcome::Kind::kTooLarge;
  } else if (a.status == 401 || a.status == 403 || a.status == 404) {
    o.kind = Outcome::Kind::kForbidden;
  }
  return o;
}

}  // namespace

OtlpClient::Answer OtlpClient::post(const OtlpAddress& to, std::string body) {
  std::vector<std::string> headers = to.headers;
  std::string packed;
  if (to.gzip && body.size() > 1024 && gzipCompress(body, packed)) {
    headers.emplace_back("Content-Encoding: gzip");
    body = std::move(packed);
  }
  auto begin = std::chrono::steady_clock::now();
  HttpAnswer answer = http_.post(to.url, headers, body, to.timeout);
  Answer a;
  a.outcome = otlpOutcome(answer);
  a.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  if (a.outcome.kind == Outcome::Kind::kOk && !to.json) {
    a.rejected = otlpRejected(answer.body, a.why);
  }
  return a;
}

}  // namespace godwit::agent
