#include "sync/settle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <optional>
#include <string>
#include <utility>

#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "lock/cli_locks.h"
#include "log/log.h"
#include "login/login.h"
#include "login/merge.h"
#include "login/rewrite.h"
#include "login/secrets.h"
#include "store/generations.h"
#include "store/layout.h"
#include "store/published.h"
#include "store/sealed.h"

namespace claude_init::sync {
namespace {

constexpr std::size_t kMaxEntries = std::numeric_limits<std::size_t>::max();

/// Whether something in it has to be sealed.
bool is_exposed(const store::StateFile& plain) {
  if (!plain.text) return false;
  const auto whole = login::rewrite(plain.text->reveal(), login::Secrets::keep);
  const auto rest = login::rewrite(plain.text->reveal(), login::Secrets::leave_out);
  return whole && rest ? *whole != *rest : login::holds_refresh_token(plain.text->reveal());
}

/// The old content, to be overwritten when another file is in its place.
UniqueFd open_old(int directory, std::string_view name) {
  return UniqueFd(::openat(directory, std::string(name).c_str(),
                           O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}

void overwrite_old(const UniqueFd& old) {
  if (old.valid()) fs::overwrite_unnamed(old.get());
}

/// Old content is overwritten only when the new one is on the disk.
Result<void> replace(int directory, std::string_view name, std::string_view text, mode_t mode) {
  const UniqueFd old = open_old(directory, name);
  auto replaced = fs::replace_file(directory, std::string(name), text, mode, fs::Sync::yes);
  if (replaced) overwrite_old(old);
  return replaced;
}

/// Nothing in a generation's own directory is anybody else's: what is no directory there goes.
Result<UniqueFd> make_own_directory(const store::Store& generation) {
  const std::string name(store::kPrivateDir);
  auto own = fs::make_directory(generation.fd(), name, generation.modes().directory);
  if (own || !is_verdict(own.error())) return own;
  if (auto removed = fs::remove_tree(generation.fd(), name); !removed) return removed.error();
  return fs::make_directory(generation.fd(), name, generation.modes().directory);
}

// 1. In order already, or nothing that can be sealed.
// 2. The sealed one, then the plain one: cut off in between, it is done again.
Result<void> seal_generation(const store::Store& generation) {
  // 1.
  const store::SealedLogin sealed = store::open_sealed(generation);
  const store::StateFile plain = store::read_state_file(generation.tree(), store::kCredentials);
  for (const auto& problem : {sealed.file.problem, plain.problem}) {
    if (problem && is_for_now(*problem)) return *problem;
  }
  const bool exposed = is_exposed(plain);
  if (!exposed && sealed.file.problem) {
    log::failure(log::Level::warn, *sealed.file.problem);
    return Done{};
  }
  if (!exposed && (sealed.current || !sealed.file.text)) return Done{};
  const Secret& whole = exposed ? *plain.text : *sealed.file.text;
  // 2.
  const fs::ActAs as(generation.owner());
  const store::Modes modes = generation.modes();
  const auto pair = store::seal_login(generation, whole.reveal());
  if (!pair && pair.error().kind != ErrorKind::invalid) return pair.error();
  if (!pair) {
    return replace(generation.fd(), store::kCredentials, login::with_secrets_blanked(whole.reveal()),
                   modes.file);
  }
  const auto own = make_own_directory(generation);
  if (!own) return own.error();
  const std::string name = fs::name_of(std::string(store::kSealedLogin));
  if (sealed.file.problem && is_verdict(*sealed.file.problem)) {
    if (auto removed = fs::remove_tree(own->get(), name); !removed) return removed;
  }
  if (auto replaced = replace(own->get(), name, pair->sealed, modes.file); !replaced) return replaced;
  if (auto synced = fs::sync_to_disk(generation.fd(), name); !synced) return synced;
  if (plain.text && *plain.text == pair->plain) return Done{};
  return replace(generation.fd(), store::kCredentials, pair->plain.reveal(), modes.file);
}

Result<void> seal_generations(const store::Store& store) {
  const auto numbers = store::generation_numbers(store);
  if (!numbers) return numbers.error();
  for (const std::uint64_t number : *numbers) {
    const auto generation = store::open_generation(store, number);
    if (!generation && generation.error().kind == ErrorKind::not_found) continue;
    if (!generation && is_verdict(generation.error())) {
      log::failure(log::Level::warn, generation.error());
      continue;
    }
    const auto sealed = generation ? seal_generation(*generation) : Result<void>(generation.error());
    if (!sealed) return sealed.error_with("seal the generation " + std::to_string(number));
  }
  return Done{};
}

/// Overwrites the files of a directory, those that begin with `name`.
void overwrite_files(int directory, std::string_view name) {
  const auto entries = fs::list_directory(directory, kMaxEntries);
  if (!entries) return;
  for (const fs::Entry& entry : *entries) {
    if (entry.name.starts_with(name)) fs::overwrite_file(directory, entry.name);
  }
}

/// A login that a CLI which works in the store itself has written and not put into place.
bool is_temporary(std::string_view name) {
  return name.starts_with(store::kCredentials) &&
         name.substr(store::kCredentials.size()).starts_with(".tmp.");
}

bool has_temporary(const store::Store& store) {
  const fs::ActAs as(store.owner());
  const auto names = fs::list_names(store.fd());
  return names && std::any_of(names->begin(), names->end(), is_temporary);
}

/// What captures that were cut short have left: a generation without a number, a stage without a journal,
/// and, of whoever replaces the login, files that have not got its name.
Result<void> remove_leftovers(const store::Store& store) {
  const fs::ActAs as(store.owner());
  const auto own =
      fs::open_beneath(store.fd(), store::kPrivateDir, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!own) return own.error();
  const auto open = [&](const std::string& name) {
    return UniqueFd(::openat(own->get(), name.c_str(), fs::kDirectory));
  };
  struct stat st {};
  const bool journaled = ::fstatat(own->get(), store::kJournal, &st, AT_SYMLINK_NOFOLLOW) == 0;
  if (const UniqueFd stage = open(store::kStage); stage.valid() && !journaled)
    overwrite_files(stage.get(), "");
  const std::string unfinished = fs::join(store::kGenerations, store::kUnfinishedGeneration);
  if (const UniqueFd generation = open(unfinished); generation.valid()) {
    overwrite_files(generation.get(), store::kCredentials);
    const UniqueFd all = open(store::kGenerations);
    if (auto removed = fs::remove_tree(all.get(), store::kUnfinishedGeneration); !removed) return removed;
  }
  const auto entries = fs::list_directory(store.fd(), kMaxEntries);
  if (!entries) return entries.error();
  for (const fs::Entry& entry : *entries) {
    if (!is_temporary(entry.name)) continue;
    fs::overwrite_file(store.fd(), entry.name);
    if (auto removed = fs::remove_tree(store.fd(), entry.name); !removed) return removed;
  }
  return Done{};
}

/// What the store's login is, all in all. Nothing where there is none.
std::optional<Secret> join(const store::Store& store, const store::StateFile& sealed,
                           const store::StateFile& plain) {
  const auto copy = [](const Secret& text) { return std::optional(Secret(std::string(text.reveal()))); };
  if (!sealed.text) return plain.text ? copy(*plain.text) : std::nullopt;
  if (!plain.text) return copy(*sealed.text);
  const UnixMs now = unix_now();
  login::Rules rules;
  rules.allow_account_change = plain.st && sealed.st && store::is_newer(*plain.st, *sealed.st);
  const auto verdict = login::compare(plain.text->reveal(), sealed.text->reveal(), now, rules);
  const bool taken = verdict.choice == login::Choice::take;
  if (verdict.choice == login::Choice::keep_store && is_exposed(plain)) {
    log::warn("a login that lay in plain beside a sealed one was not taken over",
              {{"store", store.path()}, {"reason", verdict.reason}});
  }
  auto joined = login::merge(sealed.text->reveal(), plain.text->reveal(), {taken, false, now});
  return joined ? std::optional(std::move(*joined)) : copy(*sealed.text);
}

/// Of a link only the link is replaced: the file that it led to is the person's.
void warn_of_link(const store::Store& store) {
  const fs::ActAs as(store.owner());
  const std::string target = fs::read_link(store.fd(), std::string(store::kCredentials));
  if (target.empty()) return;
  log::warn("a link to the login is replaced; what it led to still has the refresh token in plain: remove it",
            {{"store", store.path()}, {"target", target}});
}

Result<void> put_login(const store::Store& store, const lock::Lock& lock, std::string_view login) {
  warn_of_link(store);
  const UniqueFd old = [&] {
    const fs::ActAs as(store.owner());
    return open_old(store.fd(), store::kCredentials);
  }();
  auto transaction = Transaction::begin(store.tree(), store.modes(), Durability::each);
  if (!transaction) return transaction.error();
  if (auto added = add_login(*transaction, store, login); !added) return added;
  if (auto held = lock.verify(); !held) return held;
  if (auto committed = transaction->commit(); !committed) return committed;
  overwrite_old(old);
  return Done{};
}

/// Its plain file is what a published store would have of what is sealed.
bool is_in_order(const store::SealedLogin& sealed, const store::StateFile& plain) {
  if (!sealed.file.text || !sealed.current || !plain.text) return false;
  const auto derived = login::without_refresh_token(sealed.file.text->reveal());
  return derived && *derived == *plain.text;
}

}  // namespace

Result<void> add_login(Transaction& transaction, const store::Store& store, std::string_view login) {
  if (!store.options().seal) return transaction.add_file(store::kCredentials, login);
  const auto pair = store::seal_login(store, login);
  if (!pair) return pair.error();
  if (auto added = transaction.add_file(store::kSealedLogin, pair->sealed); !added) return added;
  return transaction.add_file(store::kCredentials, pair->plain.reveal());
}

bool is_settled(const store::Store& store) {
  if (!store.options().seal) return true;
  const store::StateFile plain = store::read_state_file(store.tree(), store::kCredentials);
  const store::SealedLogin sealed = store::open_sealed(store);
  const bool nothing = !plain.text && !sealed.file.text && !sealed.file.problem;
  if (has_temporary(store)) return false;
  return nothing || is_in_order(sealed, plain) || (sealed.file.damaged && !is_exposed(plain));
}

// 1. How it is. A sealed file that is damaged is none.
// 2. No CLI that works in the store itself is at its login.
// 3. Everything else that lies in plain, or is sealed by an old key.
// 4. The login.
Result<void> settle(const store::Store& store, const lock::Lock& lock) {
  if (!store.options().seal) return Done{};
  // 1.
  const store::SealedLogin sealed = store::open_sealed(store);
  if (sealed.file.problem && !sealed.file.damaged) return *sealed.file.problem;
  store::StateFile plain = store::read_state_file(store.tree(), store::kCredentials);
  if (plain.problem && is_for_now(*plain.problem)) return *plain.problem;
  const bool in_order = is_in_order(sealed, plain) && !has_temporary(store);
  if (in_order || store::is_published(store)) return Done{};
  // 2.
  const auto locks = lock::CliLocks::take(store.tree(), lock::CliLocks::What::login, lock.patience_ends());
  if (!locks) return locks.error();
  plain = store::read_state_file(store.tree(), store::kCredentials);
  if (plain.problem && is_for_now(*plain.problem)) return *plain.problem;
  // 3.
  if (auto done = seal_generations(store); !done) return done;
  if (auto done = remove_leftovers(store); !done) return done.error_with("seal " + printable(store.path()));
  // 4. A sealed file that is damaged stays until there is another login: what it was may be found out.
  if (sealed.file.damaged && !is_exposed(plain)) return Done{};
  const std::optional<Secret> login = join(store, sealed.file, plain);
  if (!login || !login::without_refresh_token(login->reveal())) return Done{};
  if (auto done = put_login(store, lock, login->reveal()); !done) return done.error_with("seal the login");
  if (!sealed.file.text && login::refresh_token(login->reveal()).empty()) {
    log::warn(
        "the login has no refresh token, and nothing was sealed here: if there was, it is gone; log in anew, "
        "or take an earlier login: claude-init history lists them",
        {{"store", store.path()}});
    return Done{};
  }
  log::info(sealed.file.text ? "the sealed login and the plain file beside it are in order again"
                             : "the login is sealed",
            {{"store", store.path()}});
  return Done{};
}

}  // namespace claude_init::sync
