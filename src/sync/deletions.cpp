#include "sync/deletions.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "base/text.h"
#include "base/unique_fd.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "log/log.h"

namespace claude_init::sync {

void MissingFiles::compare(int directory, const std::string& path, const std::vector<fs::Entry>& entries,
                           std::size_t present) {
  const fs::ActAs as(tree_.who);
  if (const auto count = fs::count_names(directory); count && *count == present) return;
  const auto names = fs::list_names(directory);
  if (!names) return;  // what cannot be seen is not deleted
  std::set<std::string_view> counterparts;
  for (const fs::Entry& entry : entries) counterparts.insert(entry.name);
  for (const std::string& name : *names) {
    if (!counterparts.contains(name)) static_cast<void>(is_gone(directory, path, name, 0));
  }
}

void MissingFiles::merge(MissingFiles&& later) {
  std::move(later.files_.begin(), later.files_.end(), std::back_inserter(files_));
  std::move(later.directories_.begin(), later.directories_.end(), std::back_inserter(directories_));
}

void MissingFiles::add_to(Plan& plan) {
  plan.deletions = std::move(files_);
  plan.empty_directories = std::move(directories_);
}

/// Whether it will be deleted, with everything in it.
bool MissingFiles::is_gone(int parent, const std::string& path, const std::string& name, unsigned depth) {
  const std::string full = fs::join(path, name);
  if (full == store::kCredentials || full == store::kClaudeJson) return false;
  struct stat st {};
  if (::fstatat(parent, name.c_str(), &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) return false;
  if (S_ISDIR(st.st_mode)) {
    if (!options_.filter.enters(full) || !is_directory_gone(parent, full, name, depth)) return false;
    if (!options_.filter.captures(full) || !may_go(full, st)) return false;
    directories_.push_back(full);
    return true;
  }
  if (!S_ISREG(st.st_mode) && !S_ISLNK(st.st_mode)) return false;
  if (!options_.filter.captures(full)) return false;
  if (!may_go(full, st)) {
    log::debug("not deleted: it is not the one that this session had",
               {{"path", fs::join(tree_.path, full)}});
    return false;
  }
  files_.push_back({full, store::stamp_of(st)});
  return true;
}

/// Whether everything in it will be.
bool MissingFiles::is_directory_gone(int parent, const std::string& path, const std::string& name,
                                     unsigned depth) {
  if (depth >= options_.limits.max_depth) return false;
  const UniqueFd fd(::openat(parent, name.c_str(), fs::kDirectory));
  if (!fd.valid()) return false;
  const auto names = fs::list_names(fd.get());
  if (!names) return false;
  bool all = true;
  for (const std::string& below : *names) all = is_gone(fd.get(), path, below, depth + 1) && all;
  return all;
}

bool MissingFiles::may_go(const std::string& path, const struct stat& st) const {
  if (options_.deletions == Deletions::all) return true;
  return options_.baseline != nullptr && options_.baseline->is_same_copy(path, st);
}

}  // namespace claude_init::sync
