#include "fs/copy.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/interrupt.h"
#include "fs/file.h"

namespace claude_init::fs {
namespace {

constexpr std::int64_t kBuffer = Copier::kEditedAtOnce;
constexpr std::int64_t kStep = 4 << 20;  // between two looks at the deadline
constexpr std::int64_t kWrittenOutAtOnce = 32 << 20;

Copied ended(Copied::End end, std::uint64_t bytes, int read_error = 0) {
  return Copied{end, read_error, bytes};
}

}  // namespace

Result<Copied> Copier::copy(int from, int to, const struct stat& st, const Deadline& deadline) {
  if (st.st_size == 0) return Copied{};
  written_out_ = 0;
  if (clone(from, to, st)) return ended(Copied::End::complete, static_cast<std::uint64_t>(st.st_size));
  const bool sparse = st.st_blocks * 512 < st.st_size;
  return sparse ? copy_holes(from, to, st, deadline) : copy_range(from, to, 0, st.st_size, deadline);
}

Result<Copied> Copier::copy_edited(int from, int to, const struct stat& st, const Edit& edit) {
  if (auto go_on = interrupt::check(); !go_on) return go_on.error();
  if (buffer_.empty()) buffer_.resize(kBuffer);
  const auto wanted = static_cast<std::size_t>(std::min<std::int64_t>(st.st_size, kBuffer));
  const auto size = read_at(from, buffer_.data(), wanted, 0, "read");
  if (!size) return ended(Copied::End::unreadable, 0, size.error().number);
  edit(buffer_.data(), *size);
  if (auto written = write_at(to, {buffer_.data(), *size}, 0, "write"); !written) return written.error();
  return ended(Copied::End::complete, *size);
}

bool Copier::clone(int from, int to, const struct stat& st) {
  if (!can_clone_) return false;
  if (::ioctl(to, FICLONE, from) == 0) {
    // It takes the file as it is now: what has grown since is not ours to copy.
    return ::ftruncate(to, st.st_size) == 0;
  }
  // EINVAL is about this file only (a swap file, another block size); the rest about the file systems.
  if (errno != EINVAL) can_clone_ = false;
  return false;
}

Result<void> Copier::write_out(int to, std::int64_t at) {
  if (writes_ == Writes::later || at - written_out_ < kWrittenOutAtOnce) return Done{};
  written_out_ = at;
  if (::fdatasync(to) != 0 && errno != EINTR && errno != EINVAL) return system_error(errno, "write");
  return Done{};
}

Result<Copied> Copier::copy_range(int from, int to, std::int64_t begin, std::int64_t end,
                                  const Deadline& deadline) {
  std::int64_t at = begin;
  const auto bytes = [&] { return static_cast<std::uint64_t>(at - begin); };
  // For what fits the buffer, a read and a write are cheaper than the kernel's own way.
  while (at < end && can_copy_range_ && end - begin > kBuffer) {
    if (auto go_on = interrupt::check(); !go_on) return go_on.error();
    if (deadline.has_come()) return ended(Copied::End::out_of_time, bytes());
    loff_t in = at;
    loff_t out = at;
    const ssize_t n =
        ::copy_file_range(from, &in, to, &out, static_cast<std::size_t>(std::min(end - at, kStep)), 0);
    if (n > 0) {
      at += n;
      if (auto written = write_out(to, at); !written) return written.error();
      continue;
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EIO && errno != ENOSPC && errno != EDQUOT) can_copy_range_ = false;
    // 0 is the end of the file, or a file system that only claims to know the call; an error does not tell
    // which side failed. Reading and writing tells.
    break;
  }
  if (buffer_.empty()) buffer_.resize(kBuffer);
  while (at < end) {
    if (auto go_on = interrupt::check(); !go_on) return go_on.error();
    if (deadline.has_come()) return ended(Copied::End::out_of_time, bytes());
    const ssize_t n = ::pread(from, buffer_.data(),
                              static_cast<std::size_t>(std::min<std::int64_t>(end - at, kBuffer)), at);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return ended(Copied::End::unreadable, bytes(), errno);
    if (n == 0) break;  // it has shrunk
    if (auto written = write_at(to, {buffer_.data(), static_cast<std::size_t>(n)}, at, "write"); !written)
      return written.error();
    at += n;
    if (auto written = write_out(to, at); !written) return written.error();
  }
  return ended(Copied::End::complete, bytes());
}

Result<Copied> Copier::copy_holes(int from, int to, const struct stat& st, const Deadline& deadline) {
  Copied total;
  std::int64_t at = 0;
  while (at < st.st_size) {
    std::int64_t data = ::lseek(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // nothing but a hole up to the end
    if (data < 0) data = at;                // a file system that does not know holes: everything is data
    std::int64_t hole = ::lseek(from, data, SEEK_HOLE);
    if (hole <= data) hole = st.st_size;
    if (data >= st.st_size) break;
    auto part = copy_range(from, to, data, std::min<std::int64_t>(hole, st.st_size), deadline);
    if (!part) return part;
    total.bytes += part->bytes;
    if (part->end != Copied::End::complete) return ended(part->end, total.bytes, part->read_error);
    at = hole;
  }
  if (::ftruncate(to, st.st_size) != 0) return system_error(errno, "write");
  return total;
}

}  // namespace claude_init::fs
