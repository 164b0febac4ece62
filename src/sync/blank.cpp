#include "sync/blank.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>

#include "base/interrupt.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "login/secrets.h"
#include "store/layout.h"

namespace claude_init::sync {
namespace {

constexpr off_t kPieceBytes = off_t{1} << 20;

/// Where there is something from `from` on; `size` where there is nothing more.
off_t next_data(int file, off_t from, off_t size) {
  const off_t data = ::lseek(file, from, SEEK_DATA);
  return data >= 0 ? data : errno == ENXIO ? size : from;
}

class Sweep {
 public:
  explicit Sweep(login::Withheld withheld) : withheld_(withheld) {}

  Result<void> directory(int fd, const std::string& path, unsigned depth) {
    constexpr unsigned kDeepest = 256;
    if (depth > kDeepest) return make_error(ErrorKind::limit, printable(path) + " is nested too deeply");
    const auto entries = fs::list_directory(fd, std::numeric_limits<std::size_t>::max());
    if (!entries) return entries.error_with(printable(path));
    for (const fs::Entry& entry : *entries) {
      if (path.empty() && (entry.name == store::kPrivateDir || entry.name == store::kCredentials)) continue;
      if (auto done = blank_entry(fd, entry, fs::join(path, entry.name), depth); !done) return done;
    }
    return Done{};
  }

 private:
  Result<void> blank_entry(int parent, const fs::Entry& entry, const std::string& path, unsigned depth) {
    if (S_ISDIR(entry.st.st_mode)) {
      const UniqueFd below(::openat(parent, entry.name.c_str(), fs::kDirectory));
      if (!below.valid()) return system_error(errno, "open " + printable(path));
      return directory(below.get(), path, depth + 1);
    }
    if (login::is_credentials_name(entry.name)) return fs::remove_tree(parent, entry.name);
    if (!S_ISREG(entry.st.st_mode)) return Done{};
    const UniqueFd file(::openat(parent, entry.name.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    if (!file.valid()) return system_error(errno, "open " + printable(path));
    return blank(file.get(), entry, path);
  }

  /// With its times, by which a later publication knows it.
  [[nodiscard]] Result<void> blank(int file, const fs::Entry& entry, const std::string& path) const {
    if (auto blanked = blank_secrets(file, path, withheld_); !blanked) return blanked;
    const std::array<timespec, 2> times{entry.st.st_atim, entry.st.st_mtim};
    if (::futimens(file, times.data()) != 0) return system_error(errno, "set the time of " + printable(path));
    return Done{};
  }

  const login::Withheld withheld_;
};

}  // namespace

// What is left of one piece, because a secret may go on in the next one, is looked at again in front of that.
// In a large hole there is nothing.
Result<void> blank_secrets(int file, const std::string& path, login::Withheld withheld) {
  struct stat st {};
  if (::fstat(file, &st) != 0) return system_error(errno, "look at " + printable(path));
  std::string piece;
  std::optional<login::SecretBlanker> blanker;
  bool is_json = false;
  for (off_t begin = 0; begin < st.st_size;) {
    if (auto go_on = interrupt::check(); !go_on) return go_on;
    const std::size_t kept = piece.size();
    const off_t from = begin + static_cast<off_t>(kept);
    const off_t data = next_data(file, from, st.st_size);
    const bool hole = data - from > kPieceBytes;
    const off_t wanted = hole ? 0 : std::min<off_t>(kPieceBytes, st.st_size - from);
    piece.resize(kept + static_cast<std::size_t>(wanted));
    const auto got =
        fs::read_at(file, piece.data() + kept, piece.size() - kept, from, "look through " + printable(path));
    if (!got) return got.error();
    piece.resize(kept + *got);
    if (begin == 0) is_json = login::begins_as_json(piece);
    if (!blanker) blanker.emplace(is_json, withheld);
    const bool more = *got > 0 && begin + static_cast<off_t>(piece.size()) < st.st_size;
    const std::size_t done = blanker->blank(piece.data(), piece.size(), more);
    if (blanker->take_changed()) {
      if (auto written = fs::write_at(file, piece, begin, "write " + printable(path)); !written)
        return written;
    }
    if (hole) {
      begin = data;
      piece.clear();
      blanker.reset();
      continue;
    }
    if (!more) break;
    begin += static_cast<off_t>(done);
    piece.erase(0, done);
  }
  return Done{};
}

Result<void> remove_secrets(const store::Store& store, login::Withheld withheld) {
  const fs::ActAs as(store.owner());
  return Sweep(withheld).directory(store.fd(), "", 0);
}

}  // namespace claude_init::sync
