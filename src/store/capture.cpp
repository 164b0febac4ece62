#include "store/capture.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "base/text.h"
#include "fs/open.h"
#include "log/log.h"
#include "store/stage.h"
#include "store/state_file.h"
#include "store/transaction.h"

namespace claude_init::store {
namespace {

// Files and directories that are synced one by one. syncfs also waits for what everybody else has written to
// the file system: only where there is so much that it costs less all the same.
constexpr std::uint64_t kFew = 32;

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
  Capture(const Store& store, const CaptureOptions& options)
      : to_(store.tree()), modes_(store.modes()), options_(options) {}

  /// The login, judged: a transaction of its own.
  Result<void> login(const Tree& from) {
    if (!options_.filter.captures(kCredentials)) return Done{};
    const StateFile source = from.root >= 0 ? read_state_file(from, kCredentials) : StateFile{};
    const StateFile stored = read_state_file(to_, kCredentials);
    login::Verdict& verdict = report_.login;
    verdict = login::compare(view(source), view(stored), unix_now(), options_.rules);
    if (source.problem) {
      verdict.source_state = login::State::unreadable;
      verdict.reason = "the captured one cannot be read (" + source.problem->message() + ")";
    }
    if (stored.problem) {
      // What cannot be read cannot be judged, and might be the better one.
      verdict.store_state = login::State::unreadable;
      verdict.choice = login::Choice::keep_store;
      verdict.reason = "the store's cannot be read (" + stored.problem->message() + ")";
    }
    if (verdict.choice != login::Choice::take) return Done{};
    return put(kCredentials, source, stored);
  }

  /// `.claude.json`: one that does not parse never replaces one that does.
  Result<void> settings(const Tree& from, std::string_view name) {
    if (!options_.filter.captures(kClaudeJson)) return Done{};
    const StateFile source = read_state_file(from, name);
    if (source.problem) report_.skipped.push_back({std::string(kClaudeJson), source.problem->message()});
    if (!source.text) return Done{};
    const StateFile stored = read_state_file(to_, kClaudeJson);
    if (stored.text && *stored.text == *source.text) {
      report_.unchanged += 1;
      return Done{};
    }
    if (options_.keep_newer && stored.st && source.st && is_newer(*stored.st, *source.st)) {
      report_.unchanged += 1;
      return Done{};
    }
    if (!login::is_json_object(source.text->reveal())) {
      report_.settings_kept = stored.text && login::is_json_object(stored.text->reveal());
      report_.skipped.push_back({std::string(kClaudeJson), "is not complete JSON"});
      return Done{};
    }
    return put(kClaudeJson, source, stored);
  }

  /// Everything else.
  // 1. Plan: what is new or changed. Nothing is written before the limits are known to be kept.
  // 2. Stage: copies, on the store's file system.
  // 3. Commit: sync, and move into place.
  Result<void> tree(const Tree& from) {
    // 1.
    auto start = std::chrono::steady_clock::now();
    const ScanOptions scan{options_.filter, Extent::all, options_.limits, options_.keep_newer};
    auto plan = make_plan(from, &to_, scan);
    if (!plan) return plan.error();
    log::debug("compared", {{"path", from.path},
                            {"changed", plan->files},
                            {"unchanged", plan->unchanged},
                            {"took", took_since(start)}});
    append(report_.skipped, std::move(plan->skipped));
    report_.unchanged += plan->unchanged;
    if (plan->directories.empty()) return Done{};
    // 2.
    start = std::chrono::steady_clock::now();
    auto transaction = Transaction::begin(to_, modes_, durability_for(*plan));
    if (!transaction) return transaction.error();
    auto staged = stage(*plan, from, *transaction, {options_.deadline, options_.limits.max_bytes});
    if (!staged) return staged.error();
    log::debug("staged", {{"path", to_.path}, {"bytes", staged->bytes}, {"took", took_since(start)}});
    append(report_.skipped, std::move(staged->skipped));
    append(report_.left_out, std::move(staged->left_out));
    // 3.
    if (auto committed = transaction->commit(); !committed) return committed;
    report_.added += staged->added;
    report_.changed += staged->changed;
    report_.bytes += staged->bytes;
    return Done{};
  }

  [[nodiscard]] const login::Verdict& verdict() const { return report_.login; }
  [[nodiscard]] CaptureReport take_report() { return std::move(report_); }

 private:
  template <class T>
  static void append(std::vector<T>& to, std::vector<T>&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
  }

  static Durability durability_for(const Plan& plan) {
    return plan.files + plan.directories.size() > kFew ? Durability::bulk : Durability::each;
  }

  /// Exactly the text that was judged, not the file as it may be by now.
  Result<void> put(std::string_view name, const StateFile& source, const StateFile& stored) {
    auto transaction = Transaction::begin(to_, modes_, Durability::each);
    if (!transaction) return transaction.error();
    if (auto added = transaction->add_file(name, source.text->reveal()); !added) return added;
    if (auto committed = transaction->commit(); !committed) return committed;
    (stored.st ? report_.changed : report_.added) += 1;
    report_.bytes += source.text->size();
    return Done{};
  }

  Tree to_;
  Modes modes_;
  const CaptureOptions& options_;
  CaptureReport report_;
};

/// The error of what came after the login, which says what became of that.
Error after_login(const Error& error, const login::Verdict& verdict) {
  Error said = error;
  if (verdict.choice == login::Choice::take)
    said.what = "the login is saved, but not all of the rest: " + said.what;
  return said;
}

}  // namespace

// 1. What a capture that ended early left behind is put in order.
// 2. The login first: it is durable whatever else there is to copy, and whatever becomes of that.
// 3. `.claude.json`, which may lie beside the configuration directory.
// 4. The tree.
Result<CaptureReport> capture(const StatePaths& from, fs::Identity source, const Store& to,
                              const Lock& /*held*/, const CaptureOptions& options) {
  // 1.
  if (const auto recovered = Transaction::recover(to.tree()); !recovered)
    return recovered.error_with("capture");
  Capture capture(to, options);
  const auto config = open_source(from.config_dir, source, O_RDONLY);
  if (!config) return config.error_with("capture");
  // 2.
  const Tree tree{*config ? (*config)->get() : -1, from.config_dir, source};
  if (const auto done = capture.login(tree); !done) return done.error_with("the login could not be saved");
  // 3.
  const std::string beside = fs::parent_of(from.claude_json);
  const auto home = open_source(beside.empty() ? "/" : beside, source, O_PATH);
  if (!home) return after_login(home.error(), capture.verdict());
  if (*home) {
    const auto done = capture.settings({(*home)->get(), beside, source}, fs::name_of(from.claude_json));
    if (!done) return after_login(done.error(), capture.verdict());
  }
  // 4.
  if (*config && options.extent == Extent::all) {
    if (const auto done = capture.tree(tree); !done) return after_login(done.error(), capture.verdict());
  }
  return capture.take_report();
}

}  // namespace claude_init::store
