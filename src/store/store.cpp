#include "store/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "fs/mounts.h"
#include "fs/named.h"
#include "fs/open.h"

namespace claude_init::store {
namespace {

Error no_directory(const std::string& path) {
  return make_error(ErrorKind::invalid, printable(path) + " is not a directory",
                    fs::in_container() ? "mount the directory that holds the login, not a file of it"
                                       : "name the directory that holds the login, not a file of it");
}

}  // namespace

Result<Store> Store::open(const std::string& path, const StoreOptions& options) {
  struct stat st {};
  const auto place = fs::open_named(path);
  if (!place) {
    if (place.error().number == ENOTDIR && ::stat(path.c_str(), &st) == 0) return no_directory(path);
    const int number = place.error().number;
    return number != 0 ? system_error(number, "open the store " + printable(path))
                       : place.error_with("the store");
  }
  if (::fstat(place->get(), &st) != 0) return system_error(errno, "open the store " + printable(path));
  if (options.owner && st.st_uid != *options.owner) {
    return make_error(ErrorKind::permission,
                      fmt::format("{} belongs to uid {} and belonged to uid {} when it was opened first",
                                  printable(path), st.st_uid, *options.owner),
                      "start this anew if that is meant, or put the directory back");
  }
  Store store;
  store.path_ = path;
  store.options_ = options;
  store.owner_ = fs::rights_for(st);
  store.group_readable_ =
      options.access == Access::automatic ? (st.st_mode & S_ISGID) != 0 : options.access == Access::group;
  const fs::ActAs as(store.owner_);
  store.root_.reset(::openat(place->get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!store.root_.valid()) return system_error(errno, "the store: open " + printable(path));
  return store;
}

Result<Store> Store::open_inside(const std::string& relative_path) const {
  const fs::ActAs as(owner_);
  auto root = fs::open_beneath(fd(), relative_path, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!root) return root.error();
  Store inside;
  inside.root_ = std::move(*root);
  inside.home_.reset(::fcntl(home(), F_DUPFD_CLOEXEC, 0));
  if (!inside.home_.valid()) return system_error(errno, "open " + printable(relative_path));
  inside.path_ = fs::join(path_, relative_path);
  inside.owner_ = owner_;
  inside.options_ = options_;
  inside.group_readable_ = group_readable_;
  return inside;
}

fs::Identity owner_of(const std::string& path) {
  const auto store = Store::open(path);
  return store ? store->owner() : fs::current_identity();
}

}  // namespace claude_init::store
