#include "live/live.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <memory>
#include <utility>

#include "access/health_context.h"
#include "access/shadows.h"
#include "base/interrupt.h"
#include "base/unique_fd.h"
#include "fs/newer_calls.h"
#include "live/cache.h"
#include "log/last_words.h"
#include "log/log.h"
#include "login/shadow.h"
#include "run/command.h"
#include "store/inspect.h"
#include "store/store.h"
#include "supervise/supervisor.h"
#include "sync/restore.h"

namespace claude_init::live {
namespace {

constexpr std::uint64_t kNeededBytes = std::uint64_t{1} << 20;
// What it runs has nothing to lose, and whoever ends us does not wait.
constexpr Milliseconds kGrace{50};

/// What the command writes, without a pipe that somebody would have to empty meanwhile.
struct Streams {
  UniqueFd input;
  UniqueFd output;
};

Result<Streams> open_streams() {
  Streams streams;
  streams.input.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  streams.output = fs::nameless_file("claude-init-live");
  if (!streams.input.valid() || !streams.output.valid()) return system_error(errno, "run the CLI");
  return streams;
}

/// The end of what was written.
std::string end_of(int fd) {
  constexpr std::size_t kEnd = 4096;
  std::string end(kEnd, '\0');
  const off_t size = ::lseek(fd, 0, SEEK_END);
  const ssize_t n = ::pread(fd, end.data(), end.size(), std::max<off_t>(0, size - off_t{kEnd}));
  end.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return end;
}

/// How the CLI says that it is the login that does not do, and nothing else: a port or a request's name may
/// have the same digits in it.
bool says_rejected(std::string_view words) {
  constexpr std::array<std::string_view, 4> kSigns{"API Error: 401", "run /login", "authentication_error",
                                                   "token has expired"};
  return std::any_of(kSigns.begin(), kSigns.end(),
                     [&](std::string_view sign) { return words.find(sign) != std::string_view::npos; });
}

health::Live failed(std::string why) {
  health::Live live;
  live.at = unix_now();
  live.said = std::move(why);
  return live;
}

/// Where the CLI did not use the login, its refusal tells nothing of it.
std::string used_instead(std::string_view written, const std::string& store) {
  const auto settings = access::shadowing_settings(store);
  if (!settings.empty()) return fmt::format("it used {}, and not the login", fmt::join(settings, ", "));
  return login::says_shadowed(written) ? "it used another credential, and not the login" : "";
}

health::Live judged(const supervise::Outcome& outcome, bool timed_out, const options::Health& options,
                    const std::string& store, int output) {
  const std::string written = end_of(output);
  const std::string words = log::last_words(output, 1);
  const auto with_words = [&](const std::string& what) { return words.empty() ? what : what + ": " + words; };
  health::Live live = failed("");
  if (timed_out) {
    live.said =
        with_words(fmt::format("it had not ended after {}", format_duration(options.live_timeout.count())));
  } else if (outcome.exited && outcome.exit_status == 0 && !words.empty()) {
    live.works = true;
  } else if (!outcome.executed) {
    live.executed = false;
    const std::string& name = options.live_command.front();
    live.said = outcome.exit_status == 127 ? fmt::format("there is no '{}' here", name)
                                           : fmt::format("'{}' is there and cannot be executed", name);
  } else {
    const std::string instead = used_instead(written, store);
    live.rejected = instead.empty() && says_rejected(words);
    live.said =
        with_words(instead.empty() ? fmt::format("it ended with status {}", outcome.exit_status) : instead);
  }
  return live;
}

/// With the stored login and nothing that stands in for it; not in a directory whose files it would read.
supervise::Command live_command(const options::Health& options, options::Environment environment,
                                const user::Account& account, workcopy::WorkingCopy& copy,
                                const Streams& streams) {
  for (const std::string& name : access::shadowing_variables(environment)) environment.unset(name);
  supervise::Command command =
      run::command_in(copy, account, run::choose_home(copy, account, run::LinkHome::no),
                      std::move(environment), options.live_command, user::NewPrivileges::forbid);
  command.directory = copy.state().config_dir;
  command.before_exec = [drop = user::drop_to_helper(account), in = streams.input.get(),
                         out = streams.output.get()] {
    if (::dup2(in, STDIN_FILENO) < 0 || ::dup2(out, STDOUT_FILENO) < 0 || ::dup2(out, STDERR_FILENO) < 0)
      return errno;
    return drop();
  };
  return command;
}

/// 1. Run, with everything that it starts, until the limit.
/// 2. Judged by its end and by its answer.
std::variant<health::Live, int> run_in(workcopy::WorkingCopy& copy, const options::Health& options,
                                       const options::Environment& environment, const user::Account& account,
                                       const std::string& store, const supervise::Inherited& inherited) {
  const auto streams = open_streams();
  if (!streams) return failed(streams.error().message());
  // 1.
  boost::asio::io_context io(1);
  loop::Reaper reaper;
  supervise::Options supervision;
  supervision.stop_signals = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
  supervision.grace = kGrace;
  const auto timed_out = std::make_shared<bool>(false);  // outlives this for a handler that is due already
  boost::asio::steady_timer limit(io, options.live_timeout);
  limit.async_wait([timed_out](const boost::system::error_code& failure) {
    if (failure) return;
    *timed_out = true;
    supervise::stop_ourselves();
  });
  const auto outcome = supervise::supervise({io, reaper, inherited}, supervision,
                                            live_command(options, environment, account, copy, *streams));
  interrupt::listen();
  if (!outcome) return failed(outcome.error().message());
  if (outcome->stop_signal != 0 && !*timed_out) return outcome->stop_signal;
  // 2.
  return judged(*outcome, *timed_out, options, store, streams->output.get());
}

}  // namespace

/// 1. An earlier result.
/// 2. The copy, wiped whatever comes of it.
/// 3. The result, for the next one.
std::variant<health::Live, int> try_login(const options::Health& options,
                                          const options::Environment& environment,
                                          const user::Account& account, const store::Inspection& inspection,
                                          const supervise::Inherited& inherited) {
  // 1.
  const Cache cache(inspection, options.live_command, environment);
  if (auto earlier = cache.find(options.max_age.value_or(options.kMaxAge), unix_now())) return *earlier;
  // 2.
  const auto store = store::Store::open(inspection.path);
  if (!store) return failed(store.error().message());
  workcopy::WorkingCopy::Options where;
  where.places.runtime_dir = environment.get("XDG_RUNTIME_DIR");
  where.demand.bytes = kNeededBytes;
  auto copy = workcopy::WorkingCopy::create(account, where);
  if (!copy) return failed(copy.error().message());
  sync::RestoreOptions what;
  what.extent = store::Extent::login;
  const auto restored = sync::restore(*store, copy->state(), account.identity(), what);
  auto result = restored ? run_in(*copy, options, environment, account, inspection.path, inherited)
                         : std::variant<health::Live, int>(failed(restored.error().message()));
  if (const auto wiped = copy->wipe(); !wiped) log::failure(log::Level::warn, wiped.error());
  // 3.
  if (const auto* live = std::get_if<health::Live>(&result)) {
    if (const auto kept = cache.keep(*live); !kept) log::failure(log::Level::warn, kept.error());
  }
  return result;
}

}  // namespace claude_init::live
