#include "follow/login_sync.h"

#include "login/login.h"
#include "login/merge.h"

namespace claude_init::follow {
namespace {

using login::State;

bool works(State state) {
  return state == State::usable || state == State::renewable;
}

bool is_broken(State state) {
  return state == State::dead || state == State::empty || state == State::malformed;
}

bool has_refresh_token(const login::Judged& judged) {
  return judged.login && judged.login->has_refresh_token;
}

}  // namespace

Move decide(const Sides& sides, UnixMs now) {
  const auto judge = [&](std::optional<std::string_view> text) {
    return text ? login::judge_file(*text, now) : login::Judged{};
  };
  const login::Judged store = judge(sides.store);
  const login::Judged copy = judge(sides.copy);
  const Secret& copys = copy.access_token;
  const bool was_given = !copys.empty() && copys.reveal() == sides.given_access_token;
  // 1.
  if (!works(store.state)) return works(copy.state) && !was_given ? Move::save : Move::nothing;
  // 2.
  if (is_broken(copy.state)) return Move::give;
  if (copy.state == State::missing) return sides.store_changed ? Move::give : Move::nothing;
  // 3.
  if (copys == store.access_token) {
    const bool wanted = sides.refresh_token == store::RefreshToken::copy && has_refresh_token(store);
    const bool fits = wanted == has_refresh_token(copy);
    return fits && !sides.store_changed ? Move::nothing : Move::give;
  }
  // 4.
  if (was_given || !works(copy.state)) {
    return store.state == State::usable || copy.state != State::usable ? Move::give : Move::nothing;
  }
  // 5.
  return Move::save;
}

Result<Secret> text_to_give(std::string_view store, std::optional<std::string_view> copy,
                            store::RefreshToken refresh_token) {
  auto given = refresh_token == store::RefreshToken::withhold ? login::without_refresh_token(store)
                                                              : Result(Secret(std::string(store)));
  if (!given || !copy) return given;
  auto merged = login::merge(*copy, given->reveal(), {true, true, unix_now()});
  return merged ? std::move(merged) : std::move(given);
}

}  // namespace claude_init::follow
