#include "store/published.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/file.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"
#include "store/layout.h"

namespace claude_init::store {

Result<bool> has_published_mark(const Store& store) {
  const fs::ActAs as(store.owner());
  const auto mark = fs::open_beneath(store.fd(), fs::join(kPrivateDir, kPublishedMark), O_PATH, fs::Links::refuse);
  if (!mark && is_for_now(mark.error())) return mark.error();
  return mark.ok();
}

bool is_published(const Store& store) {
  const auto marked = has_published_mark(store);
  return !marked || *marked;
}

void leave_word(const std::string& directory, const std::string& why) {
  constexpr mode_t kForAll = 0644;
  const UniqueFd parent(::open(("/" + fs::parent_of(directory)).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name = fs::name_of(directory) + std::string(kWord);
  if (!parent.valid()) return;
  const auto done = why.empty() ? fs::remove_tree(parent.get(), name)
                                : fs::replace_file(parent.get(), name, why, kForAll, fs::Sync::no);
  if (!done) log::failure(log::Level::debug, done.error());
}

std::string word_left(const std::string& directory) {
  constexpr std::size_t kLongest = 4096;
  const std::string path = directory + std::string(kWord);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat st {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0 || !S_ISREG(st.st_mode)) return "";
  const auto text = fs::read_all(fd.get(), kLongest, path);
  return text ? *text : "";
}

bool is_kubernetes_volume(const Store& store) {
  const fs::ActAs as(store.owner());
  struct stat st {};
  return ::fstatat(store.fd(), kAtomicWriterData, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);
}

}  // namespace claude_init::store
