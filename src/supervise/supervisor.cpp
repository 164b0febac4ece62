#include "supervise/supervisor.h"

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "base/interrupt.h"
#include "base/pages.h"
#include "log/log.h"
#include "loop/reaper.h"
#include "supervise/processes.h"
#include "supervise/shutdown.h"
#include "supervise/terminal.h"
#include "supervise/waiting.h"
#include "ui/exit_status.h"

namespace claude_init::supervise {
namespace {

using std::chrono::steady_clock;

constexpr Milliseconds kAfterKill{1000};      // then we are done, whatever is left
constexpr Milliseconds kKillAgain{20};        // for what forked while we killed
constexpr int kSignalAtMost = 16;             // rounds over all that the command left behind
constexpr Milliseconds kShellPatience{3000};  // for a shell's foreground job, before the shell gets HUP
constexpr Milliseconds kShellLook{50};        // that job is the shell's child: its end is no event for us

/// What is due at a time, once.
struct Timer {
  SteadyTime at = SteadyTime::max();
  std::function<void()> due;

  void set(SteadyTime when, std::function<void()> what) {
    at = when;
    due = std::move(what);
  }
  void fire_if_due(SteadyTime now) {
    if (now < at) return;
    at = SteadyTime::max();
    const auto what = std::move(due);
    what();
  }
};

class Supervisor {
 public:
  Supervisor(loop::Reaper& reaper, const Options& options, const Hooks& hooks,
             std::unique_ptr<Waiting> waiting)
      : options_(options), hooks_(hooks), reaper_(reaper), waiting_(std::move(waiting)) {}

  Result<Outcome> run(const Inherited& inherited, const Command& command, bool leaves_directory);

 private:
  Result<void> start(const Inherited& inherited, const Command& command);
  Result<void> supervise_until_over();
  void take_signals();
  void on_signal(const signalfd_siginfo& info);
  void forward(int number, const signalfd_siginfo& info);
  void reap();
  void fail(const Error& error);
  void on_child(const loop::ChildChange& change);
  void on_child_stopped(int number);
  void on_continued();

  void apply(Event event);
  void signal_child();
  void signal_helpers();
  void signal_shells();
  void signal_leftovers();
  void signal_unseen();
  void start_grace();
  void start_timeout();
  void collect();
  bool collecting_is_over();
  void kill_all();
  void check_shells();
  void kill_again();
  [[nodiscard]] std::vector<pid_t> helpers() const;

  const Options options_;
  const Hooks hooks_;
  loop::Reaper& reaper_;
  std::unique_ptr<Waiting> waiting_;
  Timer end_timer_;    // the grace, then the second after KILL
  Timer time_timer_;   // the stop timeout
  Timer again_timer_;  // what has to be looked at repeatedly while we stop
  Terminal terminal_;
  State state_ = State::running;
  pid_t child_ = 0;  // the main child and its group; 0 when it has gone
  bool has_command_ = true;
  bool child_stopped_ = false;
  bool child_killed_ = false;
  pid_t foreground_at_stop_ = 0;
  SteadyTime shells_wait_until_ = SteadyTime::max();
  std::map<int, int> forward_failures_;  // signal → the last errno that was logged: each is logged once
  signalfd_siginfo stop_info_{};         // the signal that stops us, for the child
  SteadyTime grace_end_ = SteadyTime::max();
  SteadyTime nearly_over_ = SteadyTime::max();  // the stop timeout
  bool helpers_told_ = false;
  bool stop_requested_ = false;  // by a stop signal that is no HUP, nor the terminal's end
  bool hurry_ = false;
  std::optional<Error> failure_;  // why we cannot supervise any longer
  Outcome outcome_;
};

// 1. Orphans come to us, and our parent's death sends us a signal if that is wanted.
// 2. The terminal as it is now, to be restored.
// 3. The child. Its group exists and has the foreground when this returns.
// 4. Signals until nothing is left. Those sent since take_over_signals() are pending and come first.
// 5. The terminal as it was.
// 6. What is to be saved.
Result<Outcome> Supervisor::run(const Inherited& inherited, const Command& command, bool leaves_directory) {
  if (::getpid() != 1 && ::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)  // 1
    log::failure(log::Level::warn,
                 system_error(errno, "become the parent of orphans: they are not waited for"));
  if (options_.pdeathsig != 0 && ::prctl(PR_SET_PDEATHSIG, options_.pdeathsig) != 0)
    log::failure(log::Level::warn, system_error(errno, "be told of our parent's death"));
  has_command_ = !command.argv.empty();
  if (has_command_) {
    terminal_ = Terminal::open();                                    // 2
    if (const auto started = start(inherited, command); !started) {  // 3
      terminal_.restore(false);
      static_cast<void>(reaper_.reap());
      return started.error();
    }
  }
  // Its file system can be unmounted. The command is in its own by now.
  if (leaves_directory && ::chdir("/") != 0) log::debug("stays in the directory that it was started in");
  forget_code();
  const auto supervised = supervise_until_over();  // 4
  terminal_.restore(child_killed_);                // 5
  collect();                                       // 6
  if (!supervised) return supervised.error();
  if (failure_) return *failure_;
  return outcome_;
}

/// When it cannot even wait for signals any more nothing is left to be done well: all is killed.
Result<void> Supervisor::supervise_until_over() {
  bool simple = false;
  while (state_ < State::collecting) {
    const SteadyTime next = std::min({end_timer_.at, time_timer_.at, again_timer_.at});
    const auto signal = waiting_->next(next);
    if (!signal && std::exchange(simple, true)) {
      log::failure(log::Level::error, signal.error_with("end everything"));
      if (state_ == State::running && hooks_.ending) hooks_.ending();
      kill_descendants();
      return signal.error();
    }
    if (!signal) {
      log::failure(log::Level::error,
                   signal.error_with("from here on signals are passed on, and nothing else is done"));
      waiting_ = wait_for_signals_only();
      continue;
    }
    if (*signal) on_signal(**signal);
    if (next == SteadyTime::max()) continue;  // none of them runs, as nearly always
    const SteadyTime now = steady_clock::now();
    for (Timer* timer : {&end_timer_, &time_timer_, &again_timer_}) {
      if (state_ < State::collecting) timer->fire_if_due(now);
    }
  }
  return Done{};
}

Result<void> Supervisor::start(const Inherited& inherited, const Command& command) {
  const auto spawned = spawn(inherited, command, terminal_.lend());
  if (!spawned) return spawned.error();
  child_ = spawned->pid;
  outcome_.executed = !spawned->failure;
  if (spawned->failure)
    log::failure(log::Level::error, *spawned->failure, name_of_exit_status(spawned->exit_status));
  log::debug("started", {{"command", command.argv.front()}, {"pid", child_}});
  reaper_.watch(child_, [this](const loop::ChildChange& change) { on_child(change); });
  return Done{};
}

/// A batch: what is left is taken the next time.
void Supervisor::take_signals() {
  Batch batch;
  while (!batch.is_full()) {
    const auto info = waiting_->pending();
    if (!info) return;
    batch.count();
    on_signal(*info);
  }
}

void Supervisor::on_signal(const signalfd_siginfo& info) {
  const auto number = static_cast<int>(info.ssi_signo);
  if (number == SIGCHLD) return reap();
  // Our own: SIGPIPE of a log line without a reader. Not what stop_ourselves() sends.
  if (info.ssi_pid == static_cast<std::uint32_t>(::getpid()) && info.ssi_code == SI_USER) return;
  if (number == SIGCONT && child_stopped_) return on_continued();

  // `nohup`: we are to outlive the terminal, and the command decides for itself.
  const bool outlives = number == SIGHUP && is_ignored(SIGHUP);
  const bool stops = !outlives && std::find(options_.stop_signals.begin(), options_.stop_signals.end(),
                                            number) != options_.stop_signals.end();
  const bool gone = !outlives && number == SIGHUP && terminal_.hung_up();
  const auto rewrite = options_.rewrite.find(number);
  const int sent = rewrite == options_.rewrite.end() ? number : rewrite->second;
  if (sent == 0 && !gone) {
    log::debug("signal dropped", {{"signal", signal_name(number)}});
    return;
  }
  if (!stops && !gone) return forward(sent, info);

  // A HUP behind a stop signal was sent along with it (by systemd, by a shell that ends), not out of
  // impatience.
  const bool hangup = gone || (number == SIGHUP && outcome_.stop_signal != 0);
  const bool first = !stop_requested_;
  log::info(gone     ? "the terminal has gone: stopping"
            : hangup ? "stopping already"
            : first  ? "stopping"
                     : "stopping at once",
            {{"signal", signal_name(number)}, {"sender", info.ssi_pid}});
  stop_info_ = info;
  stop_info_.ssi_signo = static_cast<std::uint32_t>(sent == 0 ? number : sent);
  if (outcome_.stop_signal == 0) outcome_.stop_signal = number;
  stop_requested_ = stop_requested_ || number != SIGHUP;
  apply(hangup ? Event::hangup : first ? Event::stop : Event::stop_again);
  if (!has_command_ && first) reap();
}

void Supervisor::forward(int number, const signalfd_siginfo& info) {
  if (child_ == 0) return;
  const int failure = pass_on(options_.group ? -child_ : child_, number, info);
  if (failure != 0) {
    const bool told = std::exchange(forward_failures_[number], failure) == failure;
    if (!told) log::failure(log::Level::warn, system_error(failure, "forward SIG" + signal_name(number)));
  } else if (log::enabled(log::Level::debug)) {
    log::debug("signal forwarded", {{"signal", signal_name(number)}, {"sender", info.ssi_pid}});
  }
}

void Supervisor::reap() {
  const pid_t child_before = child_;
  const auto any_left = reaper_.reap();
  if (!any_left) return fail(any_left.error());
  if (!has_command_ && state_ == State::running) return;
  if (!*any_left) {
    apply(Event::all_ended);
  } else if (child_ != child_before || !has_command_) {
    apply(Event::child_ended);  // only with something left: looking for it means reading all of /proc
  }
}

/// We learn of no end any more, so nothing can be supervised: it is stopped, within the grace, and killed.
void Supervisor::fail(const Error& error) {
  if (failure_) return;
  failure_ = error;
  log::failure(log::Level::error, error);
  stop_info_.ssi_signo = SIGTERM;
  stop_info_.ssi_code = SI_USER;
  stop_requested_ = true;
  apply(Event::stop);
}

void Supervisor::on_child(const loop::ChildChange& change) {
  if (change.kind == loop::ChildChange::Kind::stopped) return on_child_stopped(change.number);
  child_killed_ = change.kind == loop::ChildChange::Kind::killed;
  if (child_killed_) {
    log::info("the command was ended by a signal",
              {{"signal", signal_name(change.number)}, {"core", change.core ? "yes" : "no"}});
  } else {
    log::debug("the command ended", {{"status", change.number}});
  }
  outcome_.exited = change.kind == loop::ChildChange::Kind::exited && outcome_.executed;
  outcome_.exit_status = change.shell_status();
  const auto remap = options_.remap_exit.find(outcome_.exit_status);
  if (remap != options_.remap_exit.end()) outcome_.exit_status = remap->second;
  child_ = 0;
  child_stopped_ = false;
}

// Without the terminal it was not ^Z: what stopped it on purpose will continue it.
void Supervisor::on_child_stopped(int number) {
  child_stopped_ = true;
  if (terminal_.stop_with_child()) return;  // SIGCONT is pending: on_continued()
  if (!terminal_.resume(child_)) return;
  log::warn("the command stopped itself, and there is no shell above that could continue it: continued",
            {{"signal", signal_name(number)}});
  on_continued();
}

void Supervisor::on_continued() {
  child_stopped_ = false;
  static_cast<void>(terminal_.resume(child_));
  ::kill(-child_, SIGCONT);
}

void Supervisor::apply(Event event) {
  const State before = state_;
  const Step next = step(state_, event);
  state_ = next.next;
  if (state_ != before) log::debug("supervision", {{"was", name_of(before)}, {"is", name_of(state_)}});
  if (before == State::running && state_ != before && hooks_.ending) hooks_.ending();
  if ((next.actions & kTellChild) != 0) signal_child();
  if ((next.actions & kTellHelpers) != 0) signal_helpers();
  if ((next.actions & kTellShells) != 0) signal_shells();
  if ((next.actions & kTellLeftovers) != 0) signal_leftovers();
  if ((next.actions & kStartTimeout) != 0) start_timeout();
  if ((next.actions & kStartGrace) != 0) start_grace();
  if ((next.actions & kHurry) != 0) hurry_ = true;
  if ((next.actions & kSaveNow) != 0 && hooks_.save_now) hooks_.save_now();
  if ((next.actions & kKill) != 0) kill_all();
}

void Supervisor::signal_child() {
  const auto number = static_cast<int>(stop_info_.ssi_signo);
  foreground_at_stop_ = terminal_.foreground_group();
  // The child's own group may have the foreground: then the group's signal is the child's.
  if (foreground_at_stop_ != child_) forward(number, stop_info_);
  if (foreground_at_stop_ > 0 && foreground_at_stop_ != ::getpgrp()) ::kill(-foreground_at_stop_, number);
  check_shells();
}

std::vector<pid_t> Supervisor::helpers() const {
  std::vector<pid_t> pids = reaper_.watched();
  std::erase(pids, child_);
  return pids;
}

void Supervisor::signal_helpers() {
  if (std::exchange(helpers_told_, true)) return;
  for (const pid_t pid : helpers()) ::kill(-pid, SIGTERM);
}

void Supervisor::check_shells() {
  if (!terminal_.present()) return;
  if (foreground_at_stop_ == 0) foreground_at_stop_ = terminal_.foreground_group();
  shells_wait_until_ = std::min(shells_wait_until_, steady_clock::now() + kShellPatience);
  again_timer_.set(steady_clock::now() + kShellLook, [this] {
    if (state_ >= State::killing) return;
    // A shell at its prompt has the foreground itself: then there is no job to wait for.
    const pid_t job = foreground_at_stop_;
    const bool job_runs = job > 0 && !is_interactive_shell(job) && ::kill(-job, 0) == 0;
    if (job_runs && steady_clock::now() < shells_wait_until_) return check_shells();
    apply(Event::shell_due);
  });
}

void Supervisor::signal_shells() {
  for (const Process& process : descendants()) {
    if (!is_interactive_shell(process.pid)) continue;
    log::info("hanging up an interactive shell", {{"pid", process.pid}});
    ::kill(process.pid, SIGHUP);
    ::kill(process.pid, SIGCONT);
  }
}

/// Also what is forked meanwhile, until a round finds nothing new: a process that has its TERM forks no more,
/// unless it handles it.
void Supervisor::signal_leftovers() {
  std::set<pid_t> signalled;
  for (int round = 0; round < kSignalAtMost; ++round) {
    const std::size_t before = signalled.size();
    for (const Process& process : descendants(helpers())) {
      if (!signalled.insert(process.pid).second) continue;
      ::kill(process.pid, SIGTERM);
      ::kill(process.pid, SIGCONT);
    }
    if (signalled.size() == before) break;
  }
  if (signalled.empty()) return signal_unseen();
  log::info("asking what the command left behind to end", {{"processes", signalled.size()}});
  check_shells();
}

/// Without a /proc that tells of them: whoever is in the PID namespace that is ours, and ends with us anyway.
void Supervisor::signal_unseen() {
  if (::getpid() != 1 || are_processes_visible()) return;
  log::info("asking what the command left behind to end");
  ::kill(-1, SIGTERM);
  ::kill(-1, SIGCONT);
}

/// The command may have none; what it leaves behind has one, and so has everything whose end we do not learn.
void Supervisor::start_grace() {
  constexpr Milliseconds kNone = Milliseconds::max();
  const bool waits = state_ == State::stopping && !failure_;
  Milliseconds grace = options_.grace.value_or(waits ? kNone : kGrace);
  if (stop_requested_ && options_.stop_timeout) grace = grace_within(grace, *options_.stop_timeout);
  if (grace == kNone) return;
  const SteadyTime end = steady_clock::now() + grace;
  if (end >= grace_end_) return;
  grace_end_ = end;
  end_timer_.set(end, [this] { apply(Event::grace_over); });
}

void Supervisor::start_timeout() {
  if (!options_.stop_timeout) return;
  nearly_over_ = steady_clock::now() + nearly_over(*options_.stop_timeout);
  time_timer_.set(nearly_over_, [this] { apply(Event::time_nearly_over); });
}

void Supervisor::collect() {
  if (hooks_.collect) hooks_.collect(Deadline([this] { return collecting_is_over(); }));
  apply(Event::collected);
}

bool Supervisor::collecting_is_over() {
  take_signals();
  if (!hurry_ && steady_clock::now() >= nearly_over_) apply(Event::time_nearly_over);
  return hurry_;
}

void Supervisor::kill_all() {
  log::info("killing what is left", {{"processes", descendants().size()}});
  outcome_.killed_leftovers = true;
  if (child_ != 0) outcome_.exit_status = 128 + SIGKILL;  // should it not even end now
  end_timer_.set(steady_clock::now() + kAfterKill, [this] {
    log::warn("some processes could not be killed", {{"processes", descendants().size()}});
    apply(Event::kill_over);
  });
  kill_again();
}

void Supervisor::kill_again() {
  kill_descendants();
  // /proc may be missing or hidden from us; our own child we know without it.
  if (child_ != 0) {
    ::kill(-child_, SIGKILL);
    ::kill(child_, SIGKILL);
  }
  again_timer_.set(steady_clock::now() + kKillAgain, [this] {
    if (state_ == State::killing) kill_again();
  });
}

}  // namespace

Result<Outcome> supervise(const Loop& loop, const Options& options, const Command& command,
                          const Hooks& hooks) {
  interrupt::stop_listening();
  forget_stack();
  if (auto go_on = interrupt::check(); !go_on) return go_on.error();
  auto waiting = wait_on_loop(loop.io);
  if (!waiting) {
    log::failure(
        log::Level::error,
        waiting.error_with("signals are passed on, and nothing else is done while the command runs"));
    waiting = wait_for_signals_only();
  }
  return Supervisor(loop.reaper, options, hooks, std::move(*waiting)).run(loop.inherited, command, false);
}

Result<Outcome> supervise_alone(const Inherited& inherited, const Options& options, const Command& command) {
  loop::Reaper reaper;
  return Supervisor(reaper, options, {}, wait_for_signals_only()).run(inherited, command, true);
}

}  // namespace claude_init::supervise
