#include "store/published.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "fs/file.h"
#include "fs/named.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

/// The directory that `directory` lies in, to open things in, and whose rights are used there.
struct Above {
  UniqueFd fd;
  fs::Identity owner;
};

Result<Above> open_above(const std::string& directory) {
  const std::string path = fs::parent_of(directory);
  auto fd = fs::open_named(!path.empty() ? path : directory.starts_with('/') ? "/" : ".");
  if (!fd) return fd.error();
  struct stat st {};
  if (::fstat(fd->get(), &st) != 0) return system_error(errno, "look at the directory above");
  return Above{std::move(*fd), fs::rights_for(st)};
}

Result<void> remove_word(int directory, const std::string& name) {
  if (::unlinkat(directory, name.c_str(), 0) == 0 || errno == ENOENT) return Done{};
  return system_error(errno, "remove " + name);
}

}  // namespace

Result<bool> has_published_mark(const Store& store) {
  const fs::ActAs as(store.owner());
  const auto mark =
      fs::open_beneath(store.fd(), fs::join(kPrivateDir, kPublishedMark), O_PATH, fs::Links::refuse);
  if (!mark && is_for_now(mark.error())) return mark.error();
  return mark.ok();
}

bool is_published(const Store& store) {
  const auto marked = has_published_mark(store);
  return !marked || *marked;
}

void leave_word(const std::string& directory, const std::string& why, fs::Identity who) {
  constexpr mode_t kForAll = 0644;
  const std::string name = fs::name_of(directory) + std::string(kWord);
  const auto above = open_above(directory);
  if (!above) return log::failure(log::Level::debug, above.error());
  for (const fs::Identity& each : {who, above->owner}) {
    const fs::ActAs as(each);
    const auto done = why.empty() ? remove_word(above->fd.get(), name)
                                  : fs::replace_file(above->fd.get(), name, why, kForAll, fs::Sync::no);
    if (done) return;
    log::failure(log::Level::debug, done.error());
  }
}

std::string word_left(const std::string& directory) {
  constexpr std::size_t kLongestWord = 4096;
  const auto above = open_above(directory);
  if (!above) return "";
  const fs::ActAs as(above->owner);
  const auto file =
      fs::open_regular(above->fd.get(), fs::name_of(directory) + std::string(kWord), fs::Links::refuse);
  const auto text = file ? fs::read_all(*file, kLongestWord, kWord) : Result<std::string>(file.error());
  return text ? *text : "";
}

bool is_kubernetes_volume(const Store& store) {
  const fs::ActAs as(store.owner());
  struct stat st {};
  return ::fstatat(store.fd(), kAtomicWriterData, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

}  // namespace claude_init::store
