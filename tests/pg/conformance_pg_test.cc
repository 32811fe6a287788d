// The suite every backend passes, on a real server.
#include "cluster.h"
#include "store/conformance.h"
#include "store/postgresql/backend.h"

namespace godwit::store {
namespace {

std::optional<Opened> openPostgres() {
  if (!test::Cluster::whyNot().empty()) return std::nullopt;
  auto& cluster = test::Cluster::shared();
  static const std::string kDatabase = cluster.freshDatabase();
  cluster.exec("TRUNCATE objects, timestamps, user_principals, access_control_entries, cache",
               kDatabase);
  Opened opened;
  auto backend =
      std::make_unique<postgresql::PgBackend>(postgresql::Options(cluster.url(kDatabase)));
  opened.backend = std::move(backend);
  return opened;
}

INSTANTIATE_TEST_SUITE_P(PostgreSQL, StoreConformance,
                         testing::Values(Factory{"postgresql", openPostgres}), factoryName);

}  // namespace
}  // namespace godwit::store
