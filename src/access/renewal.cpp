#include "access/renewal.h"

#include <optional>
#include <utility>

#include "access/wait.h"
#include "fs/mounts.h"
#include "log/log.h"
#include "options/store_path.h"
#include "store/inspect.h"

namespace claude_init::access {
namespace {

// Another process's renewal takes as long as its command may: the limit, and the grace.
constexpr Milliseconds kOthersRenewal = renew::Renewer::kTimeLimit + Milliseconds(10'000);

bool is_settled(const std::optional<renew::Outcome>& outcome) {
  return outcome && outcome->kind != renew::Outcome::Kind::busy &&
         outcome->kind != renew::Outcome::Kind::not_due;
}

}  // namespace

renew::Renewer::Options renewer_options(const options::Renewal& options, const std::string& store,
                                        const options::Environment& environment, std::string purpose,
                                        const store::StoreOptions& how) {
  renew::Renewer::Options renewer;
  renewer.store = store;
  renewer.how = how;
  renewer.renew_before = options.before;
  renewer.check_every = options.check_every;
  renewer.command = options.command;
  renewer.environment = environment.variables();
  renewer.purpose = std::move(purpose);
  renewer.log_in = [store, &environment] {
    return options::setup_command_line(store, fs::in_container(), environment);
  };
  return renewer;
}

int await_renewal(const supervise::Loop& loop, const std::string& store, renew::Renewer& renewer) {
  log::info("the access token has expired: waiting for a new one", {{"store", store}});
  Wait wait;
  wait.limit = kOthersRenewal;
  wait.renewer = [&renewer] { return &renewer; };
  wait.over = [&] {
    if (is_settled(renewer.last()) && !renewer.is_renewing()) return true;
    return store::inspect(store, unix_now()).state == login::State::usable;
  };
  return wait_until_over(loop, wait);
}

}  // namespace claude_init::access
