#include "commands/renewal.h"

#include <fcntl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <functional>
#include <utility>

#include "commands/store_path.h"
#include "fs/identity.h"
#include "fs/mounts.h"
#include "log/log.h"

namespace claude_init::commands {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

// Somebody else's renewal takes as long as its command may: the limit, and the grace.
constexpr Milliseconds kPatience{70'000};
constexpr Milliseconds kGraceOnStop{5'000};

/// Calls `handler` with each signal of `set`, which is blocked, until it is destroyed.
class SignalWatch {
 public:
  SignalWatch(asio::io_context& io, const sigset_t& set, std::function<void(int)> handler)
      : descriptor_(io), handler_(std::move(handler)) {
    const int fd = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) {
      log::failure(log::Level::warn, system_error(errno, "wait for signals"));
    } else {
      descriptor_.assign(fd);
      wait();
    }
  }

 private:
  void wait() {
    descriptor_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const error_code& failure) {
      if (failure) return;
      while (const auto info = supervise::next_signal(descriptor_.native_handle())) {
        handler_(static_cast<int>(info->ssi_signo));
      }
      wait();
    });
  }
  asio::posix::stream_descriptor descriptor_;
  std::function<void(int)> handler_;
};

sigset_t set_of(const std::vector<int>& signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : signals) sigaddset(&set, number);
  return set;
}

bool is_settled(const std::optional<renew::Outcome>& outcome) {
  return outcome && outcome->kind != renew::Outcome::Kind::busy &&
         outcome->kind != renew::Outcome::Kind::not_due;
}

}  // namespace

std::string why_not_writable(const store::Inspection& inspection) {
  if (inspection.state == login::State::no_store) return "there is no store";
  if (inspection.read_only) return "the store is read-only";
  const fs::ActAs as(inspection.owner);
  return ::faccessat(AT_FDCWD, inspection.path.c_str(), W_OK | X_OK, AT_EACCESS) == 0
             ? ""
             : "the store may not be written by us";
}

renew::Renewer::Options renewer_options(const options::Renewal& options, const std::string& store,
                                        const options::Environment& environment, std::string purpose) {
  renew::Renewer::Options renewer;
  renewer.store = store;
  renewer.renew_before = options.before;
  renewer.command = options.command;
  renewer.environment = environment.variables();
  renewer.purpose = std::move(purpose);
  renewer.log_in = setup_command_line(store, fs::in_container(), environment);
  return renewer;
}

int await_renewal(const supervise::Loop& loop, const std::vector<int>& stop_signals, const std::string& store,
                  renew::Renewer& renewer) {
  log::info("the access token has expired: waiting for a new one", {{"store", store}});
  int stopped = 0;
  bool over = false;
  asio::steady_timer limit(loop.io, kPatience);
  const auto end = [&over](const error_code& failure) { over = over || !failure; };
  limit.async_wait(end);
  const SignalWatch children(loop.io, set_of({SIGCHLD}), [&](int) { static_cast<void>(loop.reaper.reap()); });
  const SignalWatch stop(loop.io, set_of(stop_signals), [&](int number) {
    if (std::exchange(stopped, number) != 0) return;
    renewer.stop();
    limit.expires_after(kGraceOnStop);
    limit.async_wait(end);
  });
  while (!over && (stopped == 0 || renewer.is_renewing())) {
    if (is_settled(renewer.last()) && !renewer.is_renewing()) break;
    if (store::inspect(store, unix_now()).state == login::State::usable) break;
    if (loop.io.run_one() == 0) break;
  }
  loop.io.restart();
  return stopped;
}

}  // namespace claude_init::commands
