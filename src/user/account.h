#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/identity.h"

namespace claude_init::user {

/// A user as the password and group files of this root file system describe it. Read with fgetpwent and
/// fgetgrent: NSS needs shared libraries.
struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary ones of /etc/group
  std::string name;           // the number, where there is no passwd entry
  std::string home;           // "/" or $HOME where there is no passwd entry
  std::string shell;          // "/bin/sh" where there is none

  [[nodiscard]] fs::Identity identity() const { return {uid, gid}; }
};

/// Where accounts are looked up. A file that is not there is an empty one (images without users).
struct AccountFiles {
  std::string passwd = "/etc/passwd";
  std::string group = "/etc/group";
};

/// "node", "node:staff", "1000", "1000:1000", "1000:staff". With a group there are no supplementary ones, as
/// engines have it for `--user`; a number without passwd entry and without a group gets that number as its
/// gid too. Errors: usage (malformed; no such name: the remedy names those there are).
[[nodiscard]] Result<Account> find_account(std::string_view spec, const AccountFiles& files = {});

/// Who we are now (effective uid and gid). `home_variable` ($HOME) is its home where that is a directory that
/// is ours; else the passwd entry's; else "/".
[[nodiscard]] Account current_account(std::string_view home_variable, const AccountFiles& files = {});

/// The user to run as: `spec` if not empty; else, as root that can change its user, `node` if it exists; else
/// ourselves. When `spec` names a user that we cannot become: error usage (not root) or permission (root
/// without the capabilities), with what to do.
[[nodiscard]] Result<Account> choose_account(std::string_view spec, std::string_view home_variable,
                                             const AccountFiles& files = {});

/// Adds the supplementary groups that an engine gave us (`docker run --group-add`), so that a command that we
/// drop to another user for has them as with `docker run --user`: those that we have, and root has not by
/// /etc/group. In a container only; not `store_group`, by which a store may be readable. Does nothing where
/// the account is who we are.
void keep_given_groups(Account& account, gid_t store_group, const AccountFiles& files = {});

}  // namespace claude_init::user
