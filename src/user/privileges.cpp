#include "user/privileges.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <vector>

#include "fs/mounts.h"
#include "log/log.h"
#include "user/typing.h"

namespace claude_init::user {
namespace {

// Plain system calls throughout: the C library's wrappers signal every thread that they believe exists, which
// is not for a child between fork and exec.

std::uint64_t effective_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return 0;
  return std::uint64_t{data[1].effective} << 32 | data[0].effective;
}

bool has(std::uint64_t capabilities, unsigned capability) {
  return (capabilities >> capability & 1) != 0;
}

/// Permitted and effective become `capabilities`, inheritable nothing.
bool set_capabilities(std::uint64_t capabilities) {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = static_cast<std::uint32_t>(capabilities);
  const auto high = static_cast<std::uint32_t>(capabilities >> 32);
  const std::array<__user_cap_data_struct, _LINUX_CAPABILITY_U32S_3> sets{{{low, low, 0}, {high, high, 0}}};
  return ::syscall(SYS_capset, &header, sets.data()) == 0;
}

/// Until the first number that is no capability; at once where we lack CAP_SETPCAP.
void empty_bounding() {
  for (unsigned long capability = 0; ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; ++capability) {
  }
}

bool is_already(uid_t uid, gid_t gid) {
  uid_t ruid = 0, euid = 0, suid = 0;
  gid_t rgid = 0, egid = 0, sgid = 0;
  if (::syscall(SYS_getresuid, &ruid, &euid, &suid) != 0) return false;
  if (::syscall(SYS_getresgid, &rgid, &egid, &sgid) != 0) return false;
  return ruid == uid && euid == uid && suid == uid && rgid == gid && egid == gid && sgid == gid;
}

/// What a drop needs, copied out before the fork.
struct Drop {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
  bool forbid_new_privileges;
  bool empty_bounding_set = false;
  bool guard_terminal = false;
  bool helper = false;  // of ours: also where it stays who we are, and no core dump

  /// 0. Do not type into the terminal: here with CAP_SYS_ADMIN, or else in 6.
  /// 1. Empty the bounding set (while CAP_SETPCAP is still there) and the ambient set.
  /// 2. Supplementary groups, gid, uid: in this order, since the last gives up the right to the others.
  /// 3. Clear the capability sets; a change from root has done so already unless a securebit forbids it.
  /// 4. Verify: we are who we should be, and root is out of reach.
  /// 5. No new privileges by exec.
  /// 6. See 0.
  [[nodiscard]] int operator()() const {
    // 0.
    const bool guarded = guard_terminal && forbid_typing() == 0;
    const bool stays = is_already(uid, gid);
    if (!stays || helper) {
      if (const int error = become(stays); error != 0) return error;
    }
    // 5.
    if (forbid_new_privileges && ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
    // 6.
    if (guard_terminal && !guarded && forbid_new_privileges) return forbid_typing();
    return 0;
  }

 private:
  [[nodiscard]] int become(bool stays) const {
    constexpr rlimit kNoCore{0, 0};
    if (helper && ::setrlimit(RLIMIT_CORE, &kNoCore) != 0) return errno;
    // 1.
    if (empty_bounding_set) empty_bounding();
    ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    // 2.
    if (!stays) {
      if (::syscall(SYS_setgroups, groups.size(), groups.data()) != 0) return errno;
      if (::syscall(SYS_setresgid, gid, gid, gid) != 0) return errno;
      if (::syscall(SYS_setresuid, uid, uid, uid) != 0) return errno;
    }
    // 3.
    if ((uid != 0 || helper) && !set_capabilities(0)) return errno;
    // 4.
    if (!is_already(uid, gid)) return EPERM;
    if (uid != 0 && ::syscall(SYS_setresuid, -1, 0, -1) == 0) return EPERM;
    return 0;
  }
};

/// Whether another user must be kept from typing into our terminal. Warns where the kernel cannot do it.
bool guards_terminal() {
  if (!shares_a_terminal()) return false;
  if (can_forbid_typing()) return true;
  log::write(fs::in_container() ? log::Level::debug : log::Level::warn,
             "the command could type into this terminal: no filter of system calls here (seccomp)",
             {{"remedy", "run it without a terminal, or set sysctl dev.tty.legacy_tiocsti=0"}});
  return false;
}

}  // namespace

bool can_change_user() {
  const std::uint64_t ours = effective_capabilities();
  return has(ours, CAP_SETUID) && has(ours, CAP_SETGID);
}

std::function<int()> drop_to(const Account& account, NewPrivileges new_privileges) {
  Drop drop{account.uid, account.gid, account.groups, new_privileges == NewPrivileges::forbid};
  drop.empty_bounding_set = drop.forbid_new_privileges && account.uid != 0;
  drop.guard_terminal = ::geteuid() != account.uid && guards_terminal();
  if (drop.empty_bounding_set && !has(effective_capabilities(), CAP_SETPCAP)) {
    log::debug("the bounding set stays as it is: no CAP_SETPCAP");
  }
  return drop;
}

std::function<int()> drop_to_helper(const Account& account) {
  Drop drop{account.uid, account.gid, account.groups, true, true};
  drop.guard_terminal = ::geteuid() != account.uid && guards_terminal();
  drop.helper = true;
  return drop;
}

void keep_least(const Account& account, NewPrivileges new_privileges) {
  if (::geteuid() != 0 || account.uid == 0) return;
  constexpr std::uint64_t kNeeded = 1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_KILL;
  if (new_privileges == NewPrivileges::forbid) empty_bounding();
  // What is inherited needs no right to do it again, which goes now.
  if (new_privileges == NewPrivileges::allow && shares_a_terminal()) static_cast<void>(forbid_typing());
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (!set_capabilities(effective_capabilities() & kNeeded)) {
    log::debug("root keeps its capabilities", {{"errno", errno}});
  }
}

void give_standard_streams(const Account& account) {
  if (::geteuid() != 0 || account.uid == 0 || !fs::in_container()) return;
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    struct stat st {};
    if (::fstat(fd, &st) != 0 || st.st_uid == account.uid) continue;
    const bool terminal = S_ISCHR(st.st_mode) && ::isatty(fd) == 1;
    if (!terminal && !S_ISFIFO(st.st_mode)) continue;
    // The group stays: that of a terminal is tty, which write(1) works by.
    if (::fchown(fd, account.uid, static_cast<gid_t>(-1)) != 0) {
      log::debug("a standard stream stays with its owner", {{"fd", fd}, {"uid", st.st_uid}});
    }
  }
}

}  // namespace claude_init::user
