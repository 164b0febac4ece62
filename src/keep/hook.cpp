#include "keep/hook.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>

#include "fs/newer_calls.h"
#include "log/log.h"
#include "supervise/spawn.h"

namespace claude_init::keep {
namespace {

constexpr std::size_t kMostWaiting = 64;
constexpr int kDropped = -1;

/// What sysexits.h has for what may be another time, and claude-init with it: from "unavailable" to "no
/// permission".
bool may_work_later(int status) {
  return status >= 69 && status <= 77;
}

/// "dev: the login is dead: …. → docker compose run --rm setup": all that a chat shows.
std::string alone(const Hook::Call& call) {
  std::string text = call.store + ": " + call.event.text;
  if (call.event.remedy.empty()) return text;
  if (text.back() != '.') text += '.';
  return text + " → " + call.event.remedy;
}

std::string as_json(const Hook::Call& call) {
  using nlohmann::ordered_json;
  ordered_json out{{"time", format_iso8601(call.event.time)},
                   {"change", name_of(call.event.change)},
                   {"store", call.store},
                   {"store_path", call.path},
                   {"state", call.state},
                   {"text", alone(call)}};
  if (!call.event.remedy.empty()) out["remedy"] = call.event.remedy;
  if (!call.published_path.empty()) out["published_path"] = call.published_path;
  if (!call.placeholder_path.empty()) out["placeholder_path"] = call.placeholder_path;
  if (call.expires_at) out["access_token_expires_at"] = format_iso8601(*call.expires_at);
  if (call.login_expires_at) out["login_expires_at"] = format_iso8601(*call.login_expires_at);
  return out.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + '\n';
}

/// A file in memory, at its beginning: the hook's standard input, however slowly it reads.
Result<UniqueFd> file_of(const std::string& text) {
  UniqueFd fd = fs::nameless_file("change");
  if (!fd.valid()) return system_error(errno, "make the hook's standard input");
  const ssize_t n = ::pwrite(fd.get(), text.data(), text.size(), 0);
  if (n != static_cast<ssize_t>(text.size())) return system_error(errno, "write the hook's standard input");
  return fd;
}

/// `name` with its "=".
void set(std::vector<std::string>& env, const std::string& name, const std::string& value) {
  std::erase_if(env, [&](const std::string& variable) { return variable.starts_with(name); });
  env.push_back(name + value);
}

}  // namespace

Hook::Hook(boost::asio::io_context& io, const supervise::Inherited& inherited, loop::Reaper& reaper,
           std::string command, std::vector<std::string> env, Times times)
    : timer_(io),
      inherited_(inherited),
      reaper_(reaper),
      command_(std::move(command)),
      env_(std::move(env)),
      times_(times) {}

void Hook::stop() {
  stopped_ = true;
  if (!running_) timer_.cancel();
}

void Hook::call(Call call) {
  if (command_.empty() || stopped_) return;
  if (waiting_.size() == kMostWaiting) {
    log::warn("the hook does not keep up: a change was not told to it", {{"store", waiting_[1].store}});
    waiting_.erase(waiting_.begin() + 1);  // the first one is being called
    counts_.failures[kDropped] += 1;
  }
  waiting_.push_back(std::move(call));
  if (!busy_) start();
}

void Hook::start() {
  busy_ = true;
  timed_out_ = false;
  const Call& call = waiting_.front();
  const auto input = file_of(as_json(call));
  if (!input) {
    log::failure(log::Level::warn, input.error());
    return ended(126);
  }
  supervise::Command command;
  command.argv = {"/bin/sh", "-c", command_};
  command.env = env_;
  for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
           {"CHANGE", std::string(name_of(call.event.change))},
           {"STORE", call.path},
           {"STORE_NAME", call.store},
           {"STATE", call.state},
           {"TEXT", alone(call)},
           {"REMEDY", call.event.remedy},
           {"PUBLISHED", call.published_path},
           {"PLACEHOLDER", call.placeholder_path}}) {
    set(command.env, std::string("CLAUDE_INIT_") + name + '=', value);
  }
  command.before_exec = [fd = input->get()] { return ::dup2(fd, STDIN_FILENO) < 0 ? errno : 0; };
  counts_.runs += 1;
  const auto spawned = supervise::spawn(inherited_, command, -1);
  if (!spawned) {
    log::failure(log::Level::warn, spawned.error());
    return ended(126);
  }
  running_ = true;
  const pid_t pid = spawned->pid;
  reaper_.watch(pid, [this](const loop::ChildChange& change) {
    if (change.kind == loop::ChildChange::Kind::stopped) return;
    ended(change.shell_status());
  });
  timer_.expires_after(times_.limit);
  timer_.async_wait([this, pid, run = counts_.runs](const boost::system::error_code& failure) {
    if (failure || !running_ || run != counts_.runs) return;
    timed_out_ = true;
    log::warn("the hook took too long and is killed", {{"limit_s", times_.limit.count() / 1000}});
    ::kill(-pid, SIGKILL);
  });
}

void Hook::ended(int status) {
  timer_.cancel();
  running_ = false;
  if (status == 0) return next();
  counts_.failures[status] += 1;
  if (stopped_) return;
  const Call& call = waiting_.front();
  const bool later = (may_work_later(status) || timed_out_) && !is_overtaken(call);
  const bool again = attempts_ < times_.pauses.size() || (later && waiting_.size() == 1);
  log::warn(again || later ? "the hook failed and is called again"
                           : "the hook failed and is given up for this change",
            {{"status", status}, {"change", name_of(call.event.change)}, {"store", call.store}});
  if (!again) {
    if (later) waiting_.push_back(call);  // when the others have had their turn
    return next();
  }
  timer_.expires_after(times_.pauses[std::min(attempts_, times_.pauses.size() - 1)]);
  attempts_ += 1;
  timer_.async_wait([this](const boost::system::error_code& failure) {
    if (!failure) start();
  });
}

bool Hook::is_overtaken(const Call& call) const {
  return std::any_of(waiting_.begin() + 1, waiting_.end(),
                     [&](const Call& one) { return one.store == call.store; });
}

void Hook::next() {
  waiting_.pop_front();
  attempts_ = 0;
  busy_ = false;
  if (!waiting_.empty() && !stopped_) start();
}

}  // namespace claude_init::keep
