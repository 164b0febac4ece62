#include "sync/transaction.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/interrupt.h"
#include "base/random.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"
#include "store/layout.h"
#include "sync/apply.h"

namespace claude_init::sync {
namespace {

constexpr const char* kUnfinishedJournal = "journal.new";
constexpr const char* kDamagedJournal = "journal.damaged";
// Files and directories that are synced one by one. syncfs also waits for what everybody else has written to
// the file system: only where there is so much that it costs less all the same.
constexpr std::uint64_t kFew = 32;

Result<void> rename_in(int directory, const char* from, const char* to) {
  if (::renameat(directory, from, directory, to) != 0)
    return system_error(errno, std::string("rename ") + from + " to " + to);
  return Done{};
}

/// Whether the file's content is `text`, from the disk where that can be had: what is synced is dropped from
/// the cache first.
Result<void> read_back(int directory, const std::string& name, std::string_view text) {
  const auto file = fs::open_regular(directory, name, fs::Links::refuse);
  if (!file) return file.error();
  ::posix_fadvise(file->fd.get(), 0, 0, POSIX_FADV_DONTNEED);
  auto found = fs::read_all(*file, text.size(), name);
  if (!found) return found.error();
  const Secret content(std::move(*found));
  if (content.reveal() != text) return make_error(ErrorKind::io, "what was written reads back differently");
  return Done{};
}

std::string random_id() {
  return fmt::format("{:08x}", static_cast<std::uint32_t>(random_number()));
}

/// The journal goes, and with it the reason to keep the stage. The stage's own entries first: with the
/// journal gone it would not be known that a name in it has been moved.
Result<void> finish(int own, int stage) {
  if (stage >= 0) {
    if (auto synced = fs::sync_to_disk(stage, store::kStage); !synced) return synced;
  }
  if (auto renamed = rename_in(own, store::kJournal, store::kCommitted); !renamed) return renamed;
  return fs::sync_to_disk(own, store::kPrivateDir);
}

void log_conflicts(const store::Tree& tree, const std::vector<Conflict>& conflicts) {
  for (const Conflict& conflict : conflicts) {
    log::failure(log::Level::warn,
                 system_error(conflict.number, "cannot be put into place and is left as it was: " +
                                                   printable(fs::join(tree.path, conflict.path))));
  }
}

Result<void> set_aside(const store::Tree& tree, int own, const Error& why) {
  log::warn("a damaged journal is set aside; what it was about is left as it is",
            {{"path", fs::join(fs::join(tree.path, store::kPrivateDir), kDamagedJournal)},
             {"reason", why.message()}});
  if (auto removed = fs::remove_tree(own, kDamagedJournal); !removed) return removed;
  return rename_in(own, store::kJournal, kDamagedJournal);
}

/// The stage of a committed journal. None where it is gone, or is no directory: then there is nothing to
/// move.
Result<UniqueFd> open_stage(int own) {
  UniqueFd stage(::openat(own, store::kStage, fs::kDirectory));
  const int error = stage.valid() ? 0 : errno;
  if (error == 0 || error == ENOENT || error == ENOTDIR || error == ELOOP) return stage;
  return system_error(error, std::string("open ") + store::kStage);
}

struct CommittedJournal {
  UniqueFd fd;
  store::Journal journal;
};

/// Nothing where there is none. Error with is_verdict(): it was read, and is not one of ours.
Result<std::optional<CommittedJournal>> read_journal(int own) {
  auto file = fs::open_regular(own, store::kJournal, fs::Links::refuse);
  if (!file && file.error().number == ENOENT) return std::optional<CommittedJournal>();
  if (!file) return file.error();
  const auto text = fs::read_all(*file, store::kMaxJournalBytes, store::kJournal);
  if (!text) return text.error();
  auto journal = store::parse_journal(*text);
  if (!journal) return journal.error();
  return std::optional(CommittedJournal{std::move(file->fd), std::move(*journal)});
}

// a. The last run may have ended before its commit point had reached the disk.
// b. Do what it says, as far as that is not done.
// c. It goes.
Result<void> roll_forward(const store::Tree& tree, int own, const CommittedJournal& committed) {
  const store::Journal& journal = committed.journal;
  // a.
  if (auto synced = fs::sync_to_disk(committed.fd.get(), store::kJournal); !synced) return synced;
  if (auto synced = fs::sync_to_disk(own, store::kPrivateDir); !synced) return synced;
  // b.
  const auto stage = open_stage(own);
  if (!stage) return stage.error();
  const auto conflicts = apply(tree, stage->get(), journal, {.durable = true, .again = true});
  if (!conflicts) return conflicts.error();
  log_conflicts(tree, *conflicts);
  log::info("finished what an earlier capture had begun",
            {{"path", tree.path}, {"entries", journal.moves.size() + journal.deletions.size()}});
  // c.
  return finish(own, stage->get());
}

}  // namespace

Durability durability_for(std::uint64_t entries) {
  return entries > kFew ? Durability::bulk : Durability::each;
}

// 1. A committed journal is rolled forward. It was written by whoever can write to the store: one that was
//    read and cannot be believed is set aside, as it would stop every capture from now on. After any other
//    error all is left as it is, to be done later.
// 2. What is left in the stage is of a transaction that never was.
Result<void> Transaction::recover(const store::Tree& tree) {
  const fs::ActAs as(tree.who);
  const auto own = fs::open_beneath(tree.root, store::kPrivateDir, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!own) return own.error().number == ENOENT ? Result<void>(Done{}) : own.error_with(printable(tree.path));
  // 1.
  Result<void> done;
  const auto committed = read_journal(own->get());
  if (!committed) {
    done = is_verdict(committed.error()) ? set_aside(tree, own->get(), committed.error()) : committed.error();
  } else if (*committed) {
    done = roll_forward(tree, own->get(), **committed);
  }
  if (!done) return done.error_with(printable(tree.path));
  // 2.
  for (const char* leftover : {kUnfinishedJournal, store::kStage}) {
    if (auto dropped = fs::remove_tree(own->get(), leftover); !dropped)
      return dropped.error_with(printable(tree.path));
  }
  return Done{};
}

Transaction::Transaction(const store::Tree& to, const store::Modes& modes, Durability durability)
    : to_(to), modes_(modes), durability_(durability), id_(random_id()) {}

Result<Transaction> Transaction::begin(const store::Tree& to, const store::Modes& modes,
                                       Durability durability) {
  // Never over the stage of one that is committed and not in place yet.
  if (auto recovered = recover(to); !recovered) return recovered.error();
  Transaction made(to, modes, durability);
  const fs::ActAs as(to.who);
  made.act_in_vain_ = !as.effective();
  const std::string name(store::kPrivateDir);
  auto own = fs::make_directory(to.root, name, modes.directory);
  if (!own) return own.error_with(printable(to.path));
  made.give(own->get());
  auto stage = fs::make_directory(own->get(), store::kStage, modes.directory);
  if (!stage) return stage.error_with(printable(fs::join(to.path, name)));
  made.give(stage->get());
  made.private_ = std::move(*own);
  made.stage_ = std::move(*stage);
  return made;
}

Transaction::~Transaction() {
  if (!committed_) drop_stage();
}

std::string Transaction::new_name() {
  return fmt::format("{}-{}", id_, ++names_);
}

void Transaction::add(std::string staged, std::string path) {
  journal_.moves.push_back({std::move(staged), std::move(path)});
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

void Transaction::remove(std::vector<store::Journal::Deletion> files, std::vector<std::string> directories) {
  journal_.deletions = std::move(files);
  journal_.directories = std::move(directories);
}

void Transaction::give(int fd) const {
  struct stat st {};
  if (!act_in_vain_ || ::fstat(fd, &st) != 0 || st.st_uid != ::geteuid()) return;  // what we have made
  [[maybe_unused]] const int refused = ::fchown(fd, to_.who.uid, to_.who.gid);
}

// The numbers are those of the whole capture (capture.cpp).
// 6. The journal is written and reaches the disk under its committed name: the commit point.
// 7. What it says is done; it goes, and then the stage.
Result<void> Transaction::commit() {
  // From here on it is done.
  if (auto go_on = interrupt::check(); !go_on) return go_on;
  const auto start = std::chrono::steady_clock::now();
  const fs::ActAs as(to_.who);
  // 6.
  const bool journaled = needs_journal();
  if (journaled) {
    if (auto written = write_journal(); !written) return written;
  }
  // 7.
  const bool is_login = !journaled && durability_ != Durability::none;
  if (auto done = is_login ? put_login_into_place() : put_into_place(journaled); !done) return done;
  log::debug("committed", {{"path", to_.path},
                           {"entries", journal_.moves.size() + journal_.deletions.size()},
                           {"took", took_since(start)}});
  drop_stage();
  return Done{};
}

/// A login file is a transaction of its own, and its rename is both the commit point and all there is to do:
/// readers compare the file itself (store/snapshot.h). So no journal ever names one, and nothing but its own
/// content and one directory entry has to reach the disk for it. The same holds for a sealed login and the
/// plain file that is derived from it: the sealed one is the commit point. A tree that nobody needs after a
/// crash has no journal either.
bool Transaction::needs_journal() const {
  if (durability_ == Durability::none) return false;
  const auto is_login_file = [](const store::Journal::Move& move) {
    return move.path == store::kCredentials || move.path == store::kClaudeJson ||
           move.path == store::kSealedLogin;
  };
  return !journal_.deletions.empty() || !journal_.directories.empty() ||
         !std::all_of(journal_.moves.begin(), journal_.moves.end(), is_login_file);
}

/// One after the other, each on the disk before the next. Where the first lies in a directory of ours that
/// may be new, that is on the disk before.
Result<void> Transaction::put_login_into_place() {
  struct stat st {};
  const std::string sealed(store::kSealedLogin);
  const bool sealed_first = journal_.moves.size() > 1;
  if (sealed_first && ::fstatat(to_.root, sealed.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) {
    if (auto synced = fs::sync_to_disk(to_.root, to_.path); !synced) return synced;
  }
  for (const store::Journal::Move& move : journal_.moves) {
    const auto conflicts = apply(to_, stage_.get(), {{move}, {}, {}}, {.durable = true, .again = false});
    if (!conflicts) return conflicts.error();
    if (!conflicts->empty())
      return system_error(conflicts->front().number,
                          "put into place " + printable(fs::join(to_.path, move.path)));
  }
  return Done{};
}

// a. Everything staged is on the disk, its names and the stage's own too.
// b. So is the journal under its temporary name, and, before the first commit of this store, the directory
//    that it lies in.
// c. It gets its committed name: from here on it is done for every reader.
// d. That reaches the disk. When this fails nobody can know whether it did: then all is left as it is for
//    recover(), which makes sure before it goes on.
Result<void> Transaction::write_journal() {
  const std::string text = store::encode(journal_);
  if (text.size() > store::kMaxJournalBytes)
    return make_error(ErrorKind::limit, "too many files changed at once in " + printable(to_.path));
  const int own = private_.get();
  const bool bulk = durability_ == Durability::bulk;
  // a. and b.
  if (auto removed = fs::remove_tree(own, kUnfinishedJournal); !removed) return removed;
  if (!bulk) {
    if (auto synced = fs::sync_to_disk(stage_.get(), store::kStage); !synced) return synced;
  }
  if (auto written =
          fs::write_file(own, kUnfinishedJournal, text, modes_.file, bulk ? fs::Sync::no : fs::Sync::yes);
      !written) {
    return written;
  }
  if (bulk) {
    if (auto synced = sync_file_system(own, to_.path); !synced) return synced;
  } else {
    if (auto synced = fs::sync_to_disk(own, store::kPrivateDir); !synced) return synced;
    struct stat st {};
    if (::fstatat(own, store::kCommitted, &st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (auto synced = fs::sync_to_disk(to_.root, to_.path); !synced) return synced;
    }
  }
  // c.
  if (auto renamed = rename_in(own, kUnfinishedJournal, store::kJournal); !renamed) return renamed;
  committed_ = true;
  // d.
  return fs::sync_to_disk(own, store::kPrivateDir);
}

Result<void> Transaction::put_into_place(bool journaled) {
  const ApplyOptions how{.durable = durability_ != Durability::none, .again = false};
  const auto conflicts = apply(to_, stage_.get(), journal_, how);
  if (!conflicts) return conflicts.error();
  if (journaled) {
    if (auto finished = finish(private_.get(), stage_.get()); !finished) return finished;
    committed_ = false;
  }
  if (conflicts->empty()) return Done{};
  const Conflict& first = conflicts->front();
  if (conflicts->size() > 1) log_conflicts(to_, *conflicts);
  return system_error(first.number, "put into place " + printable(fs::join(to_.path, first.path)));
}

void Transaction::drop_stage() {
  if (!private_.valid()) return;
  const fs::ActAs as(to_.who);
  // What cannot be removed now is removed by the next transaction.
  if (auto dropped = fs::remove_tree(private_.get(), store::kStage); !dropped) {
    log::debug(dropped.error().message(), {{"path", to_.path}});
  }
  stage_.reset();
  private_.reset();
}

}  // namespace claude_init::sync
