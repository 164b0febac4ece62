#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

/// Who holds a lock, for people who wait for it. The kernel knows (proc(5), /proc/locks); what stands in the
/// lock's file is what a holder says of itself, and anybody who can write there can say it.
namespace claude_init::lock {

/// What a holder says of itself.
struct Holder {
  std::string host;
  int pid = 0;
  std::string purpose;
  UnixMs since = 0;
  /// "setup on host web-1 (pid 1, for 4 min 10 s)"
  [[nodiscard]] std::string describe(UnixMs now) const;
};

/// What this process says of itself: four lines, of host, pid, purpose and time.
[[nodiscard]] std::string write_holder(std::string_view purpose);
/// It may be unfinished, or anything.
[[nodiscard]] Holder parse_holder(std::string_view text);

/// The processes that hold a lock of a kind ("FLOCK", "LEASE") on that file, as /proc/locks (`text`) has it:
/// of our PID namespace only.
[[nodiscard]] std::vector<pid_t> lock_holders(std::string_view text, std::string_view kind,
                                              const struct stat& file);

/// Who holds the flock on the open lock file, in whose `claim` is believed only where the kernel names the
/// same process: "setup on host web-1 (pid 17, for 4 min 10 s)", "python3 (pid 17, uid 1000)"; or that it
/// cannot be seen from here, and how it can.
[[nodiscard]] std::string name_flock_holder(int fd, const Holder& claim, UnixMs now);

/// For a file of ours in an open directory that could not be opened since another process has a lease on it
/// (fcntl(2), F_SETLEASE: whoever can open it for reading), which the kernel takes away in 45 s: busy, with
/// who that is. Any other error as it is.
[[nodiscard]] Error explain_lease(const Error& error, int directory, const std::string& name);

}  // namespace claude_init::lock
