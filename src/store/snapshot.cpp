#include "store/snapshot.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

std::string in_private_dir(const char* name) {
  return fs::join(kPrivateDir, name);
}

std::uint64_t number(std::int64_t value) {
  return static_cast<std::uint64_t>(value);
}

}  // namespace

Pending::Pending(Journal journal) {
  for (auto& move : journal.moves) {
    moves_[fs::parent_of(move.path)].emplace(fs::name_of(move.path), std::move(move.staged));
  }
  for (auto& deletion : journal.deletions) deletions_.emplace(std::move(deletion.path), deletion.copy);
  for (auto& directory : journal.directories) directories_.insert(std::move(directory));
}

const Pending::Moves* Pending::moves_into(std::string_view directory) const {
  const auto found = moves_.find(directory);
  return found == moves_.end() ? nullptr : &found->second;
}

bool Pending::deletes(std::string_view path, const struct stat& st) const {
  if (S_ISDIR(st.st_mode)) return directories_.contains(path);
  const auto found = deletions_.find(path);
  return found != deletions_.end() && found->second == stamp_of(st);
}

// 1. Look at what tells of a commit.
// 2. Read the journal, if there is one. It is the one that we looked at, or we look again; but whoever
//    changes something without end gets a snapshot that does not hold, which its reader finds out.
Result<Snapshot> Snapshot::take(const Tree& store) {
  constexpr int kPasses = 10;
  Snapshot snapshot(store);
  for (int pass = 1;; ++pass) {
    // 1.
    snapshot.marks_ = snapshot.read_marks();
    // 2.
    const fs::ActAs as(store.who);
    const auto file = fs::open_regular(store.root, in_private_dir(kJournal), fs::Links::refuse);
    if (!file && file.error().number == ENOENT) break;
    if (!file && !is_verdict(file.error())) return file.error_with(printable(store.path));
    if (!file) break;
    const auto text = fs::read_all(*file, kMaxJournalBytes, kJournal);
    if (!text && !is_verdict(text.error())) return text.error_with(printable(store.path));
    auto journal = text ? parse_journal(*text) : Result<Journal>(text.error());
    if (pass < kPasses && !snapshot.holds()) continue;
    if (journal) snapshot.pending_.emplace_back(std::move(*journal));
    if (!journal) log::debug(journal.error().message(), {{"path", store.path}});
    break;
  }
  return snapshot;
}

Tree Snapshot::tree() const {
  Tree tree = store_;
  tree.pending = pending_.empty() ? nullptr : &pending_.front();
  return tree;
}

bool Snapshot::holds() const {
  return read_marks() == marks_;
}

Snapshot::Marks Snapshot::read_marks() const {
  const fs::ActAs as(store_.who);
  // Not by ctime: a change of mode is none of the content, and a journal that is done is still the same one
  // under its other name.
  const auto mark_of = [&](const std::string& name) {
    struct stat st {};
    if (::fstatat(store_.root, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Mark{};
    return Mark{st.st_ino, number(st.st_size), number(st.st_mtim.tv_sec), number(st.st_mtim.tv_nsec), 1};
  };
  Marks marks;
  marks.transaction = mark_of(in_private_dir(kJournal));
  if (marks.transaction == Mark{}) marks.transaction = mark_of(in_private_dir(kCommitted));
  marks.credentials = mark_of(std::string(kCredentials));
  marks.claude_json = mark_of(std::string(kClaudeJson));
  marks.data = fs::read_link(store_.root, kAtomicWriterData);
  return marks;
}

}  // namespace claude_init::store
