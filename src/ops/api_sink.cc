#include "ops/api_sink.h"

#include <algorithm>

#include "base/encoding.h"
#include "base/random.h"
#include "kinto/render.h"
#include "ops/row_text.h"
#include "ops/uri.h"

namespace godwit::ops {
namespace {

std::string pathOf(const store::Ref& ref, const Row& row) {
  return percentEncode(objectUri(ref, row.object.id), "/-._~");
}

// {"data":{...,"last_modified":N},"permissions":{...}}
std::string bodyOf(const Row& row) {
  std::string out = "{\"data\":";
  out.append(row.object.data, 0, row.object.data.size() - 1);
  if (row.object.data.size() > 2) out += ',';
  out += "\"last_modified\":" + std::to_string(row.object.last_modified) + "}";
  if (!row.permissions.empty()) {
    out += ",\"permissions\":";
    kinto::renderPermissions(out, row.permissions);
  }
  return out + "}";
}

// What is made in order to be deleted: older than everything, so that the tombstone may have any
// time, and of a time of its own, which no other has in the same list.
std::string shortLived(const store::Ref& ref, store::Timestamp before) {
  constexpr store::Timestamp kOld = 1'000'000'000'000;  // 2001
  auto bound = static_cast<std::uint64_t>(std::clamp<store::Timestamp>(before - 1, 1, kOld));
  std::string stamp = std::to_string(1 + randomBelow(bound));
  const char* members = ref.resource == "group" ? "\"members\":[]," : "";
  return std::string("{\"data\":{") + members + "\"last_modified\":" + stamp + "}}";
}

store::Timestamp stampOf(const json::Value* object) {
  const json::Value* stamp = object ? object->get("last_modified") : nullptr;
  return stamp ? stamp->toInt().value_or(0) : 0;
}

}  // namespace

Result<std::unique_ptr<ApiSink>> ApiSink::open(const std::string& url, const std::string& auth) {
  auto api = Api::open(url, auth);
  if (!api.ok()) return std::move(api).error();
  return std::make_unique<ApiSink>(std::shared_ptr<Api>(std::move(*api)));
}

ApiSink::ApiSink(std::shared_ptr<Api> api)
    : api_(std::move(api)), presence_([this](const store::Ref& ref, store::Timestamp after) {
        ApiSource reader(api_);
        return reader.rows(ref, after, false);
      }) {}

bool ApiSink::takes(const store::Ref& ref) const {
  return ref.resource == "bucket" || ref.resource == "collection" || ref.resource == "group" ||
         ref.resource == "record";
}

Result<bool> ApiSink::begin(const List& list, store::Timestamp&) {
  presence_.start(list.ref);
  return true;
}

Result<void> ApiSink::put(const store::Ref& ref, const std::vector<Row>& rows) {
  std::vector<const Row*> wanted;
  for (const Row& row : rows) {
    auto there = presence_.has(row);
    if (!there.ok()) return std::move(there).error();
    if (*there) {
      ++present_;
    } else {
      wanted.push_back(&row);
    }
  }
  if (wanted.empty()) return {};
  auto left = create(ref, wanted);
  if (!left.ok()) return std::move(left).error();
  return replace(ref, *left);
}

// Answers what has to be replaced or deleted in a second step.
Result<std::vector<ApiSink::Pending>> ApiSink::create(const store::Ref& ref,
                                                      const std::vector<const Row*>& rows) {
  std::vector<Api::Call> calls;
  for (const Row* row : rows) {
    Api::Call& call = calls.emplace_back();
    call.method = "PUT";
    call.path = pathOf(ref, *row);
    call.body = row->object.deleted ? shortLived(ref, row->object.last_modified) : bodyOf(*row);
    call.if_none_match = true;
  }
  auto replies = api_->batch(calls);
  if (!replies.ok()) return std::move(replies).error();
  std::vector<Pending> left;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = *rows[i];
    const Api::Reply& reply = (*replies)[i];
    if (reply.status == 412) {
      const json::Value* details = reply.body.get("details");
      store::Timestamp there = stampOf(details ? details->get("existing") : nullptr);
      if (there == row.object.last_modified && !row.object.deleted) {
        ++present_;  // written by a request whose answer was lost
      } else if (there > row.object.last_modified || there == 0) {
        note(describe(ref) + ", id " + row.object.id + ": the target has a newer one");
      } else {
        left.push_back({&row, std::to_string(there)});
      }
    } else if (row.object.deleted && (reply.status == 200 || reply.status == 201)) {
      left.push_back({&row, std::to_string(stampOf(reply.body.get("data")))});
    } else {
      check(ref, row, reply);
    }
  }
  return left;
}

Result<void> ApiSink::replace(const store::Ref& ref, const std::vector<Pending>& rows) {
  if (rows.empty()) return {};
  std::vector<Api::Call> calls;
  for (const Pending& p : rows) {
    Api::Call& call = calls.emplace_back();
    call.path = pathOf(ref, *p.row);
    call.if_match = p.if_match;
    if (p.row->object.deleted) {
      call.method = "DELETE";
      call.path += "?last_modified=" + std::to_string(p.row->object.last_modified);
    } else {
      call.method = "PUT";
      call.body = bodyOf(*p.row);
    }
  }
  auto replies = api_->batch(calls);
  if (!replies.ok()) return std::move(replies).error();
  for (std::size_t i = 0; i < rows.size(); ++i) check(ref, *rows[i].row, (*replies)[i]);
  return {};
}

void ApiSink::check(const store::Ref& ref, const Row& row, const Api::Reply& reply) {
  if (reply.status != 200 && reply.status != 201) {
    note(refused(describe(ref) + ", id " + row.object.id, reply.status, json::dump(reply.body))
             .message);
    return;
  }
  ++written_;
  if (stampOf(reply.body.get("data")) != row.object.last_modified) {
    note(describe(ref) + ", id " + row.object.id + ": the target gave it another time");
  }
}

}  // namespace godwit::ops
