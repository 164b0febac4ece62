#include "sync/session_baseline.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <cerrno>
#include <charconv>

#include "base/unique_fd.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "store/layout.h"

namespace claude_init::sync {
namespace {

/// The number at the beginning of `record` and the blank behind it, taken off; false if there is none.
bool take_number(std::string_view& record, std::int64_t& number) {
  const auto [end, ec] = std::from_chars(record.data(), record.data() + record.size(), number);
  const auto length = static_cast<std::size_t>(end - record.data());
  if (ec != std::errc{} || length == record.size() || *end != ' ') return false;
  record.remove_prefix(length + 1);
  return true;
}

}  // namespace

Result<SessionBaseline> SessionBaseline::record(const store::Tree& tree, const Limits& limits) {
  const fs::ActAs as(tree.who);
  SessionBaseline given;
  if (auto done = given.record_directory(tree.root, "", limits, 0); !done) return done.error();
  return given;
}

Result<void> SessionBaseline::record_directory(int directory, const std::string& path, const Limits& limits,
                                               unsigned depth) {
  if (depth > limits.max_depth) return make_error(ErrorKind::limit, "the sessions are nested too deeply");
  const auto entries = fs::list_directory(directory, limits.max_files - files_.size());
  if (!entries) return entries.error();
  for (const fs::Entry& entry : *entries) {
    if (path.empty() && !store::is_sessions_directory(entry.name)) continue;
    const std::string full = fs::join(path, entry.name);
    if (entry.error != 0) return system_error(entry.error, "look at " + full);
    if (S_ISREG(entry.st.st_mode)) files_.emplace(full, stamp_of(entry.st));
    if (!S_ISDIR(entry.st.st_mode)) continue;
    const UniqueFd below(::openat(directory, entry.name.c_str(), fs::kDirectory));
    if (!below.valid()) return system_error(errno, "open " + full);
    if (auto done = record_directory(below.get(), full, limits, depth + 1); !done) return done;
  }
  return Done{};
}

SessionBaseline::Stamp SessionBaseline::stamp_of(const struct stat& st) {
  return {st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec};
}

bool SessionBaseline::has(const std::string& path, const struct stat& st) const {
  const auto found = files_.find(path);
  return found != files_.end() && found->second == stamp_of(st);
}

std::string SessionBaseline::text() const {
  std::string text;
  for (const auto& [path, stamp] : files_) {
    text += fmt::format("{} {} {} {}", stamp.size, stamp.seconds, stamp.nanoseconds, path);
    text.push_back('\0');
  }
  return text;
}

SessionBaseline SessionBaseline::parse(std::string_view text) {
  SessionBaseline given;
  for (std::size_t end = text.find('\0'); end != std::string_view::npos; end = text.find('\0')) {
    std::string_view record = text.substr(0, end);
    text.remove_prefix(end + 1);
    Stamp stamp;
    if (take_number(record, stamp.size) && take_number(record, stamp.seconds) &&
        take_number(record, stamp.nanoseconds)) {
      given.files_.emplace(record, stamp);
    }
  }
  return given;
}

}  // namespace claude_init::sync
