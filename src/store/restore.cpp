#include "store/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>

#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"
#include "login/login.h"
#include "store/lock.h"
#include "store/snapshot.h"
#include "store/stage.h"
#include "store/state_file.h"
#include "store/transaction.h"

namespace claude_init::store {
namespace {

/// The directory at `path`, made if it is missing, as `who`.
Result<UniqueFd> make_root(const std::string& path, fs::Identity who) {
  auto opened = fs::open_root(path, who);
  if (opened || opened.error().number != ENOENT) return opened;
  const std::string above = fs::parent_of(path);
  const auto parent = fs::open_root(above.empty() ? "/" : above, who);
  if (!parent) return parent.error();
  const fs::ActAs as(who);
  return fs::make_directory(parent->get(), fs::name_of(path), Modes{}.directory);
}

/// The store's lock, where it can be taken; without it we try again.
std::optional<Lock> hold_still(const Store& store) {
  constexpr Milliseconds kWait{4000};
  auto lock = Lock::acquire(store, "store", "restore", kWait);
  if (!lock) return std::nullopt;
  return std::move(*lock);
}

class Restore {
 public:
  explicit Restore(const RestoreOptions& options) : options_(options) {}

  /// A pass that begins. What an earlier one has done stays done, but what it reports is not doubled.
  void read_from(const Tree& from) {
    from_ = from;
    report_.skipped.clear();
  }

  [[nodiscard]] bool sessions_only() const { return options_.extent == Extent::sessions; }

  // What an earlier pass has put there and the store no longer has goes again.
  Result<void> tree(const Tree& to) {
    const auto start = std::chrono::steady_clock::now();
    ScanOptions scan{options_.filter, options_.extent, options_.limits};
    scan.noted = &stored_;
    scan.source_is_store = true;
    scan.baseline = &restored_;
    if (restored_.size() > 0) scan.deletions = Deletions::proven;
    auto plan = make_plan(from_, &to, scan);
    if (!plan) return plan.error();
    report_.skipped = std::move(plan->skipped);
    if (plan->directories.empty() && plan->deletions.empty()) return Done{};
    {
      auto transaction = Transaction::begin(to, Modes{}, Durability::none);
      if (!transaction) return transaction.error();
      const StageOptions how{SteadyTime::max(), options_.limits.max_bytes, &stored_, &restored_,
                             options_.progress};
      auto staged = stage(*plan, from_, *transaction, how);
      if (!staged) return staged.error();
      transaction->remove(std::move(plan->deletions), std::move(plan->empty_directories));
      if (auto committed = transaction->commit(); !committed) return committed;
      for (Skipped& skipped : staged->skipped) report_.skipped.push_back(std::move(skipped));
      report_.files += staged->added + staged->changed;
      report_.bytes += staged->bytes;
    }
    // Only the stage needed it, unless this is a store too.
    const fs::ActAs as(to.who);
    ::unlinkat(to.root, std::string(kPrivateDir).c_str(), AT_REMOVEDIR);
    log::debug("restored", {{"path", to.path}, {"files", report_.files}, {"took", took_since(start)}});
    return Done{};
  }

  Result<void> settings(const Tree& to, const std::string& name) {
    const StateFile file = wanted(kClaudeJson);
    if (!file.text) return Done{};
    if (!login::is_json_object(file.text->reveal())) {
      report_.skipped.push_back({std::string(kClaudeJson), "is not complete JSON"});
      return Done{};
    }
    if (auto done = put(to, name, file.text->reveal()); !done) return done;
    // With its time, by which a capture sees that the session has not changed it.
    const std::array<timespec, 2> times{file.st->st_atim, file.st->st_mtim};
    const fs::ActAs as(to.who);
    if (::utimensat(to.root, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) == 0)
      stored_.note(kClaudeJson, *file.st);
    return Done{};
  }

  Result<void> login(const Tree& to) {
    const StateFile file = wanted(kCredentials);
    if (!file.text) return Done{};
    const Secret& stored = *file.text;
    const auto say = [&](std::string why) {
      report_.skipped.push_back({std::string(kCredentials), std::move(why)});
    };
    if (const auto parsed = login::parse(stored.reveal()); !parsed) {
      say(parsed.error().message());
      return Done{};
    }
    const StateFile there = read_state_file(to, kCredentials);
    if (options_.keep_better_login && there.text &&
        login::compare(there.text->reveal(), stored.reveal(), unix_now(), {}).choice == login::Choice::take) {
      say("a better login is in its place and is kept");
      return Done{};
    }
    if (options_.refresh_token == RefreshToken::copy)
      return put(to, std::string(kCredentials), stored.reveal());
    const auto withheld = login::without_refresh_token(stored.reveal());
    if (!withheld) return withheld.error();
    return put(to, std::string(kCredentials), withheld->reveal());
  }

  [[nodiscard]] RestoreReport take_report() {
    if (options_.baseline != nullptr) *options_.baseline = std::move(stored_);
    return std::move(report_);
  }

 private:
  /// A file of the store's, where it is there and asked for.
  StateFile wanted(std::string_view name) {
    if (!options_.filter.captures(name)) return {};
    StateFile file = read_state_file(from_, name);
    if (file.problem) report_.skipped.push_back({std::string(name), file.problem->message()});
    return file;
  }

  Result<void> put(const Tree& to, const std::string& name, std::string_view text) {
    const fs::ActAs as(to.who);
    auto put = fs::replace_file(to.root, name, text, Modes{}.file, fs::Sync::no);
    if (!put && put.error().number == EBUSY) {
      report_.skipped.push_back({name, "what is in its place is a mount of its own"});
      return Done{};
    }
    if (!put) return put;
    report_.files += 1;
    report_.bytes += text.size();
    return Done{};
  }

  Tree from_;
  const RestoreOptions& options_;
  Baseline stored_;    // the store's copies
  Baseline restored_;  // ours of them
  RestoreReport report_;
};

/// One pass.
// 1. The tree.
// 2. `.claude.json`, which may lie beside the configuration directory.
// 3. The login last: a copy that has one is complete.
Result<void> restore_once(Restore& restore, const StatePaths& to, const Tree& tree, fs::Identity target) {
  // 1.
  if (auto done = restore.tree(tree); !done || restore.sessions_only()) return done;
  // 2.
  const std::string beside = fs::parent_of(to.claude_json);
  const auto home = fs::open_root(beside.empty() ? "/" : beside, target, O_PATH);
  if (!home) return home.error();
  auto settings = restore.settings({home->get(), beside, target}, fs::name_of(to.claude_json));
  if (!settings) return settings;
  // 3.
  return restore.login(tree);
}

}  // namespace

Result<Size> measure(const Store& from, const RestoreOptions& options) {
  const auto snapshot = Snapshot::take(from.tree());
  if (!snapshot) return snapshot.error();
  const Tree tree = snapshot->tree();
  const auto plan = make_plan(tree, nullptr, {options.filter, options.extent, options.limits});
  if (!plan) return plan.error();
  Size size{plan->bytes, plan->files, plan->has_executables};
  if (options.extent == Extent::sessions) return size;
  for (const std::string_view name : {kCredentials, kClaudeJson}) {
    const fs::ActAs as(tree.who);
    const auto file = fs::open_regular(tree.root, name, fs::Links::beneath);
    if (!file || !options.filter.captures(name)) continue;
    size.files += 1;
    size.bytes += static_cast<std::uint64_t>(file->st.st_size);
  }
  return size;
}

// 1. The place.
// 2. Pass by pass, without a lock, until the store has stayed as it was for a whole one. The later passes
//    have little to do: only what was changed meanwhile is copied again.
// 3. A store that is never still for that long is held still, if we may.
Result<RestoreReport> restore(const Store& from, const StatePaths& to, fs::Identity target,
                              const RestoreOptions& options) {
  constexpr int kLockFree = 5;
  constexpr int kPasses = 50;
  Restore restore(options);
  // 1.
  const auto config = make_root(to.config_dir, target);
  if (!config) return config.error_with("restore");
  const Tree tree{config->get(), to.config_dir, target};
  if (const auto recovered = Transaction::recover(tree); !recovered) return recovered.error_with("restore");
  std::optional<Lock> lock;
  for (int pass = 1; pass <= kPasses; ++pass) {
    // 3.
    if (pass == kLockFree + 1) lock = hold_still(from);
    // 2.
    const auto snapshot = Snapshot::take(from.tree());
    if (!snapshot) return snapshot.error_with("restore");
    restore.read_from(snapshot->tree());
    const auto done = restore_once(restore, to, tree, target);
    if (snapshot->holds()) {
      if (!done) return done.error_with("restore");
      return restore.take_report();
    }
    log::debug("the store has changed meanwhile: restored again", {{"path", from.path()}, {"pass", pass}});
  }
  return make_error(ErrorKind::busy,
                    "restore: " + printable(from.path()) + " does not stay the same for a moment",
                    "end what changes it, or try again");
}

}  // namespace claude_init::store
