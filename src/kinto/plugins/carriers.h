#pragma once

#include <memory>
#include <string>

#include "godwit/result.h"
#include "kinto/courier.h"

namespace godwit::kinto {

// LPUSHes messages to a Redis list. Errors: the URL is none.
Result<std::unique_ptr<Carrier>> makeRedisCarrier(const std::string& url, std::string list);

// A message for a webhook begins with a UUID.
inline constexpr std::size_t kEventIdSize = 36;

// POSTs each message to a URL as JSON, its UUID in X-Godwit-Event, by which the receiver knows a
// repetition. 2xx is delivered; 408, 425, 429 and 5xx are tried again, not before
// Retry-After; anything else is refused. Redirects are not followed.
Result<std::unique_ptr<Carrier>> makeWebhookCarrier(const std::string& url);

}  // namespace godwit::kinto
