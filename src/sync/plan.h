#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "store/journal.h"
#include "store/layout.h"
#include "store/tree.h"
#include "sync/baseline.h"

/// Comparing two trees: what has to be copied so that the one has what the other has. The same for a capture
/// (state → store) and a restore (store → working copy). Reads only.
namespace claude_init::sync {

/// What was not copied, and why.
struct Skipped {
  std::string path;    // relative, raw bytes: show it through printable()
  std::string reason;  // "points outside", "is a FIFO", "cannot be read: Permission denied"
  // errno, where it is to be copied and an error has prevented that; 0: what it is, is not copied at all.
  int error = 0;
  bool withheld = false;  // since it may hold a login: a person may not expect that
};

/// The first that an error has prevented; null if there is none.
[[nodiscard]] const Skipped* first_failed(const std::vector<Skipped>& skipped);

/// What may be copied at the next try, as an error: "PATH: why". Nothing where there is no such.
[[nodiscard]] std::optional<Error> failed_for_now(const std::vector<Skipped>& skipped);

struct Limits {
  std::uint64_t max_bytes = std::uint64_t{16} << 30;
  std::uint64_t max_files = 2'000'000;  // of any kind, directories too
  unsigned max_depth = 128;
};

/// What becomes of a file that the other side has and the source has not. The login files are never deleted,
/// nor is what the filter leaves out, nor anything where nothing of the source is captured.
enum class Deletions {
  none,
  proven,  // deleted if the session had it (the baseline) and the other side's copy has not changed since
  all,     // deleted: on request (`capture --delete`)
};

struct ScanOptions {
  store::Filter filter{};
  store::Extent extent = store::Extent::all;
  Limits limits{};
  bool keep_newer = false;  // what the other side has changed since is not planned
  // Files of the same size and mtime are planned too: two runs may have written them in one tick of the
  // clock.
  bool distrust_times = false;
  Deletions deletions = Deletions::none;
  bool follow_links_out = false;  // see make_plan()
  // Of the session whose state the source is: what it has not changed itself is not planned. May be null.
  const Baseline* baseline = nullptr;
  // Notes the copies of the store's that are the same on both sides. May be null.
  Baseline* noted = nullptr;
  bool source_is_store = false;  // a restore; else a capture
  // Error limit where it has come. Asked for each directory, once there are so many files that looking
  // through them takes its time: of fewer, what there is no time for is left out by name.
  Deadline deadline{};
  // Files whose names are those of copies of a login are skipped, wherever they lie.
  bool withhold_secrets = false;
};

/// A file to be copied, or a link to be made.
struct PlannedEntry {
  std::string name;
  std::string staged;         // its name in the source's stage, where a journal has not been applied yet
  std::string link_target;    // of a link that is kept as one; "" for a file
  bool through_link = false;  // the entry is a link into a Secret's `..data`: its content is copied
  bool outside = false;       // the entry is a link that leads outside: its content is copied
  bool replaces = false;      // there is one already
  std::uint64_t bytes = 0;    // of data; holes do not count
};

struct PlannedDirectory {
  std::string path;     // relative, "" for the root
  std::string staged;   // where it is read from as long as a journal has not been applied; "" = `path`
  std::string outside;  // it lies behind this link, which leads outside; "" = it does not
  bool is_new = false;  // it has to be made
  std::vector<PlannedEntry> entries;
};

struct Plan {
  std::vector<PlannedDirectory> directories;  // a parent before its children, a subtree without gaps
  std::vector<store::Journal::Deletion> deletions;
  std::vector<std::string> empty_directories;  // what is in them is deleted too; a child before its parent
  std::vector<Skipped> skipped;
  std::uint64_t files = 0;      // planned, links included
  std::uint64_t bytes = 0;      // planned
  std::uint64_t unchanged = 0;  // files that are the same on both sides
  bool has_executables = false;
};

/// Files are the same when size and mtime are: then nothing is read. Mode and owner do not count. `to` may be
/// null: everything is new then. One stat for each file on each side. The two login files of the root are
/// left to their own transactions. Links that point inside are kept as links, those through an entry whose
/// name begins with ".." (a Kubernetes volume's
/// `..data`) are followed, all others are skipped and named, like everything else that is neither file nor
/// directory, is a hard link to another user's file, or cannot be read. A link that leads outside is followed
/// where `include` names it, or with `follow_links_out`: to a file or a directory of the tree's owner that
/// the tree does not lie in. That reads what a process in the place of the tree's owner could read, so it is
/// for trees that were written in this mount namespace, or where a person asks. Behind such a link no other
/// one is followed. Error limit: more, larger or deeper than allowed; interrupted.
[[nodiscard]] Result<Plan> make_plan(const store::Tree& from, const store::Tree* to,
                                     const ScanOptions& options);

}  // namespace claude_init::sync
