#include "sync/source.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "fs/open.h"
#include "login/secrets.h"
#include "sync/links.h"

namespace claude_init::sync {
namespace {

std::uint64_t data_bytes(const struct stat& st) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::min<std::int64_t>(st.st_size, st.st_blocks * 512)));
}

/// The same for an open file too; also where it cannot be found out.
bool may_lie_in(int inner, const struct stat& st, const struct stat& outer) {
  if (S_ISDIR(st.st_mode)) return fs::is_within(inner, outer);
  const std::string path = fs::read_link(AT_FDCWD, "/proc/self/fd/" + std::to_string(inner));
  const std::string above = fs::parent_of(path);
  const UniqueFd directory(::open(above.empty() ? "/" : above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return path.empty() || !directory.valid() || fs::is_within(directory.get(), outer);
}

}  // namespace

struct Source::Judging {
  const Place& here;
  const store::Pending::Moves& staged;
  std::vector<Skipped>& skipped;

  void skip(const std::string& path, std::string reason) { skipped.push_back({path, std::move(reason)}); }
};

Source::Source(const store::Tree& from, const ScanOptions& options, const struct stat* not_entered)
    : from_(from), options_(options), not_entered_(not_entered) {
  if (from_.pending == nullptr) return;
  const fs::ActAs as(from_.who);
  auto stage = open_stage_of(from_.root);
  if (stage) {
    stage_ = std::move(*stage);
  } else {
    stage_problem_ = stage.error();
  }
}

Result<std::vector<fs::Entry>> Source::list(const Place& here, store::Pending::Moves& staged,
                                            const Deadline& deadline) {
  if (stage_problem_) return *stage_problem_;
  const std::uint64_t limit = options_.limits.max_files;
  const fs::ActAs as(from_.who);
  auto entries = fs::list_directory(here.fd, limit - std::min(limit, seen_.load()), deadline);
  if (!entries) {
    if (entries.error().number != 0) return entries.error_with(printable(fs::join(from_.path, here.path)));
    return deadline.has_come() ? entries : too_much(from_, "more than", limit, "files", "--max-files");
  }
  if (from_.pending != nullptr && here.staged.empty()) staged = apply_pending(here, *entries);
  if ((seen_ += entries->size()) > limit) return too_much(from_, "more than", limit, "files", "--max-files");
  return entries;
}

/// What the journal has not put into place yet is seen, and what it has not deleted yet is not. Returns
/// what is still in the stage.
store::Pending::Moves Source::apply_pending(const Place& here, std::vector<fs::Entry>& entries) const {
  std::erase_if(entries, [&](const fs::Entry& entry) {
    return from_.pending->deletes(fs::join(here.path, entry.name), entry.st);
  });
  store::Pending::Moves staged;
  const store::Pending::Moves* moves = from_.pending->moves_into(here.path);
  if (moves == nullptr) return staged;
  std::erase_if(entries, [&](const fs::Entry& entry) { return moves->contains(entry.name); });
  for (const auto& [name, source] : *moves) {
    fs::Entry entry;
    entry.name = name;
    if (stage_.valid() && ::fstatat(stage_.get(), source.c_str(), &entry.st, AT_SYMLINK_NOFOLLOW) == 0) {
      staged.emplace(name, source);
    } else if (stage_.valid() && errno != ENOENT) {
      entry.error = errno;
    } else if (::fstatat(here.fd, name.c_str(), &entry.st, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) continue;
      entry.error = errno;
    }
    entries.push_back(std::move(entry));
  }
  return staged;
}

bool Source::is_plain_file(const Place& here, const store::DirectoryFilter& filter,
                           const fs::Entry& entry) const {
  return entry.error == 0 && S_ISREG(entry.st.st_mode) && !is_foreign_hard_link(entry.st) &&
         filter.captures(entry.name) && !is_withheld(entry.name) &&
         (!here.path.empty() || is_wanted_at_top(entry.name));
}

std::vector<Candidate> Source::judge(const Place& here, const store::Pending::Moves& staged,
                                     std::vector<fs::Entry>& entries, std::vector<Skipped>& skipped) const {
  std::sort(entries.begin(), entries.end(),
            [](const fs::Entry& a, const fs::Entry& b) { return a.name < b.name; });
  const fs::ActAs as(from_.who);
  Judging judging{here, staged, skipped};
  std::vector<Candidate> candidates;
  candidates.reserve(entries.size());
  for (fs::Entry& entry : entries) {
    if (auto candidate = judge_entry(judging, entry)) candidates.push_back(std::move(*candidate));
  }
  return candidates;
}

/// What an entry of the source is to us; nothing if it is not copied.
std::optional<Candidate> Source::judge_entry(Judging& judging, fs::Entry& entry) const {
  const std::string full = fs::join(judging.here.path, entry.name);
  if (judging.here.path.empty() && !is_wanted_at_top(full)) return std::nullopt;
  const store::Filter& filter = options_.filter;
  if (S_ISDIR(entry.st.st_mode) ? !filter.enters(full) : !filter.captures(full)) return std::nullopt;
  Candidate candidate;
  candidate.st = entry.st;
  candidate.entry.name = std::move(entry.name);
  if (const auto found = judging.staged.find(candidate.entry.name); found != judging.staged.end())
    candidate.entry.staged = found->second;
  if (entry.error != 0) {
    judging.skipped.push_back(unreadable(full, entry.error));
    return std::nullopt;
  }
  if (S_ISLNK(entry.st.st_mode) && !judge_link(judging, full, candidate)) return std::nullopt;
  const struct stat& st = candidate.st;
  candidate.directory = S_ISDIR(st.st_mode);
  if (!candidate.directory && is_withheld(candidate.entry.name)) {
    judging.skipped.push_back({full, "may be a copy of the login, with its refresh token", 0, true});
    return std::nullopt;
  }
  if (is_foreign_hard_link(st)) {
    judging.skip(full, "is a hard link to a file of another user");
    return std::nullopt;
  }
  if (!candidate.directory && !S_ISREG(st.st_mode) && candidate.entry.link_target.empty()) {
    judging.skip(full, fs::describe_type(st.st_mode));
    return std::nullopt;
  }
  // A store beneath what it captures would swallow itself, each time deeper.
  if (candidate.directory && not_entered_ != nullptr && fs::is_same_file(st, *not_entered_))
    return std::nullopt;
  candidate.entry.bytes = S_ISREG(st.st_mode) ? data_bytes(st) : 0;
  return candidate;
}

/// Decides whether a link is kept, followed (then `candidate` becomes what it points to) or skipped.
bool Source::judge_link(Judging& judging, const std::string& full, Candidate& candidate) const {
  std::string target;
  if (!candidate.entry.staged.empty()) target = fs::read_link(stage_.get(), candidate.entry.staged);
  if (target.empty()) target = fs::read_link(judging.here.fd, candidate.entry.name);
  if (target.empty()) {
    judging.skipped.push_back(unreadable(full, errno));
    return false;
  }
  std::string kept = kept_target(target, judging.here.depth, from_.path);
  if (kept.empty()) {
    const auto why_not = follow_out(judging.here, full, candidate);
    if (why_not) judging.skipped.push_back(*why_not);
    return !why_not;
  }
  if (!leads_through_atomic_writer(kept)) {
    candidate.entry.link_target = std::move(kept);
    return true;
  }
  const auto opened = fs::open_beneath(from_.root, full, O_PATH, fs::Links::beneath);
  if (!opened || ::fstat(opened->get(), &candidate.st) != 0) {
    judging.skipped.push_back(unreadable(full, opened ? errno : opened.error().number));
    return false;
  }
  candidate.entry.through_link = true;
  return true;
}

/// Makes `candidate` what a link that leads outside leads to, where that may be copied. Returns what is to be
/// said of it where it may not.
std::optional<Skipped> Source::follow_out(const Place& here, const std::string& full,
                                          Candidate& candidate) const {
  const auto points_outside = [&](const std::string& why, const Error& error = {}) {
    return Skipped{full, "points outside" + why, is_for_now(error) ? error.number : 0};
  };
  const auto& include = options_.filter.include;
  if (!options_.follow_links_out && (include.empty() || !store::Filter{{}, {}, true, include}.captures(full)))
    return points_outside("");
  if (!here.outside.empty() || !candidate.entry.staged.empty()) return points_outside(", from outside");
  const auto opened = open_outside(here.fd, candidate.entry.name, from_.who.uid);
  if (!opened) return points_outside(": " + opened.error().message(), opened.error());
  struct stat root {};
  if (::fstat(opened->get(), &candidate.st) != 0 || ::fstat(from_.root, &root) != 0)
    return points_outside(": " + system_error(errno, "cannot be looked at").message());
  if (S_ISDIR(candidate.st.st_mode) && fs::is_within(from_.root, candidate.st))
    return points_outside(": it has this directory in it");
  if (not_entered_ != nullptr && may_lie_in(opened->get(), candidate.st, *not_entered_))
    return points_outside(", into the store");
  candidate.entry.outside = true;
  return std::nullopt;
}

Result<UniqueFd> Source::open(const Place& above, const std::string& path, const PlannedEntry& entry) const {
  const fs::ActAs as(from_.who);
  if (entry.through_link)
    return fs::open_beneath(from_.root, path, fs::kDirectory & ~O_NOFOLLOW, fs::Links::beneath);
  if (entry.outside) return open_outside(above.fd, entry.name, from_.who.uid);
  UniqueFd fd;
  if (!entry.staged.empty()) fd.reset(::openat(stage_.get(), entry.staged.c_str(), fs::kDirectory));
  if (!fd.valid() && !entry.staged.empty() && errno != ENOENT) return system_error(errno, "open");
  if (!fd.valid()) fd.reset(::openat(above.fd, entry.name.c_str(), fs::kDirectory));
  if (!fd.valid()) return system_error(errno, "open");
  return fd;
}

bool Source::is_withheld(const std::string& name) const {
  return options_.withhold_secrets && login::is_credentials_name(name);
}

bool Source::is_foreign_hard_link(const struct stat& st) const {
  return S_ISREG(st.st_mode) && st.st_nlink > 1 && st.st_uid != from_.who.uid;
}

bool Source::is_wanted_at_top(const std::string& name) const {
  if (name == store::kCredentials || name == store::kClaudeJson || is_atomic_writer_entry(name)) return false;
  if (options_.extent == store::Extent::login) return store::is_settings_file(name);
  return options_.extent == store::Extent::all || store::is_sessions_directory(name);
}

Result<UniqueFd> open_outside(int directory, const std::string& name, uid_t owner) {
  UniqueFd fd(::openat(directory, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat st {};
  if (!fd.valid() || ::fstat(fd.get(), &st) != 0) return system_error(errno, "open");
  if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
    return make_error(ErrorKind::invalid, fs::describe_type(st.st_mode));
  if (st.st_uid != owner)
    return make_error(ErrorKind::invalid, "belongs to uid " + std::to_string(st.st_uid));
  return fd;
}

Result<UniqueFd> open_stage_of(int store) {
  auto stage =
      fs::open_beneath(store, fs::join(store::kPrivateDir, store::kStage), fs::kDirectory, fs::Links::refuse);
  if (!stage && (stage.error().number == ENOENT || is_verdict(stage.error()))) return UniqueFd();
  return stage;
}

Skipped unreadable(std::string path, int error) {
  const Error why = system_error(error, "cannot be read");
  const bool is_another = error == ENOENT || is_verdict(why);
  return {std::move(path), why.message(), is_another ? 0 : error};
}

Skipped unreadable(std::string path, const Error& error) {
  return error.number == 0 ? Skipped{std::move(path), error.message()}
                           : unreadable(std::move(path), error.number);
}

const Skipped* first_failed(const std::vector<Skipped>& skipped) {
  const auto found =
      std::find_if(skipped.begin(), skipped.end(), [](const Skipped& each) { return each.error != 0; });
  return found == skipped.end() ? nullptr : &*found;
}

std::optional<Error> failed_for_now(const std::vector<Skipped>& skipped) {
  const auto found = std::find_if(skipped.begin(), skipped.end(), [](const Skipped& each) {
    return is_for_now({ErrorKind::system, each.error, {}, {}});
  });
  if (found == skipped.end()) return std::nullopt;
  return system_error(found->error, printable(found->path));
}

std::string how_to_allow(const std::string& option) {
  return "leave out what is not needed (--exclude GLOB), or allow more (" + option + ")";
}

Error too_much(const store::Tree& tree, const char* how, std::uint64_t limit, const char* what,
               const std::string& option) {
  return make_error(ErrorKind::limit,
                    printable(tree.path) + " has " + how + " " + std::to_string(limit) + " " + what,
                    how_to_allow(option));
}

}  // namespace claude_init::sync
