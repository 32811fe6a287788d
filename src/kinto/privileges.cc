#include "kinto/privileges.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include "base/os_error.h"
#include "kinto/text.h"

namespace godwit::kinto {

Result<void> dropPrivileges(const std::string& user, const std::string& group) {
  if (::geteuid() != 0 || (user.empty() && group.empty())) return {};
  gid_t gid = ::getgid();
  uid_t uid = ::getuid();
  if (auto number = toInt(user)) {
    uid = static_cast<uid_t>(*number);
  } else if (!user.empty()) {
    const passwd* entry = ::getpwnam(user.c_str());  // NOLINT(concurrency-mt-unsafe): start-up
    if (!entry) return {ErrorCode::kInvalid, "godwit.uid: there is no user \"" + user + "\""};
    uid = entry->pw_uid;
    gid = entry->pw_gid;
  }
  if (auto number = toInt(group)) {
    gid = static_cast<gid_t>(*number);
  } else if (!group.empty()) {
    const struct group* entry =
        ::getgrnam(group.c_str());  // NOLINT(concurrency-mt-unsafe): start-up
    if (!entry) return {ErrorCode::kInvalid, "godwit.gid: there is no group \"" + group + "\""};
    gid = entry->gr_gid;
  }
  if (::setgroups(1, &gid) != 0 || ::setgid(gid) != 0) return osError("change the group");
  if (::setuid(uid) != 0) return osError("change the user");
  return {};
}

}  // namespace godwit::kinto
