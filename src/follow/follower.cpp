#include "follow/follower.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "fs/file.h"
#include "fs/open.h"
#include "log/log.h"
#include "login/login.h"
#include "store/sealed.h"
#include "store/state_file.h"
#include "store/store.h"

namespace claude_init::follow {
namespace {

constexpr Milliseconds kAgain{1000};
constexpr Milliseconds kInterval{2000};            // between two looks where inotify cannot know
constexpr std::int64_t kLastLook = 5 * 60 * 1000;  // by then a renewal has come, if one is to come

/// One of the two login files as it is now; nothing where there is none. Error: it cannot be known.
Result<std::optional<Secret>> text_of(store::StateFile file) {
  if (file.problem) return *file.problem;
  return std::move(file.text);
}

std::optional<std::string_view> view(const std::optional<Secret>& text) {
  return text ? std::optional<std::string_view>(text->reveal()) : std::nullopt;
}

}  // namespace

Follower::Follower(boost::asio::io_context& io, loop::Inotify& inotify, Options options)
    : options_(std::move(options)),
      watch_(io, inotify,
             {options_.store, std::string(store::kCredentials), store::owner_of(options_.store), false,
              kInterval, [this] { static_cast<void>(check_now()); }}),
      again_(io, kAgain, kAgain, [this] { static_cast<void>(check_now()); }),
      timer_(io) {}

void Follower::start() {
  watch_.start();
  static_cast<void>(check_now());
}

bool Follower::check_now() {
  const auto move = compare_and_give();
  if (move) {
    if (failed_) log::info("the login is followed again", {{"store", options_.store}});
    failed_ = false;
    return *move == Move::save;
  }
  // A store that is not there, or closed to us, is told by the watch when it is again.
  const ErrorKind kind = move.error().kind;
  if (kind != ErrorKind::not_found && kind != ErrorKind::permission) again_.poke();
  if (!failed_)
    log::failure(kind == ErrorKind::not_found ? log::Level::info : log::Level::warn, move.error());
  failed_ = true;
  return false;
}

// 1. Both sides as they are now. The store is opened anew: it may have been replaced.
// 2. What is to be done.
// 3. The store's login, put into the copy.
Result<Move> Follower::compare_and_give() {
  // 1.
  const auto config = fs::open_root(options_.state.config_dir, options_.who);
  if (!config) return config.error_with("follow the login");
  const auto copys = text_of(
      store::read_state_file({config->get(), options_.state.config_dir, options_.who}, store::kCredentials));
  if (!std::exchange(begun_, true) && copys && *copys) remember((*copys)->reveal());
  const auto store = store::Store::open(options_.store, options_.how);
  if (!store) return store.error_with("follow the login");
  auto stores = text_of(store::read_login(*store));
  if (!stores) return stores.error_with("follow the login");
  if (!copys && is_for_now(copys.error())) return copys.error_with("follow the login");
  // A copy that is not a file, far too large or closed to its user is a broken one.
  const std::optional<std::string_view> copy = copys ? view(*copys) : std::optional<std::string_view>("");
  // 2.
  Sides sides{view(*stores), copy, false, given_access_token_.reveal(), options_.refresh_token};
  const bool first = !store_login_;
  const auto hash = std::hash<std::string_view>()(*stores ? (*stores)->reveal() : "");
  const bool changed = *stores && (first || hash != *store_login_);
  const bool restored =
      first && copy && *stores && login::access_token((*stores)->reveal()) == given_access_token_;
  sides.store_changed = changed && !restored;
  const Move move = decide(sides, unix_now());
  // 3.
  if (move == Move::give) {
    if (auto given = give((*stores)->reveal(), copy); !given) return given.error();
  }
  const bool looked = std::exchange(looked_, true);
  if (!changed) return move;
  store_login_ = hash;
  if (looked && options_.on_store_change) options_.on_store_change();
  return move;
}

Result<void> Follower::give(std::string_view store_login, std::optional<std::string_view> copy) {
  const auto text = text_to_give(store_login, copy, options_.refresh_token);
  if (!text) return text.error_with("follow the login");
  if (copy == text->reveal()) return Done{};
  const fs::ActAs as(options_.who);
  const auto config = fs::open_root(options_.state.config_dir, options_.who);
  if (!config) return config.error_with("follow the login");
  auto put =
      fs::replace_file(config->get(), std::string(store::kCredentials), text->reveal(), 0600, fs::Sync::no);
  if (!put) return put.error_with("put the store's login into " + options_.state.config_dir);
  remember(text->reveal());
  log::info("the store's login was put into the copy",
            {{"copy", options_.state.config_dir}, {"until", format_iso8601(expires_at_)}});
  return Done{};
}

void Follower::adopted() {
  // Not what the copy has: that may be a later one by now, which is still to be saved.
  const auto store = store::Store::open(options_.store, options_.how);
  if (!store) return;
  const auto stores = text_of(store::read_login(*store));
  if (stores && *stores) remember((*stores)->reveal());
}

void Follower::remember(std::string_view login) {
  login::Judged judged = login::judge_file(login, unix_now());
  given_access_token_ = std::move(judged.access_token);
  expires_at_ = judged.login ? judged.login->expires_at : 0;
  noticed_ = false;
  check_before_expiry();
}

/// At the notice, and once more when a renewal should have come; a login that lives shorter than that is
/// looked at when nine tenths of what is left of it are over.
void Follower::check_before_expiry() {
  const UnixMs now = unix_now();
  timer_.cancel();
  if (expires_at_ <= now) return;
  const std::int64_t left = expires_at_ - now;
  const std::int64_t last_look = std::min(kLastLook, left / 10);
  const bool notice = !noticed_ && options_.on_expiring && left > options_.notice.count();
  const std::int64_t before = notice ? std::max(options_.notice.count(), last_look) : last_look;
  if (!notice && noticed_ && left <= kLastLook) return;
  due_ = expires_at_ - before;
  const auto set = timer_.at(due_, [this] { on_time(); });
  if (!set) log::failure(log::Level::warn, set.error());
}

void Follower::on_time() {
  const UnixMs expires_at = expires_at_;
  static_cast<void>(check_now());
  if (expires_at_ != expires_at) return;                // that has set the timer
  if (unix_now() < due_) return check_before_expiry();  // the clock was set
  const bool first = !std::exchange(noticed_, true);
  if (first && options_.on_expiring) options_.on_expiring(expires_at);
  check_before_expiry();
}

}  // namespace claude_init::follow
