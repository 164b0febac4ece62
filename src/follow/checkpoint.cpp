#include "follow/checkpoint.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>

#include "base/text.h"
#include "base/unique_fd.h"
#include "log/log.h"
#include "store/layout.h"

namespace claude_init::follow {
namespace {

constexpr Milliseconds kSettle{300};
constexpr Milliseconds kLatest{800};

}  // namespace

Checkpoint::Checkpoint(boost::asio::io_context& io, std::function<bool()> save)
    : events_(io), timer_(io), save_(std::move(save)) {}

Result<void> Checkpoint::watch(const std::string& config_dir, fs::Identity who) {
  UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!fd.valid()) return system_error(errno, "watch for a login");
  const fs::ActAs as(who);
  // The CLI renames a finished file into place; what else writes it (an editor, cp) closes it when it is
  // done.
  if (::inotify_add_watch(fd.get(), config_dir.c_str(), IN_MOVED_TO | IN_CLOSE_WRITE | IN_ONLYDIR) < 0) {
    return system_error(errno, "watch " + printable(config_dir) + " for a login");
  }
  events_.assign(fd.release());
  read_events();
  return Done{};
}

void Checkpoint::read_events() {
  events_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                     [this](const boost::system::error_code& failure) {
                       if (failure) return;
                       if (login_was_written()) save_soon();
                       read_events();
                     });
}

/// Empties the queue. An overflow means that something was missed: then it may have been the login.
bool Checkpoint::login_was_written() {
  alignas(inotify_event) std::array<char, 4096> buffer{};
  bool written = false;
  for (;;) {
    const ssize_t n = ::read(events_.native_handle(), buffer.data(), buffer.size());
    if (n <= 0) return written;
    for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      const std::string_view name = event->len > 0 ? std::string_view(event->name) : std::string_view();
      written |= name == store::kCredentials || (event->mask & IN_Q_OVERFLOW) != 0;
      at += sizeof(inotify_event) + event->len;
    }
  }
}

void Checkpoint::save_soon() {
  const SteadyTime now = std::chrono::steady_clock::now();
  if (save_by_ == SteadyTime::max()) save_by_ = now + kLatest;
  timer_.expires_at(std::min(save_by_, now + kSettle));
  timer_.async_wait([this](const boost::system::error_code& failure) {
    if (failure || save_by_ == SteadyTime::max()) return;
    save_by_ = SteadyTime::max();
    if (!save_()) save_soon();
  });
}

}  // namespace claude_init::follow
