#include "user/typing.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "base/unique_fd.h"

namespace claude_init::user {
namespace {

// The kernel looks at the lower half of the request only: one with something above it is the same request.
constexpr std::uint32_t kRequest =
    offsetof(seccomp_data, args[1]) + (std::endian::native == std::endian::little ? 0 : 4);
constexpr std::uint32_t kRefuse = SECCOMP_RET_ERRNO | EPERM;

constexpr sock_filter load(std::uint32_t at) {
  return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, at);
}
constexpr sock_filter answer(std::uint32_t what) {
  return BPF_STMT(BPF_RET | BPF_K, what);
}
/// Skips `yes` or `no` instructions.
constexpr sock_filter if_equal(std::uint32_t value, std::uint8_t yes, std::uint8_t no) {
  return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, yes, no);
}

// The same in each program: which instruction set the call is made in, which call, which request. The numbers
// of ioctl(2) are those of the kernel's tables; programs of 32 bits have another one, and x32 has two.
constexpr sock_filter kFilter[] = {
#if defined(__x86_64__)
    load(offsetof(seccomp_data, arch)),
    if_equal(AUDIT_ARCH_X86_64, 2, 0),
    if_equal(AUDIT_ARCH_I386, 5, 0),
    answer(kRefuse),
    load(offsetof(seccomp_data, nr)),  // 64 bits
    if_equal(16, 5, 0),
    if_equal(0x40000000U | 16, 4, 0),
    if_equal(0x40000000U | 514, 3, 2),
    load(offsetof(seccomp_data, nr)),  // 32 bits
    if_equal(54, 1, 0),
    answer(SECCOMP_RET_ALLOW),
#elif defined(__aarch64__)
    load(offsetof(seccomp_data, arch)),
    if_equal(AUDIT_ARCH_AARCH64, 2, 0),
    if_equal(AUDIT_ARCH_ARM, 3, 0),
    answer(kRefuse),
    load(offsetof(seccomp_data, nr)),  // 64 bits
    if_equal(29, 3, 2),
    load(offsetof(seccomp_data, nr)),  // 32 bits
    if_equal(54, 1, 0),
    answer(SECCOMP_RET_ALLOW),
#else
    load(offsetof(seccomp_data, nr)),
    if_equal(SYS_ioctl, 1, 0),
    answer(SECCOMP_RET_ALLOW),
#endif
    load(kRequest),
    if_equal(TIOCSTI, 1, 0),
    if_equal(TIOCLINUX, 0, 1),
    answer(kRefuse),
    answer(SECCOMP_RET_ALLOW),
};

}  // namespace

bool shares_a_terminal() {
  const UniqueFd terminal(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (terminal.valid()) return true;
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::isatty(stream) == 1) return true;
  }
  return false;
}

bool can_forbid_typing() {
  const std::uint32_t action = SECCOMP_RET_ERRNO;
  return ::syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}

int forbid_typing() {
  const sock_fprog program{sizeof kFilter / sizeof *kFilter, const_cast<sock_filter*>(kFilter)};
  // Without the flag some processors would have every program beneath slowed down for it.
  for (const unsigned long flags : {SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0UL}) {
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program) == 0) return 0;
    if (errno != EINVAL) break;  // a kernel that does not know it
  }
  return errno;
}

}  // namespace claude_init::user
