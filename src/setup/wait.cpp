#include "setup/wait.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "base/text.h"
#include "fs/mounts.h"
#include "log/log.h"
#include "options/options.h"
#include "options/store_path.h"
#include "store/inspect.h"
#include "store/store.h"
#include "supervise/signals.h"
#include "ui/exit_status.h"
#include "ui/remedies.h"

namespace claude_init::setup {
namespace {

// What the CLI writes after a login (the account, that its first run is over) comes within a second or two.
constexpr Milliseconds kSettle{3000};
constexpr Milliseconds kLatest{10'000};

constexpr std::size_t kShortId = 12;  // as engines list it

void end(bool& over) {
  over = true;
  supervise::stop_ourselves();
}

/// The CLI in this container, from outside of it; "" where it is not known what this container is called
/// there. An engine knows no host name, which is whatever somebody has chosen.
std::string exec_command(const user::Account& account, const options::Environment& environment) {
  if (!environment.get("KUBERNETES_SERVICE_HOST").empty()) {
    const std::string pod = host_name();
    return pod.empty() ? "" : "kubectl exec -it " + shell_quote(pod) + " -- claude";
  }
  const auto mounts = fs::read_mounts();
  const std::string id = mounts ? fs::container_id(*mounts) : "";
  if (id.empty()) return "";
  const std::string user = account.uid == ::geteuid() ? "" : "--user " + shell_quote(account.name) + " ";
  return ui::engine_command() + std::string(" exec -it ") + user + id.substr(0, kShortId) + " claude";
}

}  // namespace

LoginWait::LoginWait(boost::asio::io_context& io, std::string store, Milliseconds limit)
    : store_(std::move(store)), limit_(io), settle_(io, kSettle, kLatest, [over = over_] { end(*over); }) {
  if (limit == options::kForever) return;
  limit_.expires_after(limit);
  limit_.async_wait([over = over_, limit, store = store_](const boost::system::error_code& failure) {
    if (failure || *over) return;
    // Of one that has just come the rest is still awaited, and cut short.
    if (store::inspect(store, unix_now()).state != login::State::usable)
      log::warn("no login came in time: this session exits", {{"after", format_duration(limit.count())}});
    end(*over);
  });
}

bool LoginWait::has_login() const {
  return store::inspect(store_, unix_now()).state == login::State::usable;
}

void LoginWait::check_now() {
  if (has_login()) settle_.poke();
}

int LoginWait::exit_status(int status) const {
  const login::State state = store::inspect(store_, unix_now()).state;
  if (state == login::State::usable) return kExitOk;
  if (status != kExitOk) return status;
  return state == login::State::renewable ? kExitLoginExpired : exit_status_of(state);
}

void greet_waiting(const ui::Console& console, const FoundStore& found, const user::Account& account,
                   const options::Environment& environment, Milliseconds limit, bool shell) {
  const std::string within =
      limit == options::kForever ? "" : fmt::format(" within {}", format_duration(limit.count()));
  if (shell) {
    console.text(fmt::format("Log in{}; this session then saves the login and exits.", within));
    return;
  }
  console.title(fmt::format("Waiting for a login{}.", within));
  console.text("From another terminal, with /login:");
  const std::string here = found.in_container ? exec_command(account, environment) : "";
  console.command(
      here.empty() ? options::setup_command_line(found.store.path(), found.in_container, environment) : here);
}

}  // namespace claude_init::setup
