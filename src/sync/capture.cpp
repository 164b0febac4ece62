#include "sync/capture.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "lock/cli_locks.h"
#include "log/log.h"
#include "login/merge.h"
#include "login/placeholder.h"
#include "login/secrets.h"
#include "store/sealed.h"
#include "store/state_file.h"
#include "sync/settle.h"
#include "sync/stage.h"
#include "sync/transaction.h"

namespace claude_init::sync {
namespace {

/// A directory of the source, or nothing where it is missing: the CLI was never used.
Result<std::optional<UniqueFd>> open_source(const std::string& path, fs::Identity who, int flags) {
  auto opened = fs::open_root(path, who, flags);
  if (opened) return std::optional<UniqueFd>(std::move(*opened));
  if (opened.error().number == ENOENT) return std::optional<UniqueFd>();
  return opened.error();
}

std::optional<std::string_view> view(const store::StateFile& file) {
  return file.text ? std::optional<std::string_view>(file.text->reveal()) : std::nullopt;
}

class Capture {
 public:
  Capture(const store::Store& store, const lock::Lock& lock, const CaptureOptions& options)
      : store_(store),
        to_(store.tree()),
        modes_(store.modes()),
        lock_(lock),
        options_(options),
        generations_(store, options.reason, options.keep_generations) {
    if (options.baseline != nullptr) noted_ = options.baseline->empty_copy();
  }

  /// The login: a transaction of its own, which is durable by each file's own fsync.
  Result<void> login(const store::Tree& from) {
    if (!options_.filter.captures(store::kCredentials)) return Done{};
    if (const auto judged = judge_login(from); !judged || !judged->text)
      return judged ? Result<void>() : judged.error();
    // A CLI that works in the store itself may just be renewing: what it has when it is done is judged.
    const auto locks = take_cli_locks(lock::CliLocks::What::login);
    if (!locks) return locks.error();
    const auto login = judge_login(from);
    if (!login) return login.error();
    if (!login->text) return Done{};
    // 5. to 7.
    if (report_.login.proven) generations_.prove();
    return put(store::kCredentials, login->text->reveal(), login->source, login->replaces);
  }

  /// What the store's file is to be, if it is to be another one.
  struct NewLogin {
    std::optional<Secret> text;
    struct stat source {};
    bool replaces = false;
  };
  /// Error: one of the two cannot be read now, and so nothing be judged.
  Result<NewLogin> judge_login(const store::Tree& from) {
    // 2.
    store::StateFile source = source_login(from);
    store::StateFile stored = store::read_login(store_);
    if (stored.damaged) {  // nothing that a login could be worse than
      stored.problem.reset();
      stored.text.emplace();
    }
    // Readers of a published store can keep us from reading it (fcntl(2), leases), and it has nothing of its
    // own: what cannot be read there is replaced.
    const std::optional<Error>& unread = is_published() ? source.problem : stored.problem;
    for (const std::optional<Error>& problem : {source.problem, unread}) {
      if (problem && is_for_now(*problem)) return *problem;
    }
    // 4.
    login::Verdict& verdict = report_.login;
    login::Rules rules = options_.rules;
    const auto proven = has_proven_deadline(stored);
    if (!proven) return proven.error();
    rules.store_proven = *proven;
    verdict = login::compare(view(source), view(stored), unix_now(), rules);
    if (source.problem) {
      verdict.source_state = store::state_of_problem(*source.problem);
      verdict.reason = "the captured one cannot be read (" + source.problem->message() + ")";
    }
    if (stored.problem && !is_published()) {
      // What cannot be read cannot be judged, and might be the better one.
      verdict.store_state = login::State::unreadable;
      verdict.choice = login::Choice::keep_store;
      verdict.reason = "the store's cannot be read (" + stored.problem->message() + ")";
    }
    if (!source.text || (stored.problem && !is_published())) return NewLogin{};
    if (!is_published() && !store_.options().seal && store::is_sealed(store_)) {
      if (verdict.choice != login::Choice::take) return NewLogin{};
      return store::needs_key(store_, "a login that is put there now would lie there in plain");
    }
    return NewLogin{merged(source.text->reveal(), view(stored)), *source.st, stored.st.has_value()};
  }

  /// `.claude.json`: one that does not parse never replaces one that does.
  Result<void> settings(const store::Tree& from, std::string_view name) {
    if (!options_.filter.captures(store::kClaudeJson)) return Done{};
    // Held whole, since what is judged is what is put there.
    constexpr std::size_t kMost = std::size_t{1} << 30;
    store::StateFile source = store::read_state_file(from, name, kMost);
    if (source.text && withholds())
      source.text = Secret(login::with_secrets_blanked(source.text->reveal(), options_.withheld));
    if (source.problem) return skip_settings(*source.problem);
    if (!source.text) return Done{};
    const store::StateFile stored = store::open_state_file(to_, store::kClaudeJson);
    // What cannot be read now might be the later one.
    if (stored.problem && !is_verdict(*stored.problem) && !is_published())
      return skip_settings(*stored.problem);
    const bool there = stored.fd.valid();
    const auto same = there ? is_content(stored, source.text->reveal()) : Result<bool>(false);
    if (!same) return skip_settings(same.error());
    if (*same) {
      if (options_.baseline != nullptr) noted_.note(store::kClaudeJson, *source.st);
      report_.unchanged += 1;
      return Done{};
    }
    if (there && is_left_alone(*source.st, *stored.st)) {
      report_.unchanged += 1;
      return Done{};
    }
    if (!login::is_json_object(login::whole(source.text->reveal()))) {
      report_.settings_kept = there && login::is_json_object(fs::read_pieces(stored.fd.get()));
      report_.skipped.push_back({std::string(store::kClaudeJson), "is not complete JSON"});
      return Done{};
    }
    const auto locks = take_cli_locks(lock::CliLocks::What::settings);
    if (!locks && locks.error().kind == ErrorKind::busy) {
      report_.skipped.push_back(
          {std::string(store::kClaudeJson), "a claude that works in the store is writing it", EAGAIN});
      return Done{};
    }
    if (!locks) return locks.error();
    return put(store::kClaudeJson, source.text->reveal(), *source.st, stored.st.has_value());
  }

  /// Everything else. Nothing is written before the limits are known to be kept.
  Result<void> tree(const store::Tree& from) {
    // 2. and 3.
    auto start = std::chrono::steady_clock::now();
    ScanOptions scan{options_.filter, store::Extent::all, options_.limits, options_.keep_newer};
    scan.deletions = options_.delete_missing;
    scan.deadline = options_.deadline;
    scan.follow_links_out = options_.follow_links_out;
    scan.baseline = options_.baseline;
    if (options_.baseline != nullptr) scan.noted = &noted_;
    scan.withhold_secrets = withholds();
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
    how.withhold_secrets = withholds();
    how.withheld = options_.withheld;
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
  /// Into a published store.
  [[nodiscard]] bool withholds() const { return options_.refresh_token == store::RefreshToken::withhold; }

  /// The store's file with what is to be taken of the source's: Claude's login as it was judged, and of the
  /// logins beside it those that are newer. A published store has what its store has. Nothing where nothing
  /// changes.
  std::optional<Secret> merged(std::string_view source, std::optional<std::string_view> stored) {
    login::Verdict& verdict = report_.login;
    const bool taken = verdict.choice == login::Choice::take;
    const bool others =
        verdict.choice == login::Choice::same || verdict.source_state == login::State::missing;
    if (!taken && (withholds() || !others)) return std::nullopt;
    if (taken && (withholds() || !stored)) return Secret(std::string(source));
    const login::MergeRules rules{taken, !options_.rules.renewed, unix_now()};
    auto text = login::merge(stored.value_or("{}"), source, rules);
    if (!text && text.error().kind == ErrorKind::limit) {
      const auto alone = login::without_others(source);
      if (alone) text = login::merge(stored.value_or("{}"), alone->reveal(), rules);
    }
    // What the store has is no file of logins.
    if (!text) return taken ? std::optional(Secret(std::string(source))) : std::nullopt;
    const auto same = login::merge(stored.value_or("{}"), "{}", {});
    if (!same || !(*same == *text)) return std::move(*text);
    if (taken) verdict.choice = login::Choice::same;
    return std::nullopt;
  }

  /// Looked up only where a deadline could not be believed else.
  [[nodiscard]] Result<bool> has_proven_deadline(const store::StateFile& stored) const {
    if (!stored.text) return false;
    const UnixMs now = unix_now();
    const auto login = login::parse(stored.text->reveal());
    if (!login || login::is_credible(login->expires_at, now)) return false;
    return is_proven(store_, stored.text->reveal());
  }

  template <class T>
  static void append(std::vector<T>& to, std::vector<T>&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }

  static Result<bool> is_content(const store::StateFile& file, std::string_view text) {
    if (static_cast<std::size_t>(file.st->st_size) != text.size()) return false;
    int error = 0;
    const auto pieces = fs::read_pieces(file.fd.get(), &error);
    for (std::string_view piece = pieces(); !piece.empty(); piece = pieces()) {
      if (!text.starts_with(piece)) return false;
      text.remove_prefix(piece.size());
    }
    if (error != 0) return system_error(error, std::string("read ").append(store::kClaudeJson));
    return text.empty();
  }

  Result<void> skip_settings(const Error& problem) {
    report_.skipped.push_back(
        {std::string(store::kClaudeJson), problem.message(), is_verdict(problem) ? 0 : problem.number});
    return Done{};
  }

  static bool changes_settings(const Plan& plan) {
    const auto is_settings = [](const auto& entry) { return store::is_settings_file(entry.name); };
    const auto is_deleted = [](const auto& deletion) { return store::is_settings_file(deletion.path); };
    return std::any_of(plan.directories.begin(), plan.directories.end(),
                       [&](const PlannedDirectory& directory) {
                         return directory.path.empty() &&
                                std::any_of(directory.entries.begin(), directory.entries.end(), is_settings);
                       }) ||
           std::any_of(plan.deletions.begin(), plan.deletions.end(), is_deleted);
  }

  /// Without refresh token there is nothing that a CLI of a reader's could renew, and whoever can make its
  /// locks there must not stop what is published.
  [[nodiscard]] Result<std::optional<lock::CliLocks>> take_cli_locks(lock::CliLocks::What what) const {
    std::optional<lock::CliLocks> held;
    if (is_published()) return held;
    auto taken = lock::CliLocks::take(to_, what, lock_.patience_ends());
    if (!taken) return taken.error();
    held.emplace(std::move(*taken));
    return held;
  }

  [[nodiscard]] bool is_published() const { return options_.refresh_token == store::RefreshToken::withhold; }

  /// Whether the store's `.claude.json` is somebody else's later work, and the session has nothing to say
  /// about it.
  [[nodiscard]] bool is_left_alone(const struct stat& source, const struct stat& stored) const {
    if (options_.keep_newer && store::is_newer(stored, source)) return true;
    return options_.baseline != nullptr && options_.baseline->is_same_content(store::kClaudeJson, source);
  }

  /// The source's, without those of its tokens that are withheld. One that cannot be parsed is not taken.
  [[nodiscard]] store::StateFile source_login(const store::Tree& from) const {
    if (from.root < 0) return {};
    store::StateFile file = store::read_state_file(from, store::kCredentials);
    if (!withholds() || !file.text) return file;
    auto text = options_.withheld == login::Withheld::all_tokens
                    ? login::with_placeholder(file.text->reveal())
                    : login::without_refresh_token(file.text->reveal());
    if (text) file.text = std::move(*text);
    return file;
  }

  /// Exactly the text that was judged, not the file as it may be by now.
  Result<void> put(std::string_view name, std::string_view text, const struct stat& source, bool replaces) {
    if (auto kept = generations_.before_change(); !kept) return kept;
    auto transaction = Transaction::begin(to_, modes_, Durability::each);
    if (!transaction) return transaction.error();
    const bool is_login = name == store::kCredentials;
    const auto added = is_login ? add_login(*transaction, store_, text) : transaction->add_file(name, text);
    if (!added) return added;
    if (auto held = lock_.verify(); !held) return held;
    if (auto committed = transaction->commit(); !committed) return committed;
    if (name == store::kClaudeJson && options_.baseline != nullptr) noted_.note(name, source);
    (replaces ? report_.changed : report_.added) += 1;
    report_.bytes += text.size();
    return Done{};
  }

  const store::Store& store_;
  store::Tree to_;
  store::Modes modes_;
  const lock::Lock& lock_;
  const CaptureOptions& options_;
  store::GenerationKeeper generations_;
  Baseline noted_;
  CaptureReport report_;
};

Result<void> capture_rest(Capture& capture, const store::StatePaths& from, const store::Tree& tree,
                          const CaptureOptions& options) {
  const std::string beside = fs::parent_of(from.claude_json);
  const auto home = open_source(beside.empty() ? "/" : beside, tree.who, O_PATH);
  if (!home) return home.error();
  if (*home) {
    auto done = capture.settings({(*home)->get(), beside, tree.who}, fs::name_of(from.claude_json));
    if (!done) return done;
  }
  if (tree.root < 0 || options.extent != store::Extent::all) return Done{};
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

// 1. The store's lock is held. A login that lies in plain and has a key is sealed. A committed journal is
//    rolled forward; an uncommitted stage is dropped.
// Then, for the login first and alone, for `.claude.json`, which may lie beside the configuration directory,
// and for everything else:
// 2. Scan source and store: what is new, changed or gone. The login files by content, the rest by size and
//    mtime.
// 3. Deletions need proof (sync/deletions.h).
// 4. Judge the login: a worse one never replaces a better one.
// 5. Copy into the stage: owner, mode, time, fsync. What a login file is replaced by waits until the old one
//    is among the generations.
// 6. Write the journal, fsync, rename it to its committed name, fsync the directory: the commit point.
// 7. Rename into place, delete, fsync the directories; the journal goes.
Result<CaptureReport> capture(const store::StatePaths& from, fs::Identity source, const store::Store& to,
                              const lock::Lock& lock, const CaptureOptions& options) {
  // 1.
  if (const auto settled = settle(to, lock); !settled) return settled.error_with("capture");
  if (const auto recovered = Transaction::recover(to.tree()); !recovered)
    return recovered.error_with("capture");
  Capture capture(to, lock, options);
  const auto config = open_source(from.config_dir, source, O_RDONLY);
  if (!config) return config.error_with("capture");
  const store::Tree tree{*config ? (*config)->get() : -1, from.config_dir, source};
  if (const auto done = capture.login(tree); !done) return done.error_with("the login could not be saved");
  Result<void> rest = capture_rest(capture, from, tree, options);
  capture.keep_generation();
  if (!rest) return after_login(rest.error(), capture.verdict());
  return capture.take_report();
}

}  // namespace claude_init::sync
