#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/tree.h"
#include "sync/plan.h"

namespace claude_init::sync {

/// What a working copy was given of the sessions: size and mtime of each file. One that still looks so is not
/// the work of the run, and a store's file that still looks so has not changed since.
class SessionBaseline {
 public:
  /// The sessions of `tree` as they are now. Error limit: more or deeper than allowed.
  [[nodiscard]] static Result<SessionBaseline> record(const store::Tree& tree, const Limits& limits);

  [[nodiscard]] bool has(const std::string& path, const struct stat& st) const;

  /// For whoever finds the copy when its run has died. Parsing passes over what it does not understand: then
  /// less is known, and what is not known counts as the run's work.
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static SessionBaseline parse(std::string_view text);

 private:
  struct Stamp {
    std::int64_t size = 0;
    std::int64_t seconds = 0;
    std::int64_t nanoseconds = 0;
    bool operator==(const Stamp&) const = default;
  };
  [[nodiscard]] static Stamp stamp_of(const struct stat& st);
  [[nodiscard]] Result<void> record_directory(int directory, const std::string& path, const Limits& limits,
                                              unsigned depth);

  std::map<std::string, Stamp, std::less<>>
      files_;  // ordered: who writes a note could choose what collides
};

}  // namespace claude_init::sync
