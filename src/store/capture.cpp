#include "store/capture.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/text.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/cli_locks.h"
#include "store/stage.h"
#include "store/state_file.h"
#include "store/transaction.h"

namespace claude_init::store {
namespace {

/// A directory of the source, or nothing where it is missing: nobody has used the CLI yet.
Result<std::optional<UniqueFd>> open_source(const std::string& path, fs::Identity who, int flags) {
  auto opened = fs::open_root(path, who, flags);
  if (opened) return std::optional<UniqueFd>(std::move(*opened));
  if (opened.error().number == ENOENT) return std::optional<UniqueFd>();
  return opened.error();
}

std::optional<std::string_view> view(const StateFile& file) {
  return file.text ? std::optional<std::string_view>(file.text->reveal()) : std::nullopt;
}

class Capture {
 public:
  Capture(const Store& store, const Lock& lock, const CaptureOptions& options)
      : to_(store.tree()),
        modes_(store.modes()),
        lock_(lock),
        options_(options),
        generations_(store, options.reason, options.keep_generations) {
    if (options.baseline != nullptr) noted_ = options.baseline->empty_copy();
  }

  /// The login: a transaction of its own, which is durable by each file's own fsync.
  Result<void> login(const Tree& from) {
    if (!options_.filter.captures(kCredentials)) return Done{};
    if (const auto judged = judge_login(from); !judged) return judged.error();
    if (report_.login.choice != login::Choice::take) return Done{};
    // A CLI that works in the store itself may just be renewing: what it has when it is done is judged.
    const auto locks = CliLocks::take(to_, CliLocks::What::login, lock_.patience_ends());
    if (!locks) return locks.error();
    const auto files = judge_login(from);
    if (!files) return files.error();
    if (report_.login.choice != login::Choice::take) return Done{};
    // 5. to 7.
    return put(kCredentials, files->first, files->second);
  }

  /// The source's login and the store's. Error: one of them cannot be read now, and so nothing be judged.
  Result<std::pair<StateFile, StateFile>> judge_login(const Tree& from) {
    // 2.
    StateFile source = source_login(from);
    StateFile stored = read_state_file(to_, kCredentials);
    for (const StateFile* file : {&source, &stored}) {
      if (file->problem && is_for_now(*file->problem)) return *file->problem;
    }
    // 4.
    login::Verdict& verdict = report_.login;
    verdict = login::compare(view(source), view(stored), unix_now(), options_.rules);
    if (source.problem) {
      verdict.source_state = state_of_problem(*source.problem);
      verdict.reason = "the captured one cannot be read (" + source.problem->message() + ")";
    }
    if (stored.problem) {
      // What cannot be read cannot be judged, and might be the better one.
      verdict.store_state = login::State::unreadable;
      verdict.choice = login::Choice::keep_store;
      verdict.reason = "the store's cannot be read (" + stored.problem->message() + ")";
    }
    return std::pair(std::move(source), std::move(stored));
  }

  /// `.claude.json`: one that does not parse never replaces one that does.
  Result<void> settings(const Tree& from, std::string_view name) {
    if (!options_.filter.captures(kClaudeJson)) return Done{};
    const StateFile source = read_state_file(from, name);
    if (source.problem) return skip_settings(*source.problem);
    if (!source.text) return Done{};
    const StateFile stored = read_state_file(to_, kClaudeJson);
    // What cannot be read now might be the later one.
    if (stored.problem && !is_verdict(*stored.problem)) return skip_settings(*stored.problem);
    if (stored.text && *stored.text == *source.text) {
      if (options_.baseline != nullptr) noted_.note(kClaudeJson, *source.st);
      report_.unchanged += 1;
      return Done{};
    }
    if (stored.text && is_left_alone(*source.st, *stored.st)) {
      report_.unchanged += 1;
      return Done{};
    }
    if (!login::is_json_object(source.text->reveal())) {
      report_.settings_kept = stored.text && login::is_json_object(stored.text->reveal());
      report_.skipped.push_back({std::string(kClaudeJson), "is not complete JSON"});
      return Done{};
    }
    const auto locks = CliLocks::take(to_, CliLocks::What::settings, lock_.patience_ends());
    if (!locks && locks.error().kind == ErrorKind::busy) {
      report_.skipped.push_back(
          {std::string(kClaudeJson), "a claude that works in the store is writing it", EAGAIN});
      return Done{};
    }
    if (!locks) return locks.error();
    return put(kClaudeJson, source, stored);
  }

  /// Everything else. Nothing is written before the limits are known to be kept.
  Result<void> tree(const Tree& from) {
    // 2. and 3.
    auto start = std::chrono::steady_clock::now();
    ScanOptions scan{options_.filter, Extent::all, options_.limits, options_.keep_newer};
    scan.deletions = options_.delete_missing;
    scan.baseline = options_.baseline;
    if (options_.baseline != nullptr) scan.noted = &noted_;
    auto plan = make_plan(from, &to_, scan);
    if (!plan) return plan.error();
    log::debug("compared", {{"path", from.path},
                            {"changed", plan->files},
                            {"deleted", plan->deletions.size()},
                            {"unchanged", plan->unchanged},
                            {"took", took_since(start)}});
    append(report_.skipped, std::move(plan->skipped));
    report_.unchanged += plan->unchanged;
    if (plan->directories.empty() && plan->deletions.empty() && plan->empty_directories.empty())
      return Done{};
    // 5.
    start = std::chrono::steady_clock::now();
    if (changes_settings(*plan)) {
      if (auto kept = generations_.before_change(); !kept) return kept;
    }
    auto transaction =
        Transaction::begin(to_, modes_, durability_for(plan->files + plan->directories.size()));
    if (!transaction) return transaction.error();
    StageOptions how{options_.deadline, options_.limits.max_bytes, nullptr, nullptr, options_.progress};
    if (options_.baseline != nullptr) how.noted_copies = &noted_;
    auto staged = stage(*plan, from, *transaction, how);
    if (!staged) return staged.error();
    log::debug("staged", {{"path", to_.path}, {"bytes", staged->bytes}, {"took", took_since(start)}});
    append(report_.skipped, std::move(staged->skipped));
    append(report_.left_out, std::move(staged->left_out));
    // 6. and 7.
    const std::size_t deleted = plan->deletions.size();
    transaction->remove(std::move(plan->deletions), std::move(plan->empty_directories));
    if (auto held = lock_.verify(); !held) return held;
    if (auto committed = transaction->commit(); !committed) return committed;
    report_.added += staged->added;
    report_.changed += staged->changed;
    report_.deleted += deleted;
    report_.bytes += staged->bytes;
    return Done{};
  }

  /// The login files that are in the store now, whatever became of the rest, are a generation.
  void keep_generation() {
    if (const auto kept = generations_.after_changes(); !kept) log::failure(log::Level::warn, kept.error());
  }

  [[nodiscard]] const login::Verdict& verdict() const { return report_.login; }
  [[nodiscard]] CaptureReport take_report() {
    if (options_.baseline != nullptr) options_.baseline->merge(std::move(noted_));
    return std::move(report_);
  }

 private:
  template <class T>
  static void append(std::vector<T>& to, std::vector<T>&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }

  Result<void> skip_settings(const Error& problem) {
    report_.skipped.push_back(
        {std::string(kClaudeJson), problem.message(), is_verdict(problem) ? 0 : problem.number});
    return Done{};
  }

  static bool changes_settings(const Plan& plan) {
    const auto is_settings = [](const auto& entry) { return is_settings_file(entry.name); };
    const auto is_deleted = [](const auto& deletion) { return is_settings_file(deletion.path); };
    return std::any_of(plan.directories.begin(), plan.directories.end(),
                       [&](const PlannedDirectory& directory) {
                         return directory.path.empty() &&
                                std::any_of(directory.entries.begin(), directory.entries.end(), is_settings);
                       }) ||
           std::any_of(plan.deletions.begin(), plan.deletions.end(), is_deleted);
  }

  /// Whether the store's `.claude.json` is somebody else's later work, and the session has nothing to say
  /// about it.
  [[nodiscard]] bool is_left_alone(const struct stat& source, const struct stat& stored) const {
    if (options_.keep_newer && is_newer(stored, source)) return true;
    return options_.baseline != nullptr && options_.baseline->is_same_content(kClaudeJson, source);
  }

  /// The source's, without its refresh token where that is withheld. One that cannot be parsed is not taken.
  [[nodiscard]] StateFile source_login(const Tree& from) const {
    if (from.root < 0) return {};
    StateFile file = read_state_file(from, kCredentials);
    if (options_.refresh_token == RefreshToken::copy || !file.text) return file;
    if (auto text = login::without_refresh_token(file.text->reveal()); text) file.text = std::move(*text);
    return file;
  }

  /// Exactly the text that was judged, not the file as it may be by now.
  Result<void> put(std::string_view name, const StateFile& source, const StateFile& stored) {
    if (auto kept = generations_.before_change(); !kept) return kept;
    auto transaction = Transaction::begin(to_, modes_, Durability::each);
    if (!transaction) return transaction.error();
    if (auto added = transaction->add_file(name, source.text->reveal()); !added) return added;
    if (auto held = lock_.verify(); !held) return held;
    if (auto committed = transaction->commit(); !committed) return committed;
    if (name == kClaudeJson && options_.baseline != nullptr) noted_.note(name, *source.st);
    (stored.st ? report_.changed : report_.added) += 1;
    report_.bytes += source.text->size();
    return Done{};
  }

  Tree to_;
  Modes modes_;
  const Lock& lock_;
  const CaptureOptions& options_;
  GenerationKeeper generations_;
  Baseline noted_;
  CaptureReport report_;
};

Result<void> capture_rest(Capture& capture, const StatePaths& from, const Tree& tree,
                          const CaptureOptions& options) {
  const std::string beside = fs::parent_of(from.claude_json);
  const auto home = open_source(beside.empty() ? "/" : beside, tree.who, O_PATH);
  if (!home) return home.error();
  if (*home) {
    auto done = capture.settings({(*home)->get(), beside, tree.who}, fs::name_of(from.claude_json));
    if (!done) return done;
  }
  if (tree.root < 0 || options.extent != Extent::all) return Done{};
  return capture.tree(tree);
}

/// The error of what came after the login, which says what became of that.
Error after_login(const Error& error, const login::Verdict& verdict) {
  Error said = error;
  if (verdict.choice == login::Choice::take)
    said.what = "the login is saved, but not all of the rest: " + said.what;
  return said;
}

}  // namespace

// 1. The store's lock is held. A committed journal is rolled forward; an uncommitted stage is dropped.
// Then, for the login first and alone, for `.claude.json`, which may lie beside the configuration directory,
// and for everything else:
// 2. Scan source and store: what is new, changed or gone. The login files by content, the rest by size and
//    mtime.
// 3. Deletions need proof (store/missing.h).
// 4. Judge the login: a worse one never replaces a better one.
// 5. Copy into the stage: owner, mode, time, fsync. What a login file is replaced by waits until the old one
//    is among the generations.
// 6. Write the journal, fsync, rename it to its committed name, fsync the directory: the commit point.
// 7. Rename into place, delete, fsync the directories; the journal goes.
Result<CaptureReport> capture(const StatePaths& from, fs::Identity source, const Store& to, const Lock& lock,
                              const CaptureOptions& options) {
  // 1.
  if (const auto recovered = Transaction::recover(to.tree()); !recovered)
    return recovered.error_with("capture");
  Capture capture(to, lock, options);
  const auto config = open_source(from.config_dir, source, O_RDONLY);
  if (!config) return config.error_with("capture");
  const Tree tree{*config ? (*config)->get() : -1, from.config_dir, source};
  if (const auto done = capture.login(tree); !done) return done.error_with("the login could not be saved");
  Result<void> rest = capture_rest(capture, from, tree, options);
  capture.keep_generation();
  if (!rest) return after_login(rest.error(), capture.verdict());
  return capture.take_report();
}

}  // namespace claude_init::store
