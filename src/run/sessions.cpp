#include "run/sessions.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <optional>
#include <utility>

#include "access/store_lock.h"
#include "base/text.h"
#include "log/log.h"
#include "store/copies.h"
#include "store/names.h"
#include "store/project.h"
#include "store/published.h"
#include "sync/merge.h"
#include "sync/prepare.h"
#include "ui/remedies.h"

namespace claude_init::run {
namespace {

/// Where the store itself cannot be written there is another way.
Error with_other_way(Error error, bool in_store) {
  if (in_store) {
    error.remedy += (error.remedy.empty() ? "" : "; or ") +
                    std::string("keep the sessions elsewhere: --sessions DIR (CLAUDE_INIT_SESSIONS=DIR)");
  }
  return error;
}

/// What the CLI writes beside its transcripts is no news; sessions of other directories are.
void log_unwanted(const std::vector<std::string>& unwanted) {
  const auto is_transcript = [](const std::string& path) { return path.ends_with(".jsonl"); };
  const auto first = std::find_if(unwanted.begin(), unwanted.end(), is_transcript);
  if (first != unwanted.end()) {
    log::warn("sessions of other directories than the one the command was started in are not saved",
              {{"count", std::count_if(unwanted.begin(), unwanted.end(), is_transcript)}, {"first", *first}});
  }
  for (const std::string& path : unwanted)
    log::debug("not saved: it is no transcript of this directory", {{"path", path}});
}

}  // namespace

std::string working_directory() {
  std::array<char, PATH_MAX> path{};
  return ::getcwd(path.data(), path.size()) != nullptr ? std::string(path.data()) : std::string("/");
}

KeptSessions::KeptSessions(store::Store place, const options::Run& options)
    : place_(std::move(place)),
      max_bytes_(options.max_sessions),
      already_given_(options.sessions.empty() && options.copy == options::Copy::all) {
  const std::string directory = working_directory();
  what_.extent = store::Extent::sessions;
  what_.filter = options.filter;
  what_.filter.only = store::sessions_of(directory);
  saved_ = store::transcripts_of(directory);
  if (options.persist != options::Persist::all) return;
  for (const store::KnownName& known : store::known_names()) {
    if (known.role == store::Role::session && known.name != "projects")
      what_.filter.only.emplace_back(known.name);
  }
  saved_ = what_.filter.only;
}

Result<KeptSessions> KeptSessions::open(const options::Run& options, const std::string& store_path) {
  const bool in_store = options.sessions.empty();
  auto place = in_store ? store::Store::open(store_path, options.storing.options)
                        : store::Store::open(options.sessions);
  if (!place) return with_other_way(place.error_with("the sessions cannot be kept"), in_store);
  // Who publishes into it takes no lock there (store/published.h).
  if (store::is_published(*place)) {
    return with_other_way(
        make_error(ErrorKind::invalid,
                   "the sessions cannot be kept: " + printable(place->path()) + " is a published store"),
        in_store);
  }
  if (const auto prepared = sync::prepare(*place, 0); !prepared) {
    return with_other_way(prepared.error_with("the sessions cannot be kept"), in_store);
  }
  return KeptSessions(std::move(*place), options);
}

std::string KeptSessions::kind() const {
  struct stat st {};
  static_cast<void>(::fstat(place_.fd(), &st));  // open, so it has a number
  return fmt::format("{}-{:x}-{:x}", workcopy::WorkingCopy::kRun, st.st_dev, st.st_ino);
}

void KeptSessions::save_leftovers(const user::Account& account, const workcopy::Places& places) const {
  for (workcopy::WorkingCopy& dead : workcopy::take_dead_copies(account, places, kind())) {
    const auto note = store::noted_copy(place_, dead.name(), dead.directory());
    if (!note) {
      log::failure(log::Level::warn,
                   note.error_with("what may be the copy of a run that died stays: " + dead.root()));
      continue;
    }
    if (!*note) {
      log::warn("left alone: it looks like the copy of a run that died, and no run has noted it",
                {{"path", dead.root()}, {"remedy", "remove it"}});
      continue;
    }
    dead.wipe_login();  // what follows may take long
    const auto saved = merge(dead, account, sync::SessionBaseline::parse(**note), {});
    if (!saved) {
      log::failure(log::Level::warn,
                   saved.error_with("the sessions of a run that died stay in " + dead.root()));
      continue;
    }
    log::info("saved the sessions of a run that died", {{"path", dead.root()}});
    if (const auto wiped = dead.wipe(); !wiped) log::failure(log::Level::warn, wiped.error());
    store::forget_copy(place_, dead.name());
  }
}

Result<sync::Size> KeptSessions::measure() const {
  if (already_given_) return sync::Size{};
  const auto measured = sync::measure(place_, what_);
  if (!measured) return measured.error();
  return measured->size;
}

Result<void> KeptSessions::give(const workcopy::WorkingCopy& copy, const user::Account& account) {
  if (!already_given_) {
    const auto restored = sync::restore(place_, copy.state(), account.identity(), what_);
    if (!restored) return restored.error();
    for (const auto& skipped : restored->skipped) {
      log::warn("not in the working copy", {{"path", skipped.path}, {"reason", skipped.reason}});
    }
  }
  const auto config = copy.open_config_dir();
  if (!config) return config.error();
  auto given = sync::SessionBaseline::record({config->get(), copy.state().config_dir, account.identity()},
                                             what_.limits);
  if (!given) return given.error();
  given_ = std::move(*given);
  return store::note_copy(place_, copy.name(), copy.directory(), given_.text());
}

Result<void> KeptSessions::save(const workcopy::WorkingCopy& copy, const user::Account& account,
                                const Deadline& deadline) const {
  auto merged = merge(copy, account, given_, deadline);
  if (merged) store::forget_copy(place_, copy.name());
  return merged;
}

Result<void> KeptSessions::merge(const workcopy::WorkingCopy& copy, const user::Account& account,
                                 const sync::SessionBaseline& given, const Deadline& deadline) const {
  const SteadyTime start = std::chrono::steady_clock::now();
  const auto config = copy.open_config_dir();
  if (!config && config.error().number == ENOENT)
    return Done{};  // the run has removed it, or died before it was made
  if (!config) return config.error();
  const auto lock = access::lock_store(place_, "sessions", access::kCaptureWait, deadline);
  if (!lock) return lock.error();
  sync::MergeOptions options;
  options.filter = what_.filter;
  options.filter.only.clear();
  options.only = saved_;
  options.max_bytes = max_bytes_;
  options.deadline = deadline;
  const store::Tree tree{config->get(), copy.state().config_dir, account.identity()};
  const auto report = sync::merge_sessions(tree, given, place_, *lock, options);
  if (!report) return report.error();
  constexpr std::size_t kNamed = 50;  // a run may have made any number of them
  for (std::size_t i = 0; i < std::min(kNamed, report->skipped.size()); ++i) {
    log::warn("not saved", {{"path", report->skipped[i].path}, {"reason", report->skipped[i].reason}});
  }
  if (report->skipped.size() > kNamed)
    log::warn("more was not saved", {{"files", report->skipped.size() - kNamed}});
  log_unwanted(report->unwanted);
  if (report->kept_both > 0) {
    log::warn("files that another run had changed too: both versions are kept",
              {{"count", report->kept_both}});
  }
  log::info("sessions saved", {{"path", place_.path()},
                               {"added", report->added},
                               {"changed", report->changed},
                               {"bytes", report->bytes},
                               {"took", took_since(start)}});
  if (const sync::Skipped* failed = sync::first_failed(report->skipped))
    return system_error(failed->error,
                        "not all of the sessions' files are saved, " + printable(failed->path));
  if (report->left_out.empty()) return Done{};
  return make_error(
      ErrorKind::limit,
      fmt::format("{} of the sessions' files could not be saved in time, {} first", report->left_out.size(),
                  printable(report->left_out.front())),
      fmt::format("give it longer: --stop-timeout 30s, and as much to the engine ({} run --stop-timeout 32)",
                  ui::engine_command()));
}

}  // namespace claude_init::run
