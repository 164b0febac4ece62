#include "sync/publish.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>

#include "base/text.h"
#include "fs/file.h"
#include "fs/mounts.h"
#include "fs/named.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "login/login.h"
#include "login/placeholder.h"
#include "store/layout.h"
#include "store/published.h"
#include "store/sealed.h"
#include "store/state_file.h"
#include "sync/blank.h"
#include "sync/prepare.h"
#include "ui/remedies.h"

namespace claude_init::sync {
namespace {

// With which everything in it has been looked through; those of earlier versions were not.
constexpr std::string_view mark_text(login::Withheld withheld) {
  return withheld == login::Withheld::all_tokens
             ? "This store has no tokens and no client secrets, in whatever form.\n"
             : "This store has no refresh tokens and no client secrets, in whatever form.\n";
}
static_assert(mark_text(login::Withheld::all_tokens).size() !=
                  mark_text(login::Withheld::refresh_tokens).size(),
              "they are told apart by their size");

/// Made for the store's owner.
Result<void> make_directory_like(const std::string& path, const store::Store& store) {
  const auto made = fs::make_named(path, store.owner());
  if (made) return Done{};
  Error error = made.error();
  if (!error.remedy.empty()) return error;
  error.remedy = "name a directory that is there: --publish DIR";
  if (error.kind == ErrorKind::permission && !fs::in_container())
    error.remedy += ", or make it: " + ui::how_to_make(path, fs::current_identity());
  return error;
}

/// Another login than `from`'s, with the means to renew it, that works: to be lost only with a person's will.
bool has_login_of_its_own(const store::StateFile& file, const Secret& renews, const store::Store& from) {
  if (!file.text || renews.empty()) return false;
  const login::State state = login::judge_file(file.text->reveal(), unix_now()).state;
  if (state != login::State::usable && state != login::State::renewable) return false;
  const store::StateFile stored = store::read_login(from);
  return !stored.text || !(login::refresh_token(stored.text->reveal()) == renews);
}

/// Of what `.claude-init/` keeps, and of the CLI's unfinished writes.
Result<void> remove_other_refresh_tokens(const store::Store& store) {
  const auto own =
      fs::open_beneath(store.fd(), store::kPrivateDir, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!own) return own.error();
  for (const char* name : {"generations", "renewal", "stage", "journal"}) {
    if (auto removed = fs::remove_tree(own->get(), name); !removed) return removed;
  }
  const auto entries = fs::list_directory(store.fd(), std::numeric_limits<std::size_t>::max());
  if (!entries) return entries.error();
  for (const fs::Entry& entry : *entries) {
    if (!entry.name.starts_with(std::string(store::kCredentials) + ".")) continue;
    if (auto removed = fs::remove_tree(store.fd(), entry.name); !removed) return removed;
  }
  return Done{};
}

Result<void> strip_login(const store::Store& store, login::Withheld withheld) {
  const store::StateFile file = store::read_state_file(store.tree(), store::kCredentials);
  if (!file.text && !file.problem) return Done{};
  if (file.problem && !is_verdict(*file.problem)) return *file.problem;
  const auto strip =
      withheld == login::Withheld::all_tokens ? login::with_placeholder : login::without_refresh_token;
  const auto stripped = file.text ? strip(file.text->reveal()) : *file.problem;
  // What cannot be parsed may be a cut off one.
  return fs::replace_file(store.fd(), std::string(store::kCredentials), stripped ? stripped->reveal() : "",
                          store.modes().file, fs::Sync::yes);
}

/// Not by an earlier version, which looked at less, nor for less. By the size of the mark: a reader can keep
/// us from opening it (fcntl(2), leases).
bool is_marked_as_searched(const store::Store& store, std::string_view mark) {
  const auto file = fs::open_beneath(store.fd(), fs::join(store::kPrivateDir, store::kPublishedMark), O_PATH,
                                     fs::Links::refuse);
  struct stat st {};
  return file && ::fstat(file->get(), &st) == 0 && S_ISREG(st.st_mode) &&
         st.st_size == static_cast<off_t>(mark.size());
}

}  // namespace

Result<lock::Lock> lock_to_publish(const store::Store& from, Milliseconds wait) {
  auto lock = lock::Lock::acquire(from, "publish", "publish", wait);
  const bool refused =
      !lock && (lock.error().kind == ErrorKind::read_only || lock.error().kind == ErrorKind::permission);
  return refused ? lock::Lock::unneeded(wait) : std::move(lock);
}

/// 1. The directory, which is not the store.
/// 2. Not one with a login of its own.
/// 3. Refresh tokens out of it, the login's last: a directory whose login has none was cleared completely.
/// 4. The mark. What readers could lock, and an identity that is never read, go.
Result<store::Store> open_published(const std::string& directory, const store::Store& from,
                                    const Publishing& how) {
  // 1.
  if (auto made = make_directory_like(directory, from); !made) return made.error_with("publish");
  store::StoreOptions options;
  options.owner = how.owner;
  auto store = store::Store::open(directory, options);
  if (!store) return store.error_with("publish");
  struct stat into_root {};
  struct stat from_root {};
  if (::fstat(store->fd(), &into_root) != 0 || ::fstat(from.fd(), &from_root) != 0)
    return system_error(errno, "publish: stat " + printable(directory));
  if (fs::is_within(store->fd(), from_root) || fs::is_within(from.fd(), into_root)) {
    return make_error(ErrorKind::usage,
                      "cannot publish " + printable(from.path()) + " into " + printable(directory) +
                          ": one is inside the other",
                      "name a directory of its own");
  }
  if (auto fit = prepare(*store, 0, Locked::no); !fit) return fit.error_with("publish");
  const auto lock = lock_to_publish(from, how.wait);
  if (!lock) return lock.error_with("publish");
  const fs::ActAs as(store->owner());
  // 2.
  const store::StateFile there = store::read_state_file(store->tree(), store::kCredentials);
  const Secret renews = there.text ? login::refresh_token(there.text->reveal()) : Secret();
  const auto is_marked = store::has_published_mark(*store);
  if (!is_marked) return is_marked.error_with("publish");
  const bool marked = *is_marked;
  const std::string_view mark = mark_text(how.withheld);
  const bool searched = is_marked_as_searched(*store, mark);
  // A reader can keep us from reading it (fcntl(2), leases). There is none of ours in it where all was
  // searched.
  if (!searched && there.problem && is_for_now(*there.problem))
    return Result<void>(*there.problem).error_with("publish");
  const bool sealed = !marked && store::is_sealed(*store);
  if (sealed || (!marked && has_login_of_its_own(there, renews, from))) {
    return make_error(
        ErrorKind::invalid, printable(directory) + " holds a login of its own, which publishing would end",
        sealed ? "name another directory"
               : "name another directory, or remove .credentials.json from it if it is not needed");
  }
  // 3.
  if (!searched || !renews.empty()) {
    if (auto removed = remove_other_refresh_tokens(*store); !removed) return removed.error_with("publish");
    if (auto removed = remove_secrets(*store, how.withheld); !removed) return removed.error_with("publish");
    if (auto stripped = strip_login(*store, how.withheld); !stripped) return stripped.error_with("publish");
  }
  // 4.
  const auto own =
      fs::open_beneath(store->fd(), store::kPrivateDir, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!own) return own.error_with("publish");
  for (const char* name : {"locks", "present", "id"}) {
    if (auto removed = fs::remove_tree(own->get(), name); !removed) return removed.error_with("publish");
  }
  if (!searched) {
    const auto made =
        fs::replace_file(own->get(), store::kPublishedMark, mark, store->modes().file, fs::Sync::yes);
    if (!made) return made.error_with("publish");
  }
  return store;
}

}  // namespace claude_init::sync
