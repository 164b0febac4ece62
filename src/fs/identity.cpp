#include "fs/identity.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>

#include "base/unique_fd.h"

namespace claude_init::fs {
namespace {

// setfsuid and setfsgid never fail visibly: they return the old value, and -1 is no id anybody can have.
Identity ask_fs_identity() {
  return {static_cast<uid_t>(::setfsuid(static_cast<uid_t>(-1))),
          static_cast<gid_t>(::setfsgid(static_cast<gid_t>(-1)))};
}

// What this thread's calls are made with. Only ActAs changes it in a process that goes on (a child that gives
// up its privileges is about to execute), and asking the kernel for each file would be a quarter of all
// calls.
thread_local std::optional<Identity> known;

uid_t read_overflow_uid() {
  constexpr uid_t kDefault = 65534;
  const UniqueFd fd(::open("/proc/sys/kernel/overflowuid", O_RDONLY | O_CLOEXEC));
  std::array<char, 16> text{};
  const ssize_t n = fd.valid() ? ::read(fd.get(), text.data(), text.size()) : -1;
  uid_t uid = kDefault;
  if (n > 0) std::from_chars(text.data(), text.data() + n, uid);
  return uid;
}

/// Of this thread: setgroups(3) would change those of all threads.
bool set_groups(const std::vector<gid_t>& groups) {
  return ::syscall(SYS_setgroups, groups.size(), groups.data()) == 0;
}

}  // namespace

Identity rights_for(const struct stat& st) {
  return st.st_uid == overflow_uid() ? current_identity() : owner_of(st);
}

Identity current_identity() {
  return {::geteuid(), ::getegid()};
}

uid_t overflow_uid() {
  static const uid_t uid = read_overflow_uid();
  return uid;
}

Identity rights_now() {
  if (!known) known = ask_fs_identity();
  return *known;
}

std::vector<gid_t> supplementary_groups() {
  const int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(count > 0 ? static_cast<std::size_t>(count) : 0);
  if (!groups.empty() && ::getgroups(count, groups.data()) != count) groups.clear();
  return groups;
}

ActAs::ActAs(Identity who) : before_(rights_now()) {
  if (before_ == who) return;
  ::prctl(PR_GET_PDEATHSIG, &death_signal_);
  ::setfsuid(who.uid);
  ::setfsgid(who.gid);
  stay_as_we_were();
  changed_ = true;
  known = ask_fs_identity();
  effective_ = known->uid == who.uid;
  if (!effective_) {
    restore();
    return;
  }
  if (who.uid == before_.uid) return;
  // Our own groups would still open what the tree's owner may not. Refused where a user namespace denies
  // setgroups: then they stay, and are none of root's anyway.
  groups_ = supplementary_groups();
  if (!groups_.empty() && !set_groups({})) groups_.clear();
}

ActAs::~ActAs() {
  if (changed_) restore();
}

/// Whenever these ids change the kernel resets the first to what fs.suid_dumpable says (proc(5)), and a core
/// dump of ours would hold tokens; and it forgets the second.
void ActAs::stay_as_we_were() const {
  ::prctl(PR_SET_DUMPABLE, 0);
  if (death_signal_ != 0) ::prctl(PR_SET_PDEATHSIG, death_signal_);
}

void ActAs::restore() {
  ::setfsuid(before_.uid);
  ::setfsgid(before_.gid);
  known = before_;
  stay_as_we_were();
  if (!groups_.empty()) set_groups(groups_);
  changed_ = false;
}

}  // namespace claude_init::fs
