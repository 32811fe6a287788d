#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/task.h"
#include "godwit/result.h"
#include "store/session.h"
#include "store/types.h"

namespace godwit::kinto {

// What a bucket or a collection holds, as Kinto's plugin stored it: the object "bucket_info" or
// "collection_info" of the list {"quota", URI}.
struct QuotaUse {
  std::int64_t collections = 0;  // of a bucket only
  std::int64_t records = 0;
  std::int64_t bytes = 0;  // of all objects, itself included

  QuotaUse& operator+=(const QuotaUse& other);
  QuotaUse& operator-=(const QuotaUse& other);
};

// Length of the object as JSON in ASCII without white space, with id and last_modified.
std::int64_t quotaSize(const store::Object& object);

enum class QuotaOf : std::uint8_t { kBucket, kCollection };

// Zeros when nothing is stored.
Task<Result<QuotaUse>> readQuotaUse(store::Session& session, QuotaOf of, std::string uri);
// Values below zero, of a database whose counts were wrong, are stored as zero.
Task<Result<void>> writeQuotaUse(store::Session& session, QuotaOf of, std::string uri,
                                 QuotaUse use);
// Until the end of the transaction nobody else changes what the bucket is said to hold.
Task<Result<void>> lockQuotaUse(store::Session& session, std::string bucket_uri);

}  // namespace godwit::kinto
