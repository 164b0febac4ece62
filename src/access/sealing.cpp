#include "access/sealing.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/filesystem/operations.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "access/store_access.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/tree.h"
#include "seal/seal.h"
#include "store/sealed.h"

namespace claude_init::access {
namespace {

constexpr std::size_t kMaxKeyBytes = std::size_t{64} << 10;
constexpr std::size_t kMaxEntriesOfStore = 10'000;

Error refused(const std::string& what, std::string why, std::string remedy) {
  return make_error(ErrorKind::usage, what + " " + std::move(why), std::move(remedy));
}

/// With the rights of its owner where ours do not do: root in a container may lack that of reading all files.
UniqueFd open_key(const std::string& path) {
  constexpr int kFlags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
  UniqueFd fd(::open(path.c_str(), kFlags));
  struct stat st {};
  if (fd.valid() || errno != EACCES || ::stat(path.c_str(), &st) != 0) return fd;
  const fs::ActAs as(fs::owner_of(st));
  return UniqueFd(::open(path.c_str(), kFlags));
}

bool lies_in(const std::string& path, const std::string& store) {
  boost::system::error_code ec;
  const auto file = boost::filesystem::weakly_canonical(path, ec);
  const auto root = ec ? boost::filesystem::path() : boost::filesystem::weakly_canonical(store, ec);
  return !ec && is_within(file, root);
}

/// Under another name: what an engine has mounted out of it, such as the .key of CLAUDE_HUB_DIR=/srv/store/.
bool holds(const std::string& store, const struct stat& key) {
  const auto opened = store::Store::open(store);
  if (!opened) return false;
  const fs::ActAs as(opened->owner());
  const auto entries = fs::list_directory(opened->fd(), kMaxEntriesOfStore);
  return entries && std::any_of(entries->begin(), entries->end(), [&key](const fs::Entry& entry) {
           return entry.st.st_dev == key.st_dev && entry.st.st_ino == key.st_ino;
         });
}

Result<seal::Key> read_key(const std::string& option, const std::string& path, const std::string& store) {
  const std::string what = option + " " + printable(path);
  const UniqueFd fd = open_key(path);
  struct stat st {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0) {
    Error error = system_error(errno, what);
    error.remedy = error.number == ENOENT ? "make it: (umask 077; openssl rand -hex 32 > FILE)"
                                          : fmt::format("let uid {} read it", ::geteuid());
    error.kind = ErrorKind::usage;
    return error;
  }
  if (!S_ISREG(st.st_mode)) return refused(what, "is not a file", "name the file that has the key in it");
  if ((st.st_mode & (S_IROTH | S_IWOTH)) != 0) {
    return refused(
        what, fmt::format("is open to all users (mode {:04o})", st.st_mode & 07777),
        "chmod 600 it; in Kubernetes give the Secret's volume defaultMode: 0400, or 0440 with fsGroup");
  }
  if (lies_in(path, store) || holds(store, st)) {
    return refused(what, "lies in the store, and goes wherever that goes",
                   "keep it beside the store, where backups of the store do not have it");
  }
  auto text = fs::read_all(fd.get(), kMaxKeyBytes, what);
  if (!text && text.error().kind == ErrorKind::limit)
    return refused(what, "is larger than 64 KiB", "make one: (umask 077; openssl rand -hex 32 > FILE)");
  if (!text) return text.error();
  const Secret content(std::move(*text));
  auto key = seal::Key::derive(content);
  if (!key) return refused(what, key.error().what, key.error().remedy);
  return key;
}

}  // namespace

Result<void> take_seal_key(const options::Sealing& options, const std::string& store,
                           store::StoreOptions& how) {
  if (options.key.empty()) {
    if (options.old_key.empty()) return Done{};
    return make_error(ErrorKind::usage, "--old-seal-key is the key before, and there is none to seal with",
                      "name the new one too: --seal-key FILE");
  }
  auto key = read_key("--seal-key", options.key, store);
  if (!key) return key.error();
  std::optional<seal::Key> old;
  if (!options.old_key.empty()) {
    auto read = read_key("--old-seal-key", options.old_key, store);
    if (!read) return read.error();
    old.emplace(std::move(*read));
  }
  how.seal = std::make_shared<const seal::Seal>(std::move(*key), std::move(old));
  return Done{};
}

Result<void> take_fitting_seal_key(const options::Sealing& options, const std::string& store,
                                   store::StoreOptions& how) {
  if (auto taken = take_seal_key(options, store, how); !taken || !how.seal) return taken;
  const auto opened = store::Store::open(store, how);
  return opened ? store::check_opens(*opened) : Result<void>(Done{});  // it may not be there yet
}

}  // namespace claude_init::access
