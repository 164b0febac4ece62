#include "store/transaction.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

constexpr const char* kStage = "stage";
constexpr std::size_t kFewDirectories = 16;  // more are synced by one syncfs

Result<void> sync_file_system(int fd, const std::string& path) {
  if (::syncfs(fd) != 0) return system_error(errno, "sync " + printable(path));
  return Done{};
}

/// Whether the file's content is `text`, from the disk where that can be had: what is synced is dropped from
/// the cache first.
Result<void> read_back(int directory, const std::string& name, std::string_view text) {
  const auto file = fs::open_regular(directory, name, fs::Links::refuse);
  if (!file) return file.error();
  ::posix_fadvise(file->fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  auto found = fs::read_all(file->fd.get(), text.size(), name);
  if (!found) return found.error();
  const Secret content(std::move(*found));
  if (content.reveal() != text) return make_error(ErrorKind::io, "what was written reads back differently");
  return Done{};
}

}  // namespace

Result<void> Transaction::recover(const Tree& tree) {
  const fs::ActAs as(tree.who);
  const auto own = fs::open_beneath(tree.root, kPrivateDir, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!own) return own.error().number == ENOENT ? Result<void>(Done{}) : own.error_with(printable(tree.path));
  const auto dropped = fs::remove_tree(own->get(), kStage);
  if (!dropped) return dropped.error_with(printable(tree.path));
  return Done{};
}

Result<Transaction> Transaction::begin(const Tree& to, const Modes& modes, Durability durability) {
  Transaction made(to, modes, durability);
  const fs::ActAs as(to.who);
  made.act_in_vain_ = !as.effective();
  const std::string name(kPrivateDir);
  auto own = fs::make_directory(to.root, name, modes.directory);
  if (!own) return own.error_with(printable(to.path));
  made.give(own->get());
  if (auto dropped = fs::remove_tree(own->get(), kStage); !dropped) {
    return dropped.error_with(printable(fs::join(to.path, name)));
  }
  auto stage = fs::make_directory(own->get(), kStage, modes.directory);
  if (!stage) return stage.error_with(printable(fs::join(to.path, name)));
  made.give(stage->get());
  made.private_ = std::move(*own);
  made.stage_ = std::move(*stage);
  return made;
}

Transaction::~Transaction() {
  drop_stage();
}

Result<void> Transaction::add_file(std::string_view path, std::string_view text) {
  const fs::ActAs as(to_.who);
  const std::string staged = new_name();
  const bool durable = durability_ != Durability::none;
  if (auto written =
          fs::write_file(stage_.get(), staged, text, modes_.file, durable ? fs::Sync::yes : fs::Sync::no);
      !written) {
    return written.error_with(printable(path));
  }
  if (durable) {
    if (const auto same = read_back(stage_.get(), staged, text); !same)
      return same.error_with(printable(path));
  }
  if (act_in_vain_) {
    if (const auto file = fs::open_regular(stage_.get(), staged, fs::Links::refuse); file)
      give(file->fd.get());
  }
  add(staged, std::string(path));
  return Done{};
}

void Transaction::give(int fd) const {
  if (act_in_vain_) [[maybe_unused]]
    const int refused = ::fchown(fd, to_.who.uid, to_.who.gid);
}

// 1. What is staged reaches the disk.
// 2. Each staged entry is moved to its place: from here on a reader sees it.
// 3. The directories that changed reach the disk.
// 4. The stage goes.
Result<void> Transaction::commit() {
  const auto start = std::chrono::steady_clock::now();
  const fs::ActAs as(to_.who);
  // 1.
  if (durability_ == Durability::bulk) {
    if (auto synced = sync_file_system(stage_.get(), to_.path); !synced) return synced;
  }
  // 2. and 3.
  if (auto moved = move_into_place(); !moved) return moved;
  log::debug("committed", {{"path", to_.path}, {"entries", moves_.size()}, {"took", took_since(start)}});
  // 4.
  drop_stage();
  return Done{};
}

Result<void> Transaction::move_into_place() {
  std::vector<UniqueFd> parents;
  std::string last;
  for (const Move& move : moves_) {
    const std::string parent = fs::parent_of(move.path);
    if (parents.empty() || parent != last) {
      auto opened = fs::open_beneath(to_.root, parent, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
      if (!opened) return opened.error_with("put into place");
      if (parents.size() > kFewDirectories) parents.pop_back();
      parents.push_back(std::move(*opened));
      last = parent;
    }
    const std::string name = fs::name_of(move.path);
    if (::renameat(stage_.get(), move.staged.c_str(), parents.back().get(), name.c_str()) != 0) {
      return system_error(errno, "put into place " + printable(fs::join(to_.path, move.path)));
    }
    if (log::enabled(log::Level::trace))
      log::trace("put into place", {{"path", fs::join(to_.path, move.path)}});
  }
  return durability_ == Durability::none ? Result<void>(Done{}) : sync_directories(parents);
}

Result<void> Transaction::sync_directories(const std::vector<UniqueFd>& directories) {
  if (directories.size() > kFewDirectories) return sync_file_system(to_.root, to_.path);
  for (const UniqueFd& directory : directories) {
    if (auto synced = fs::sync_to_disk(directory.get(), to_.path); !synced) return synced;
  }
  return Done{};
}

void Transaction::drop_stage() {
  if (!private_.valid()) return;
  const fs::ActAs as(to_.who);
  // What cannot be removed now is removed by the next transaction.
  if (auto dropped = fs::remove_tree(private_.get(), kStage); !dropped) {
    log::debug(dropped.error().message(), {{"path", to_.path}});
  }
  stage_.reset();
  private_.reset();
}

}  // namespace claude_init::store
