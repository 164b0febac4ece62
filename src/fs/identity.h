#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <vector>

namespace claude_init::fs {

/// Whose rights file system calls are made with.
struct Identity {
  uid_t uid = 0;
  gid_t gid = 0;
  bool operator==(const Identity&) const = default;
};

/// The owner of what was looked at.
[[nodiscard]] inline Identity owner_of(const struct stat& st) { return {st.st_uid, st.st_gid}; }
/// Whose rights to use with it: the owner's; ours where that is the overflow uid.
[[nodiscard]] Identity rights_for(const struct stat& st);

/// The rights we have without doing anything (effective uid and gid).
[[nodiscard]] Identity current_identity();

/// Those of this thread's file system calls now: of an ActAs, or ours.
[[nodiscard]] Identity rights_now();
[[nodiscard]] std::vector<gid_t> supplementary_groups();

/// The uid the kernel shows for owners that have no mapping here (/proc/sys/kernel/overflowuid, 65534). Such
/// an owner is nobody we could act as.
[[nodiscard]] uid_t overflow_uid();

/// While it lives, file system calls of the calling thread are made with the fsuid and fsgid of `who` and
/// without supplementary groups. The kernel keeps these per thread: the helpers of a capture (OrderedWork)
/// take over the rights of the thread that makes them, a lease's heartbeat has an ActAs of its own. So a
/// hostile tree gains nothing from our being root, and CAP_SETUID and CAP_SETGID are all that is needed to
/// write into a tree of somebody else. Does nothing where we are already that identity, or may not become
/// that user (`effective()` is false then and we stay who we are); a group that is refused is no obstacle.
/// Nests. setfsuid(2).
class ActAs {
 public:
  explicit ActAs(Identity who);
  ~ActAs();
  ActAs(const ActAs&) = delete;
  ActAs& operator=(const ActAs&) = delete;
  [[nodiscard]] bool effective() const { return effective_; }

 private:
  void restore();
  void stay_as_we_were() const;

  Identity before_;
  std::vector<gid_t> groups_;  // supplementary ones given up, to be taken back
  int death_signal_ = 0;       // prctl(2) PR_SET_PDEATHSIG
  bool changed_ = false;
  bool effective_ = true;
};

}  // namespace claude_init::fs
