#include "base/pages.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace claude_init {
namespace {

/// Of one program, or of one library.
int forget_segments(dl_phdr_info* info, std::size_t /*size*/, void* /*nothing*/) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < info->dlpi_phnum; ++i) {
    const auto& segment = info->dlpi_phdr[i];
    // What can be written has content of its own, relocated once and then perhaps protected.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t begin = (info->dlpi_addr + segment.p_vaddr) & ~(page - 1);
    const std::uintptr_t end = info->dlpi_addr + segment.p_vaddr + segment.p_memsz;
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // NOLINT: the loader's addresses are numbers
  }
  return 0;
}

constexpr std::uintptr_t kStack = 1 << 20;  // what calls have used of it; what is not mapped there is skipped
constexpr std::size_t kNear = 16 << 10;     // of it, below the caller: pages in use, which cannot be given up

[[gnu::noinline]] void wipe_near() {
  std::array<char, kNear> dead;  // NOLINT: what it has is what matters
  ::explicit_bzero(dead.data(), dead.size());
}

[[gnu::noinline]] void give_up_far() {
  const auto here = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
  const std::uintptr_t end = (here - kNear / 2) & ~(static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE)) - 1);
  ::madvise(reinterpret_cast<void*>(end - kStack), kStack, MADV_DONTNEED);  // NOLINT: an address is a number here
}

}  // namespace

void forget_stack() {
  if (::gettid() != ::getpid()) return;
  give_up_far();
  wipe_near();
}

void forget_code() {
  ::dl_iterate_phdr(forget_segments, nullptr);
}

}  // namespace claude_init
