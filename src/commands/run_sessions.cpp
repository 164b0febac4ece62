#include "commands/run_sessions.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "base/text.h"
#include "commands/store_lock.h"
#include "log/log.h"
#include "store/merge.h"

namespace claude_init::commands {
namespace {

/// Where the store itself cannot be written there is another way.
Error with_other_way(Error error, bool in_store) {
  if (in_store) {
    error.remedy += (error.remedy.empty() ? "" : "; or ") +
                    std::string("keep the sessions elsewhere: --sessions DIR (CLAUDE_INIT_SESSIONS=DIR)");
  }
  return error;
}

}  // namespace

KeptSessions::KeptSessions(store::Store place, const options::Run& options)
    : place_(std::move(place)),
      already_given_(options.sessions.empty() && options.extent == store::Extent::all) {
  what_.extent = store::Extent::sessions;
  what_.filter = options.filter;
}

Result<KeptSessions> KeptSessions::open(const options::Run& options, const std::string& store_path) {
  const bool in_store = options.sessions.empty();
  auto place = in_store ? store::Store::open(store_path, options.storing.options)
                        : store::Store::open(options.sessions);
  if (!place) return with_other_way(place.error_with("the sessions cannot be kept"), in_store);
  if (const auto prepared = place->prepare(0); !prepared) {
    return with_other_way(prepared.error_with("the sessions cannot be kept"), in_store);
  }
  return KeptSessions(std::move(*place), options);
}

std::string KeptSessions::kind() const {
  struct stat st {};
  static_cast<void>(::fstat(place_.fd(), &st));  // open, so it has a number
  return fmt::format("{}-{:x}-{:x}", workcopy::WorkingCopy::kRun, st.st_dev, st.st_ino);
}

void KeptSessions::save_leftovers(const workcopy::Account& account, const workcopy::Places& places) const {
  for (workcopy::WorkingCopy& dead : workcopy::take_dead_copies(account, places, kind())) {
    const auto saved = merge(dead, account, store::Given::parse(dead.read_note()), {});
    if (!saved) {
      log::failure(log::Level::warn,
                   saved.error_with("the sessions of a run that died stay in " + dead.root()));
      continue;
    }
    log::info("saved the sessions of a run that died", {{"path", dead.root()}});
    if (const auto wiped = dead.wipe(); !wiped) log::failure(log::Level::warn, wiped.error());
  }
}

Result<store::Size> KeptSessions::measure() const {
  if (already_given_) return store::Size{};
  const auto measured = store::measure(place_, what_);
  if (!measured) return measured.error();
  return measured->size;
}

Result<void> KeptSessions::give(const workcopy::WorkingCopy& copy, const workcopy::Account& account) {
  if (!already_given_) {
    const auto restored = store::restore(place_, copy.state(), account.identity(), what_);
    if (!restored) return restored.error();
    for (const auto& skipped : restored->skipped) {
      log::info("not in the working copy", {{"path", skipped.path}, {"reason", skipped.reason}});
    }
  }
  const auto config = copy.open_config_dir();
  if (!config) return config.error();
  auto given = store::Given::look({config->get(), copy.state().config_dir, account.identity()}, what_.limits);
  if (!given) return given.error();
  given_ = std::move(*given);
  return copy.write_note(given_.text());
}

Result<void> KeptSessions::save(const workcopy::WorkingCopy& copy, const workcopy::Account& account,
                                const Deadline& deadline) const {
  return merge(copy, account, given_, deadline);
}

Result<void> KeptSessions::merge(const workcopy::WorkingCopy& copy, const workcopy::Account& account,
                                 const store::Given& given, const Deadline& deadline) const {
  const SteadyTime start = std::chrono::steady_clock::now();
  const auto config = copy.open_config_dir();
  if (!config && config.error().number == ENOENT)
    return Done{};  // the run has removed it, or died before it was made
  if (!config) return config.error();
  const auto lock = lock_store(place_, "sessions", kCaptureWait, deadline);
  if (!lock) return lock.error();
  store::MergeOptions options;
  options.filter = what_.filter;
  options.deadline = deadline;
  const store::Tree tree{config->get(), copy.state().config_dir, account.identity()};
  const auto report = store::merge_sessions(tree, given, place_, *lock, options);
  if (!report) return report.error();
  for (const auto& skipped : report->skipped) {
    log::warn("not saved", {{"path", skipped.path}, {"reason", skipped.reason}});
  }
  if (report->kept_both > 0) {
    log::warn("files that another run had changed too: both versions are kept",
              {{"count", report->kept_both}});
  }
  log::info("sessions saved", {{"path", place_.path()},
                               {"added", report->added},
                               {"changed", report->changed},
                               {"bytes", report->bytes},
                               {"took", took_since(start)}});
  if (const store::Skipped* failed = store::first_failed(report->skipped))
    return system_error(failed->error,
                        "not all of the sessions' files are saved, " + printable(failed->path));
  if (report->left_out.empty()) return Done{};
  return make_error(
      ErrorKind::limit,
      fmt::format("{} of the sessions' files could not be saved in time, {} first", report->left_out.size(),
                  printable(report->left_out.front())),
      "give it longer: --stop-timeout 30s, and as much to the engine (docker run --stop-timeout 32)");
}

}  // namespace claude_init::commands
