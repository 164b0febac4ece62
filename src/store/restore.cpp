#include "store/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"
#include "login/login.h"
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

class Restore {
 public:
  Restore(const Store& from, const RestoreOptions& options) : from_(from.tree()), options_(options) {}

  Result<void> tree(const Tree& to) {
    const auto start = std::chrono::steady_clock::now();
    auto plan = make_plan(from_, &to, {options_.filter, options_.extent, options_.limits});
    if (!plan) return plan.error();
    report_.skipped = std::move(plan->skipped);
    if (plan->directories.empty()) return Done{};
    {
      auto transaction = Transaction::begin(to, Modes{}, Durability::none);
      if (!transaction) return transaction.error();
      auto staged = stage(*plan, from_, *transaction, {SteadyTime::max(), options_.limits.max_bytes});
      if (!staged) return staged.error();
      if (auto committed = transaction->commit(); !committed) return committed;
      for (Skipped& skipped : staged->skipped) report_.skipped.push_back(std::move(skipped));
      report_.files = staged->added + staged->changed;
      report_.bytes = staged->bytes;
    }
    // Only the stage needed it, unless this is a store too.
    const fs::ActAs as(to.who);
    ::unlinkat(to.root, std::string(kPrivateDir).c_str(), AT_REMOVEDIR);
    log::debug("restored", {{"path", to.path}, {"files", report_.files}, {"took", took_since(start)}});
    return Done{};
  }

  Result<void> settings(const Tree& to, const std::string& name) {
    const auto text = wanted(kClaudeJson);
    if (!text) return Done{};
    if (!login::is_json_object(text->reveal())) {
      report_.skipped.push_back({std::string(kClaudeJson), "is not complete JSON"});
      return Done{};
    }
    return put(to, name, text->reveal());
  }

  Result<void> login(const Tree& to) {
    const auto stored = wanted(kCredentials);
    if (!stored) return Done{};
    const auto say = [&](std::string why) {
      report_.skipped.push_back({std::string(kCredentials), std::move(why)});
    };
    if (const auto parsed = login::parse(stored->reveal()); !parsed) {
      say(parsed.error().message());
      return Done{};
    }
    const StateFile there = read_state_file(to, kCredentials);
    if (there.text && login::compare(there.text->reveal(), stored->reveal(), unix_now(), {}).choice ==
                          login::Choice::take) {
      say("a better login is in its place and is kept");
      return Done{};
    }
    if (options_.refresh_token == RefreshToken::copy)
      return put(to, std::string(kCredentials), stored->reveal());
    const auto withheld = login::without_refresh_token(stored->reveal());
    if (!withheld) return withheld.error();
    return put(to, std::string(kCredentials), withheld->reveal());
  }

  [[nodiscard]] RestoreReport take_report() { return std::move(report_); }

 private:
  /// A file of the store's that is there and asked for.
  std::optional<Secret> wanted(std::string_view name) {
    if (!options_.filter.captures(name)) return std::nullopt;
    StateFile file = read_state_file(from_, name);
    if (file.problem) report_.skipped.push_back({std::string(name), file.problem->message()});
    return std::move(file.text);
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
  RestoreReport report_;
};

}  // namespace

Result<Size> measure(const Store& from, const RestoreOptions& options) {
  const Tree tree = from.tree();
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

// 1. The tree.
// 2. `.claude.json`, which may lie beside the configuration directory.
// 3. The login last: a copy that has one is complete.
Result<RestoreReport> restore(const Store& from, const StatePaths& to, fs::Identity target,
                              const RestoreOptions& options) {
  Restore restore(from, options);
  const auto config = make_root(to.config_dir, target);
  if (!config) return config.error_with("restore");
  const Tree tree{config->get(), to.config_dir, target};
  // 1.
  if (const auto recovered = Transaction::recover(tree); !recovered) return recovered.error_with("restore");
  if (const auto done = restore.tree(tree); !done) return done.error_with("restore");
  if (options.extent == Extent::sessions) return restore.take_report();
  // 2.
  const std::string beside = fs::parent_of(to.claude_json);
  const auto home = fs::open_root(beside.empty() ? "/" : beside, target, O_PATH);
  if (!home) return home.error_with("restore");
  const auto settings = restore.settings({home->get(), beside, target}, fs::name_of(to.claude_json));
  if (!settings) return settings.error_with("restore");
  // 3.
  if (const auto done = restore.login(tree); !done) return done.error_with("restore");
  return restore.take_report();
}

}  // namespace claude_init::store
