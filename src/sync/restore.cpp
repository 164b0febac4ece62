#include "sync/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <optional>
#include <utility>

#include "base/interrupt.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "lock/lock.h"
#include "log/log.h"
#include "login/login.h"
#include "login/secrets.h"
#include "store/published.h"
#include "store/sealed.h"
#include "store/snapshot.h"
#include "store/state_file.h"
#include "sync/blank.h"
#include "sync/stage.h"
#include "sync/transaction.h"

namespace claude_init::sync {
namespace {

/// The directory at `path`, made if it is missing, as `who`.
Result<UniqueFd> make_root(const std::string& path, fs::Identity who) {
  auto opened = fs::open_root(path, who);
  if (opened || opened.error().number != ENOENT) return opened;
  const std::string above = fs::parent_of(path);
  const auto parent = fs::open_root(above.empty() ? "/" : above, who);
  if (!parent) return parent.error();
  const fs::ActAs as(who);
  return fs::make_directory(parent->get(), fs::name_of(path), store::Modes{}.directory);
}

/// The store's lock, where it can be taken; without it we try again. What is published has none.
std::optional<lock::Lock> hold_still(const store::Store& store) {
  constexpr Milliseconds kStandStill{4000};
  if (store::is_published(store)) return std::nullopt;
  auto lock = lock::Lock::acquire(store, "store", "restore", kStandStill);
  if (!lock) return std::nullopt;
  return std::move(*lock);
}

bool withholds_elsewhere(const RestoreOptions& options) {
  return options.withhold_elsewhere && options.refresh_token == store::RefreshToken::withhold;
}

/// What the store notes of itself goes to `stored`.
ScanOptions scan_options(const RestoreOptions& options, Baseline& stored) {
  ScanOptions scan{options.filter, options.extent, options.limits};
  scan.noted = &stored;
  scan.withhold_secrets = withholds_elsewhere(options);
  scan.source_is_store = true;
  return scan;
}

/// Of a login file that was not parsed (yet).
login::State state_of(const store::StateFile& file) {
  if (file.problem) return store::state_of_problem(*file.problem);
  if (!file.text) return login::State::missing;
  return file.text->reveal().empty() ? login::State::empty : login::State::malformed;
}

class Restore {
 public:
  Restore(const store::Store& from, const RestoreOptions& options) : from_(from), options_(options) {}

  /// A pass that begins. What an earlier one has done stays done, but what it reports is not doubled.
  Result<void> begin_pass() {
    auto snapshot = store::Snapshot::take(from_.tree());
    if (!snapshot) return snapshot.error();
    begin_pass(std::move(*snapshot));
    return Done{};
  }
  /// One of what was found when the store was measured, into an empty place.
  void begin_pass(Measured&& measured) {
    begin_pass(std::move(measured.snapshot));
    stored_ = std::move(measured.stored);
    plan_ = std::move(measured.plan);
  }
  /// Whether the store has stayed as it was since the pass began, or was measured.
  [[nodiscard]] bool pass_holds() const { return snapshot_->holds(); }

  [[nodiscard]] bool sessions_only() const { return options_.extent == store::Extent::sessions; }

  // What an earlier pass has put there and the store no longer has goes again.
  Result<void> tree(const store::Tree& to) {
    const auto start = std::chrono::steady_clock::now();
    auto plan = take_plan(to);
    if (!plan) return plan.error();
    if (auto failed = failed_for_now(plan->skipped)) return *failed;
    report_.skipped = std::move(plan->skipped);
    if (plan->directories.empty() && plan->deletions.empty()) return Done{};
    {
      auto transaction = Transaction::begin(to, store::Modes{}, Durability::none);
      if (!transaction) return transaction.error();
      const StageOptions how{SteadyTime::max(), options_.limits.max_bytes, &stored_,
                             &restored_,        options_.progress,         withholds_elsewhere(options_)};
      auto staged = stage(*plan, snapshot_->tree(), *transaction, how);
      if (!staged) return staged.error();
      if (auto failed = failed_for_now(staged->skipped)) return *failed;
      transaction->remove(std::move(plan->deletions), std::move(plan->empty_directories));
      if (auto committed = transaction->commit(); !committed) return committed;
      for (Skipped& skipped : staged->skipped) report_.skipped.push_back(std::move(skipped));
      report_.files += staged->added + staged->changed;
      report_.bytes += staged->bytes;
    }
    // Only the stage needed it, unless this is a store too.
    const fs::ActAs as(to.who);
    ::unlinkat(to.root, std::string(store::kPrivateDir).c_str(), AT_REMOVEDIR);
    log::debug("restored", {{"path", to.path}, {"files", report_.files}, {"took", took_since(start)}});
    return Done{};
  }

  Result<void> settings(const store::Tree& to, const std::string& name) {
    store::StateFile file = wanted(store::kClaudeJson, store::open_state_file);
    if (file.problem && is_for_now(*file.problem)) return *file.problem;
    if (!file.fd.valid()) return Done{};
    const fs::RegularFile source{std::move(file.fd), *file.st};
    int error = 0;
    const bool is_complete = login::is_json_object(fs::read_pieces(source.fd.get(), &error));
    if (error != 0) return system_error(error, "read " + name);
    if (!is_complete) {
      report_.skipped.push_back({std::string(store::kClaudeJson), "is not complete JSON"});
      return Done{};
    }
    const fs::ActAs as_owner(to.who);
    const auto put = fs::replace_with_copy(to.root, name, source, store::Modes{}.file);
    if (auto done = note_put(put, name, static_cast<std::uint64_t>(source.st.st_size)); !done) return done;
    if (withholds_elsewhere(options_)) {
      const auto copy = fs::open_beneath(to.root, name, O_RDWR, fs::Links::refuse);
      if (!copy) return copy.error();
      if (auto blanked = blank_secrets(copy->get(), name, login::Withheld::refresh_tokens); !blanked)
        return blanked;
    }
    // With its time, by which a capture sees that the session has not changed it.
    const std::array<timespec, 2> times{file.st->st_atim, file.st->st_mtim};
    if (::utimensat(to.root, name.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) == 0)
      stored_.note(store::kClaudeJson, *file.st);
    return Done{};
  }

  Result<void> login(const store::Tree& to) {
    report_.login.reset();
    report_.login_restored = false;
    if (!options_.filter.captures(store::kCredentials)) return Done{};
    // Withheld, it is what the plain file has, with the key or without.
    const bool whole = options_.refresh_token == store::RefreshToken::copy;
    const store::StateFile file =
        wanted(store::kCredentials, [&](const store::Tree& tree, std::string_view name) {
          return whole ? store::read_login(from_) : store::read_state_file(tree, name);
        });
    if (file.problem && is_for_now(*file.problem)) return *file.problem;
    report_.login = state_of(file);
    if (!file.text) return Done{};
    const Secret& stored = *file.text;
    const auto say = [&](std::string why) {
      report_.skipped.push_back({std::string(store::kCredentials), std::move(why)});
    };
    auto parsed = login::parse(stored.reveal());
    if (!parsed) {
      say(parsed.error().message());
      return Done{};
    }
    report_.login = login::judge(*parsed, unix_now());
    const store::StateFile there = store::read_state_file(to, store::kCredentials);
    // What cannot be read now might be the better one.
    if (options_.keep_better_login && there.problem && is_for_now(*there.problem)) return *there.problem;
    if (options_.keep_better_login && there.text &&
        login::compare(there.text->reveal(), stored.reveal(), unix_now(), {}).choice == login::Choice::take) {
      say("a better login is in its place and is kept");
      report_.login.reset();
      return Done{};
    }
    const auto put_login = [&](std::string_view text) {
      const std::uint64_t before = report_.files;
      auto done = put(to, std::string(store::kCredentials), text);
      report_.login_restored = report_.files > before;
      return done;
    };
    if (whole) return put_login(stored.reveal());
    const auto withheld = login::without_refresh_token(stored.reveal());
    if (!withheld) return withheld.error();
    parsed->has_refresh_token = false;
    report_.login = login::judge(*parsed, unix_now());
    return put_login(withheld->reveal());
  }

  [[nodiscard]] RestoreReport take_report() {
    if (options_.baseline != nullptr) *options_.baseline = std::move(stored_);
    return std::move(report_);
  }

 private:
  void begin_pass(store::Snapshot&& snapshot) {
    snapshot_ = std::move(snapshot);
    report_.skipped.clear();
  }

  Result<Plan> take_plan(const store::Tree& to) {
    if (plan_) return std::move(*std::exchange(plan_, std::nullopt));
    ScanOptions scan = scan_options(options_, stored_);
    scan.baseline = &restored_;
    if (restored_.size() > 0) scan.deletions = Deletions::proven;
    return make_plan(snapshot_->tree(), &to, scan);
  }

  /// A file of the store's, where it is there and asked for.
  template <class Get>
  store::StateFile wanted(std::string_view name, Get get) {
    if (!options_.filter.captures(name)) return {};
    store::StateFile file = get(snapshot_->tree(), name);
    if (file.problem) {
      report_.skipped.push_back(
          {std::string(name), file.problem->message(), is_verdict(*file.problem) ? 0 : file.problem->number});
    }
    return file;
  }

  Result<void> put(const store::Tree& to, const std::string& name, std::string_view text) {
    const fs::ActAs as(to.who);
    return note_put(fs::replace_file(to.root, name, text, store::Modes{}.file, fs::Sync::no), name,
                    text.size());
  }

  Result<void> note_put(const Result<void>& put, const std::string& name, std::uint64_t bytes) {
    if (!put && put.error().number == EBUSY) {
      report_.skipped.push_back({name, "what is in its place is a mount of its own"});
      return Done{};
    }
    if (!put) return put;
    report_.files += 1;
    report_.bytes += bytes;
    return Done{};
  }

  const store::Store& from_;
  const RestoreOptions& options_;
  std::optional<store::Snapshot> snapshot_;
  std::optional<Plan> plan_;  // of an empty place
  Baseline stored_;           // the store's copies
  Baseline restored_;         // ours of them
  RestoreReport report_;
};

/// One pass.
// 1. The tree.
// 2. `.claude.json`, which may lie beside the configuration directory.
// 3. The login last: a copy that has one is complete.
Result<void> restore_once(Restore& restore, const store::StatePaths& to, const store::Tree& tree,
                          fs::Identity target) {
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

bool is_empty(const store::Tree& tree) {
  const fs::ActAs as(tree.who);
  const auto names = fs::list_names(tree.root);
  return names && names->empty();
}

}  // namespace

Result<Measured> measure(const store::Store& from, const RestoreOptions& options) {
  auto snapshot = store::Snapshot::take(from.tree());
  if (!snapshot) return snapshot.error();
  const store::Tree tree = snapshot->tree();
  Baseline stored;
  auto plan = make_plan(tree, nullptr, scan_options(options, stored));
  if (!plan) return plan.error();
  Size size{plan->bytes, plan->files, plan->has_executables};
  for (const std::string_view name : {store::kCredentials, store::kClaudeJson}) {
    if (options.extent == store::Extent::sessions || !options.filter.captures(name)) continue;
    const fs::ActAs as(tree.who);
    const auto file = fs::open_regular(tree.root, name, fs::Links::beneath);
    if (!file) continue;
    size.files += 1;
    size.bytes += static_cast<std::uint64_t>(file->st.st_size);
  }
  return Measured{size, std::move(*snapshot), std::move(*plan), std::move(stored)};
}

// 1. The place. The refresh token of a sealed store is copied by who has the key.
// 2. Pass by pass, without a lock, until the store has stayed as it was for a whole one. The later passes
//    have little to do: only what was changed meanwhile is copied again.
// 3. A store that is never still for that long is held still, if we may.
Result<RestoreReport> restore(const store::Store& from, const store::StatePaths& to, fs::Identity target,
                              const RestoreOptions& options, std::optional<Measured> measured) {
  constexpr int kLockFree = 5;
  constexpr int kPasses = 50;
  Restore restore(from, options);
  // 1.
  if (options.refresh_token == store::RefreshToken::copy && options.filter.captures(store::kCredentials) &&
      options.extent != store::Extent::sessions && !from.options().seal && store::is_sealed(from))
    return store::needs_key(from, "its refresh token cannot be copied");
  const auto config = make_root(to.config_dir, target);
  if (!config) return config.error_with("restore");
  const store::Tree tree{config->get(), to.config_dir, target};
  if (const auto recovered = Transaction::recover(tree); !recovered) return recovered.error_with("restore");
  std::optional<lock::Lock> lock;
  for (int pass = 1; pass <= kPasses; ++pass) {
    if (auto go_on = interrupt::check(); !go_on) return go_on.error_with("restore");
    // 3.
    if (pass == kLockFree + 1) lock = hold_still(from);
    // 2.
    if (pass == 1 && measured && is_empty(tree)) {
      restore.begin_pass(std::move(*measured));
    } else if (const auto begun = restore.begin_pass(); !begun) {
      return begun.error_with("restore");
    }
    const auto done = restore_once(restore, to, tree, target);
    if (restore.pass_holds()) {
      if (!done) return done.error_with("restore");
      return restore.take_report();
    }
    log::debug("the store has changed meanwhile: restored again", {{"path", from.path()}, {"pass", pass}});
  }
  return make_error(ErrorKind::busy,
                    "restore: " + printable(from.path()) + " does not stay the same for a moment",
                    "end what changes it, or try again");
}

}  // namespace claude_init::sync
