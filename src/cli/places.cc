#include "cli/places.h"

#include "cli/prompt.h"
#include "kinto/stores.h"
#include "ops/store_sink.h"
#include "ops/store_source.h"
#include "store/copy_source.h"
#include "store/postgresql/options.h"

namespace godwit::cli {
namespace {

template <class Base, class Derived>
Result<std::unique_ptr<Base>> upcast(Result<std::unique_ptr<Derived>> opened) {
  if (!opened.ok()) return std::move(opened).error();
  return std::unique_ptr<Base>(std::move(*opened));
}

}  // namespace

Result<Place> placeOf(const Context& context, const kinto::Settings& settings,
                      const std::string& text, const std::string& auth) {
  Place place;
  if (text.empty()) {
    auto own = kinto::storageUrl(settings);
    if (!own.ok()) return std::move(own).error();
    place.url = std::move(*own);
    return place;
  }
  bool scheme =
      ops::isHttpUrl(text) || store::isSqliteUrl(text) || store::postgresql::isPostgresUrl(text);
  if (!scheme && text.find("://") != std::string::npos) {
    return Error(ErrorCode::kInvalid, "'" + text +
                                          "' is neither http://host/v1, unix:path, "
                                          "sqlite:path nor postgresql://...");
  }
  place.url = scheme ? text : "sqlite:" + text;
  if (!place.isServer()) return place;
  place.auth = auth.empty() ? context.variable("GODWIT_AUTH") : auth;
  bool name_only = !place.auth.empty() && place.auth.find_first_of(": ") == std::string::npos;
  if (name_only) {
    auto password = ask(context, "Password of " + place.auth + " at " + text + ": ", true);
    if (!password) return Error(ErrorCode::kInvalid, "no password was given");
    place.auth += ":" + *password;
  }
  return place;
}

Result<void> makeFolder(const kinto::Settings& settings, const std::string& text) {
  if (!text.empty() || settings.backend("storage_backend") == "postgresql") return {};
  auto made = kinto::dataFolder(settings);
  return made.ok() ? Result<void>() : Result<void>(std::move(made).error());
}

std::string shown(const Place& place) {
  return place.isServer() ? place.url : ops::publicStoreUrl(place.url);
}

Result<std::unique_ptr<ops::Source>> openSource(const Place& place) {
  if (place.isServer()) {
    return upcast<ops::Source>(ops::ApiSource::open(place.url, place.auth));
  }
  return upcast<ops::Source>(ops::StoreSource::open(place.url));
}

Result<std::unique_ptr<ops::Sink>> openSink(const Place& place) {
  if (place.isServer()) return upcast<ops::Sink>(ops::ApiSink::open(place.url, place.auth));
  return upcast<ops::Sink>(ops::StoreSink::open(place.url));
}

}  // namespace godwit::cli
