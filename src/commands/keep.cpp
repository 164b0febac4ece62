#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/filesystem/operations.hpp>
#include <boost/filesystem/path.hpp>
#include <deque>
#include <utility>
#include <vector>

#include "access/health_context.h"
#include "access/renewal.h"
#include "access/sealing.h"
#include "access/store_access.h"
#include "base/text.h"
#include "commands/commands.h"
#include "keep/keeper.h"
#include "keep/notify.h"
#include "keep/outputs.h"
#include "log/log.h"
#include "loop/inotify.h"
#include "options/engine.h"
#include "options/store_path.h"
#include "renew/renewal_queue.h"
#include "store/inspect.h"
#include "supervise/terminal.h"
#include "ui/exit_status.h"
#include "ui/refusal.h"
#include "workcopy/place.h"

namespace claude_init::commands {
namespace {

/// In compose.yaml's volume, whose files are an earlier keeper's: root with what that takes gives them to us.
std::string how_to_take_over(const std::string& publish, const options::Environment& environment) {
  constexpr std::string_view kSetup = "run --rm setup";
  std::string_view compose = environment.get(options::kLoginCommand);
  if (options::engine_of(environment) != ui::Engine::compose || !compose.ends_with(kSetup)) return "";
  compose.remove_suffix(kSetup.size());
  return fmt::format(
      "{}run --rm --user 0 --cap-add CHOWN --cap-add DAC_READ_SEARCH --entrypoint chown keeper -R {}:{} {}",
      compose, ::geteuid(), ::getegid(), shell_quote(publish));
}

Result<keep::Keeper::Options> keeper_options(const options::Keep& options, const options::KeptStore& kept,
                                             const options::Environment& environment,
                                             renew::RenewalQueue& turns) {
  keep::Keeper::Options keeper;
  keeper.store = options::choose_store(kept.directory, environment.get("HOME"), environment);
  keeper.name = kept.name;
  if (keeper.name.empty()) {
    auto name = options::name_of_directory(keeper.store);
    if (!name) return name.error();
    keeper.name = std::move(*name);
  }
  if (!kept.publish.empty()) keeper.publish = options::choose_store(kept.publish, {}, environment);
  if (!kept.placeholder.empty())
    keeper.placeholder = options::choose_store(kept.placeholder, {}, environment);
  keeper.take_over = [&environment](const std::string& directory) {
    return how_to_take_over(directory, environment);
  };
  const std::string log_in =
      options::with_name(std::string(environment.get(options::kLoginCommand)), keeper.name);
  keeper.context = [log_in, &environment](const store::Inspection& seen) {
    health::Context context = access::health_context(seen, environment);
    if (log_in.empty()) return context;
    context.setup_command = log_in;
    context.told_setup_command = true;
    return context;
  };
  keeper.renews = !options.renewal.never;
  store::StoreOptions how;
  if (const auto taken = access::take_seal_key(options.sealing, keeper.store, how); !taken)
    return taken.error();
  keeper.renewal = access::renewer_options(options.renewal, keeper.store, environment, "keep", how);
  keeper.renewal.turns = &turns;
  return keeper;
}

/// A directory that a keeper writes, by what its path leads to now.
struct Place {
  std::string path;
  std::string what;
};

std::vector<Place> places_of(const std::deque<keep::Keeper>& keepers) {
  std::vector<Place> places;
  for (const keep::Keeper& keeper : keepers) {
    for (const auto& [path, what] :
         {std::pair(keeper.options().store, "the store "),
          std::pair(keeper.options().publish, "where it publishes "),
          std::pair(keeper.options().placeholder, "where it publishes a placeholder of ")}) {
      if (path.empty()) continue;
      boost::system::error_code ignored;
      std::string resolved = boost::filesystem::weakly_canonical(path, ignored).string();
      places.push_back({resolved.empty() ? path : std::move(resolved), what + keeper.options().name});
    }
  }
  return places;
}

/// A directory that is published into loses what else it has, so nobody else writes there, nor in it, nor
/// around it. Error: usage.
Result<void> check_places(const std::deque<keep::Keeper>& keepers) {
  const std::vector<Place> places = places_of(keepers);
  for (const Place& one : places) {
    for (const Place& other : places) {
      if (&one == &other || !access::is_within(one.path, other.path)) continue;
      const std::string is =
          one.path == other.path
              ? fmt::format("{} is both {} and {}", printable(one.path), one.what, other.what)
              : fmt::format("{}, {}, is inside {}, {}", printable(one.path), one.what, printable(other.path),
                            other.what);
      return make_error(ErrorKind::usage, is,
                        "give each store, and each --publish, a directory of its own, beside the others");
    }
  }
  return Done{};
}

/// The CLI is larger by far than we are, so it is what the kernel kills where there is too little.
void say_memory() {
  const std::uint64_t left = workcopy::memory_left() / 1'000'000;
  if (left >= renew::kCliMegabytes) return;
  log::warn("a renewal may be killed for want of memory: give the container more",
            {{"needed_mb", renew::kCliMegabytes}, {"left_mb", left}});
}

}  // namespace

/// 1. The stores. None of them has to be there yet.
/// 2. A keeper for each, and what they tell, on one loop: everything happens there, until a signal ends it.
/// 3. A renewal that runs then is finished within the grace, and published.
int keep_command(const options::Keep& options, const options::Environment& environment,
                 const supervise::Inherited& inherited) {
  // 1.
  boost::asio::io_context io(1);
  loop::Reaper reaper;
  const supervise::Loop loop{io, reaper, inherited};
  loop::Inotify inotify(io);
  renew::RenewalQueue turns(io);
  std::deque<keep::Keeper> keepers;
  keep::Outputs outputs(loop, options, environment, keepers);
  for (const options::KeptStore& kept : options.stores) {
    auto keeper = keeper_options(options, kept, environment, turns);
    if (!keeper) return ui::refuse(keeper.error(), kExitUsage);
    keepers.emplace_back(
        loop, inotify, std::move(*keeper),
        [&](const keep::Keeper& who, const keep::Event& event) { outputs.report_event(who, event); });
  }
  if (const auto apart = check_places(keepers); !apart) return ui::refuse(apart.error(), kExitUsage);
  // 2.
  if (const auto started = outputs.start(); !started) return ui::refuse(started.error());
  log::info("keeping", {{"stores", keepers.size()}, {"mb_for_a_renewal", renew::kCliMegabytes}});
  if (!options.renewal.never) say_memory();
  for (keep::Keeper& keeper : keepers) keeper.start();
  const std::string_view manager = environment.get("NOTIFY_SOCKET");
  keep::notify(manager, "READY=1");
  supervise::Hooks hooks;
  hooks.ending = [&] {
    keep::notify(manager, "STOPPING=1");
    outputs.stop();
    for (keep::Keeper& keeper : keepers) keeper.stop();
  };
  hooks.collect = [&](const Deadline& deadline) {  // 3.
    for (keep::Keeper& keeper : keepers) keeper.finish(deadline);
  };
  supervise::Options supervision = options.supervision;
  // Its window was closed, as for a `run`.
  if (supervise::Terminal::open().present()) supervision.stop_signals.push_back(SIGHUP);
  const auto outcome = supervise::supervise(loop, supervision, {}, hooks);
  if (!outcome) return ui::refuse(outcome.error(), kExitSystem);
  return kExitOk;
}

}  // namespace claude_init::commands
