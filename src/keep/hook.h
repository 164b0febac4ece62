#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "base/time.h"
#include "base/unique_fd.h"
#include "keep/login_monitor.h"
#include "loop/reaper.h"
#include "supervise/signals.h"

namespace claude_init::keep {

/// Calls a command of the user's for each change, one at a time and in order. It gets what happened as
/// variables (CLAUDE_INIT_CHANGE, _STORE (where it is), _STORE_NAME, _STATE, _TEXT, _REMEDY, _PUBLISHED,
/// _PLACEHOLDER) and as one JSON object on standard input; never a secret. The text of both can be read
/// alone: whose it is, what happened, what to type. It has 30 s; one that fails is called again after 1, 10
/// and 60 s, then given up; with a status from 69 to 77, which say that it may work later, and when its time
/// was over, it is called until it works or something newer of that store waits. Of more than 64 that wait
/// the oldest is dropped. All of that is counted.
class Hook {
 public:
  struct Call {
    std::string store;             // its name
    std::string path;              // where it is
    std::string published_path;    // where it is published, "" if it is not
    std::string placeholder_path;  // and where without any token
    std::string state;             // LoginMonitor::outcome()
    Event event;
    std::optional<UnixMs> expires_at;
    std::optional<UnixMs> login_expires_at;
  };
  struct Counts {
    std::uint64_t runs = 0;
    std::map<int, std::uint64_t> failures;  // by exit status, 128+n of a signal, -1 of one that was dropped
  };

  struct Times {
    Milliseconds limit{30'000};
    std::array<Milliseconds, 3> pauses{Milliseconds(1000), Milliseconds(10'000), Milliseconds(60'000)};
  };

  /// `command` is given to /bin/sh -c; "" calls nothing. `env` is what it has besides.
  Hook(boost::asio::io_context& io, const supervise::Inherited& inherited, loop::Reaper& reaper,
       std::string command, std::vector<std::string> env, Times times);

  void call(Call call);
  /// No further calls; a running one has the grace of its supervisor.
  void stop();
  [[nodiscard]] const Counts& counts() const { return counts_; }

 private:
  void start();
  void ended(int status);
  [[nodiscard]] bool is_overtaken(const Call& call) const;  // by a newer one of that store
  void next();

  boost::asio::steady_timer timer_;
  const supervise::Inherited& inherited_;
  loop::Reaper& reaper_;
  std::string command_;
  std::vector<std::string> env_;
  const Times times_;
  std::deque<Call> waiting_;  // the first one is being called, or waits to be called again
  bool busy_ = false;
  bool running_ = false;
  bool stopped_ = false;
  bool timed_out_ = false;
  std::size_t attempts_ = 0;
  Counts counts_;
};

}  // namespace claude_init::keep
