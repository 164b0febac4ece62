#include "loop/inotify.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <optional>
#include <set>
#include <utility>

#include "base/text.h"
#include "base/unique_fd.h"
#include "loop/mount_watch.h"

namespace claude_init::loop {

struct Inotify::State : std::enable_shared_from_this<State> {
  struct Interest {
    Listener* listener;
    std::uint32_t mask;
  };

  explicit State(boost::asio::io_context& context) : io(context), descriptor(context) {}

  Result<void> open() {
    if (descriptor.is_open()) return Done{};
    UniqueFd fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd.valid()) return system_error(errno, "use inotify");
    descriptor.assign(fd.release());
    wait();
    return Done{};
  }

  void wait() {
    descriptor.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& failure) {
                            if (failure || !self->descriptor.is_open()) return;
                            self->read_events();
                            if (self->descriptor.is_open()) self->wait();
                          });
  }

  /// No more than a few buffers at once: whoever makes events as fast as they are read must not keep us from
  /// the signals. What is left makes the descriptor readable again.
  void read_events() {
    constexpr int kBuffers = 4;
    alignas(inotify_event) std::array<char, 8192> buffer{};
    for (int i = 0; i < kBuffers && descriptor.is_open(); ++i) {
      const ssize_t n = ::read(descriptor.native_handle(), buffer.data(), buffer.size());
      if (n <= 0) return;
      for (std::size_t at = 0; at < static_cast<std::size_t>(n);) {
        const auto* raw = reinterpret_cast<const inotify_event*>(buffer.data() + at);
        at += sizeof(inotify_event) + raw->len;
        notify({raw->wd, raw->mask, raw->len > 0 ? std::string_view(raw->name) : std::string_view()});
      }
    }
  }

  /// Listeners add and remove watches while they are told.
  void notify(const Event& event) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      std::set<Listener*> everybody;
      for (const auto& [watch, interests] : watches) {
        for (const Interest& interest : interests) everybody.insert(interest.listener);
      }
      for (Listener* listener : everybody) listener->on_event(event);
      return;
    }
    const auto found = watches.find(event.watch);
    if (found == watches.end()) return;
    const std::vector<Interest> interests = found->second;
    // The kernel has removed it: the directory is gone or unmounted.
    if ((event.mask & IN_IGNORED) != 0) watches.erase(found);
    constexpr std::uint32_t kAlways = IN_IGNORED | IN_UNMOUNT;
    for (const Interest& interest : interests) {
      if ((event.mask & (interest.mask | kAlways)) != 0) interest.listener->on_event(event);
    }
  }

  void remove(std::map<int, std::vector<Interest>>::iterator at, Listener& listener) {
    auto& interests = at->second;
    std::erase_if(interests, [&](const Interest& interest) { return interest.listener == &listener; });
    if (!interests.empty()) return;
    if (descriptor.is_open()) ::inotify_rm_watch(descriptor.native_handle(), at->first);
    watches.erase(at);
  }

  boost::asio::io_context& io;
  boost::asio::posix::stream_descriptor descriptor;
  std::map<int, std::vector<Interest>> watches;
  std::set<Listener*> of_mounts;
  std::optional<MountWatch> mounts;
};

Inotify::Inotify(boost::asio::io_context& io) : state_(std::make_shared<State>(io)) {}

Inotify::~Inotify() {
  state_->watches.clear();
  state_->mounts.reset();
  boost::system::error_code ignored;
  state_->descriptor.close(ignored);
}

Result<int> Inotify::add(const std::string& directory, std::uint32_t mask, Listener& listener) {
  if (auto opened = state_->open(); !opened) return opened.error();
  const int watch = ::inotify_add_watch(state_->descriptor.native_handle(), directory.c_str(),
                                        mask | IN_MASK_ADD | IN_ONLYDIR);
  if (watch < 0) return system_error(errno, "watch " + printable(directory));
  auto& interests = state_->watches[watch];
  const auto mine = std::find_if(interests.begin(), interests.end(), [&](const State::Interest& interest) {
    return interest.listener == &listener;
  });
  if (mine == interests.end()) {
    interests.push_back({&listener, mask});
  } else {
    mine->mask |= mask;
  }
  return watch;
}

void Inotify::watch_mounts(Listener& listener) {
  state_->of_mounts.insert(&listener);
  if (state_->mounts) return;
  state_->mounts.emplace(state_->io, [state = state_.get()] {
    for (Listener* each : state->of_mounts) each->on_mounts();
  });
}

void Inotify::remove(int watch, Listener& listener) {
  const auto found = state_->watches.find(watch);
  if (found != state_->watches.end()) state_->remove(found, listener);
}

void Inotify::forget(Listener& listener) {
  state_->of_mounts.erase(&listener);
  for (auto at = state_->watches.begin(); at != state_->watches.end();) state_->remove(at++, listener);
}

}  // namespace claude_init::loop
