#include "user/account.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>

#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/mounts.h"
#include "fs/newer_calls.h"
#include "ui/remedies.h"
#include "user/privileges.h"

namespace claude_init::user {
namespace {

constexpr std::string_view kUsualUser = "node";  // of the official Node.js images

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

/// A passwd or group file as a stream over its content: of a file itself fgetpwent asks for the position
/// twice an entry. Null: there is none.
class Database {
 public:
  explicit Database(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC));
    if (!fd.valid()) return;
    auto content = fs::read_all(fd.get(), kMaxSize, path);
    if (!content || content->empty()) return;
    content_ = std::move(*content);
    file_.reset(::fmemopen(content_.data(), content_.size(), "r"));
  }
  [[nodiscard]] std::FILE* get() const { return file_.get(); }

 private:
  static constexpr std::size_t kMaxSize = 64UL << 20;
  std::string content_;
  std::unique_ptr<std::FILE, CloseFile> file_;
};

/// The first entry that `matches`, as an Account without groups.
std::optional<Account> find_passwd(const AccountFiles& files,
                                   const std::function<bool(const passwd&)>& matches) {
  const Database file(files.passwd);
  if (file.get() == nullptr) return std::nullopt;
  while (const passwd* entry = ::fgetpwent(file.get())) {
    if (!matches(*entry)) continue;
    Account account;
    account.uid = entry->pw_uid;
    account.gid = entry->pw_gid;
    account.name = entry->pw_name;
    account.home = *entry->pw_dir != '\0' ? entry->pw_dir : "/";
    account.shell = *entry->pw_shell != '\0' ? entry->pw_shell : "/bin/sh";
    return account;
  }
  return std::nullopt;
}

/// Why one of the files, which is there, cannot be read now: then nothing is known of anybody.
std::optional<Error> why_unknown(const AccountFiles& files) {
  for (const std::string& path : {files.passwd, files.group}) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOCTTY | O_CLOEXEC));
    if (!fd.valid() && !is_lasting(errno)) return system_error(errno, "read " + path);
  }
  return std::nullopt;
}

std::optional<gid_t> find_group(const AccountFiles& files, std::string_view name) {
  const Database file(files.group);
  if (file.get() == nullptr) return std::nullopt;
  while (const group* entry = ::fgetgrent(file.get())) {
    if (name == entry->gr_name) return entry->gr_gid;
  }
  return std::nullopt;
}

std::vector<gid_t> groups_of(const AccountFiles& files, std::string_view user) {
  std::vector<gid_t> gids;
  const Database file(files.group);
  if (file.get() == nullptr) return gids;
  while (const group* entry = ::fgetgrent(file.get())) {
    for (char** member = entry->gr_mem; *member != nullptr; ++member) {
      if (user == *member) {
        gids.push_back(entry->gr_gid);
        break;
      }
    }
  }
  return gids;
}

/// People's accounts, and root: the ones worth proposing.
std::string known_users(const AccountFiles& files) {
  std::string names;
  (void)find_passwd(files, [&](const passwd& entry) {
    if (entry.pw_uid == 0 || (entry.pw_uid >= 1000 && entry.pw_uid < 65'000)) {
      names += (names.empty() ? "" : ", ") + printable(entry.pw_name);
    }
    return false;
  });
  return names;
}

std::optional<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  // The highest number means "leave as it is" to every call that takes an id.
  if (!read_number(text, id) || id == static_cast<std::uint32_t>(-1)) return std::nullopt;
  return id;
}

bool is_number(std::string_view text) {
  return text.find_first_not_of("0123456789") == std::string_view::npos;
}

Account by_uid(uid_t uid, const AccountFiles& files) {
  if (auto account = find_passwd(files, [&](const passwd& entry) { return entry.pw_uid == uid; }))
    return *account;
  return Account{uid, uid, {}, std::to_string(uid), "/", "/bin/sh"};
}

/// A home that a CLI could write to. As root every directory is that, so there it must be root's own.
bool is_our_home(const std::string& path) {
  struct stat st {};
  if (path.empty() || path.front() != '/' || ::stat(path.c_str(), &st) != 0 || !S_ISDIR(st.st_mode))
    return false;
  if (st.st_uid == ::geteuid()) return true;
  return ::geteuid() != 0 && fs::access_by_rights(AT_FDCWD, path, W_OK | X_OK) == 0;
}

/// Whether our user namespace has these ids at all: who may change its user can act as them then.
bool is_mapped(const Account& account) {
  return fs::ActAs(account.identity()).effective();
}

}  // namespace

Result<Account> find_account(std::string_view spec, const AccountFiles& files) {
  const std::size_t colon = spec.find(':');
  const std::string_view user = spec.substr(0, colon);
  const std::optional<std::string_view> group =
      colon == std::string_view::npos ? std::nullopt : std::optional(spec.substr(colon + 1));
  const auto malformed = [&] {
    return make_error(
        ErrorKind::usage, fmt::format("'{}' is not a user", printable(spec)),
        "write a name or a number, with a group if you like: node, 1000, node:staff, 1000:1000");
  };
  if (user.empty() || (group && group->empty())) return malformed();

  Account account;
  if (is_number(user)) {
    const auto uid = parse_id(user);
    if (!uid) return malformed();
    account = by_uid(*uid, files);
  } else {
    auto found = find_passwd(files, [&](const passwd& entry) { return user == entry.pw_name; });
    if (!found) {
      return make_error(
          ErrorKind::usage, fmt::format("there is no user '{}' here", printable(user)),
          fmt::format("write a number (1000 or 1000:1000), or one of these: {}", known_users(files)));
    }
    account = std::move(*found);
  }
  if (!group) {
    account.groups = groups_of(files, account.name);
    return account;
  }
  const auto gid = is_number(*group) ? parse_id(*group) : find_group(files, *group);
  if (!gid) {
    if (is_number(*group)) return malformed();
    return make_error(ErrorKind::usage, fmt::format("there is no group '{}' here", printable(*group)),
                      "write its number instead");
  }
  account.gid = *gid;
  return account;
}

Account current_account(std::string_view home_variable, const AccountFiles& files) {
  Account account = by_uid(::geteuid(), files);
  account.gid = ::getegid();
  const int count = ::getgroups(0, nullptr);
  account.groups.resize(count > 0 ? static_cast<std::size_t>(count) : 0);
  if (count > 0 && ::getgroups(count, account.groups.data()) != count) account.groups.clear();
  if (is_our_home(std::string(home_variable))) account.home = home_variable;
  return account;
}

void keep_given_groups(Account& account, gid_t store_group, const AccountFiles& files) {
  constexpr gid_t kUnmapped = 65'534;
  if (account.uid == ::geteuid() || !fs::in_container()) return;
  const std::vector<gid_t> usual = groups_of(files, "root");
  const auto has = [](const std::vector<gid_t>& groups, gid_t group) {
    return std::find(groups.begin(), groups.end(), group) != groups.end();
  };
  for (const gid_t group : current_account("", files).groups) {
    const bool given = group != 0 && group != kUnmapped && group != store_group && !has(usual, group);
    if (given && group != account.gid && !has(account.groups, group)) account.groups.push_back(group);
  }
}

Result<Account> choose_account(std::string_view spec, std::string_view home_variable,
                               const AccountFiles& files) {
  if (auto unknown = why_unknown(files)) return *unknown;
  const Account ourselves = current_account(home_variable, files);
  const bool root = ourselves.uid == 0;
  if (spec.empty()) {
    if (!root || !can_change_user()) return ourselves;
    auto usual = find_account(kUsualUser, files);
    if (usual && is_mapped(*usual)) return usual;
    return ourselves;
  }
  auto wanted = find_account(spec, files);
  if (!wanted) return wanted.error();
  if (wanted->uid == ourselves.uid && wanted->gid == ourselves.gid) return ourselves;
  if (!root) {
    return make_error(
        ErrorKind::usage,
        fmt::format("cannot run as {} ({}:{}): we are not root but {}:{}", printable(wanted->name),
                    wanted->uid, wanted->gid, ourselves.uid, ourselves.gid),
        "leave --user out, or " + ui::how_to_run_as({wanted->uid, wanted->gid}));
  }
  if (!can_change_user()) {
    return make_error(ErrorKind::permission,
                      fmt::format("cannot become {} ({}:{}): root may not change its user here",
                                  printable(wanted->name), wanted->uid, wanted->gid),
                      ui::how_to_become({wanted->uid, wanted->gid}));
  }
  if (!is_mapped(*wanted)) {
    return make_error(ErrorKind::permission,
                      fmt::format("cannot become {} ({}:{}): this user namespace has no such ids",
                                  printable(wanted->name), wanted->uid, wanted->gid),
                      "give it more of them (/etc/subuid, /etc/subgid), or leave --user out");
  }
  return wanted;
}

}  // namespace claude_init::user
