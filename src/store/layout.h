#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

/// What the CLI's state consists of, what of it is captured, and where it lies: the one table of it.
namespace claude_init::store {

inline constexpr std::string_view kCredentials = ".credentials.json";
inline constexpr std::string_view kClaudeJson = ".claude.json";
inline constexpr std::string_view kPrivateDir = ".claude-init";  // ours, in the store's root; never captured

inline constexpr const char* kAtomicWriterData = "..data";  // the link in a Kubernetes volume that is swapped

/// What a generation keeps.
inline constexpr std::array<std::string_view, 4> kLoginFiles{kCredentials, kClaudeJson, "settings.json",
                                                             "settings.local.json"};

inline constexpr std::string_view kSealedLogin = ".claude-init/sealed-login";  // store/sealed.h

// In our directory, of a transaction (sync/transaction.h):
inline constexpr const char* kStage = "stage";
inline constexpr const char* kJournal = "journal";
inline constexpr const char* kCommitted = "committed";  // the journal, after everything in it is done
inline constexpr std::size_t kMaxJournalBytes = std::size_t{64} << 20;

/// Where a CLI keeps its state: the configuration directory, and `.claude.json`, which lies beside it in the
/// home directory unless CLAUDE_CONFIG_DIR is set (then inside).
struct StatePaths {
  std::string config_dir;   // absolute
  std::string claude_json;  // absolute
};
[[nodiscard]] StatePaths state_in_home(std::string_view home);
[[nodiscard]] StatePaths state_in_config_dir(std::string_view config_dir);

/// Chooses by path relative to the configuration directory ("projects/x/y.jsonl"). Built-in exclusions: our
/// directory, locks, `*.tmp.*`, and names of the role `process` (names.h; facts about the CLI: locks that are
/// copied block it for up to 60 s). `include` wins over built-in exclusions and `only`, `exclude` over
/// everything, and nothing over the exclusion of our directory. Patterns are fnmatch(3) with FNM_PATHNAME,
/// matched against the whole path and against each parent.
struct Filter {
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  bool history = true;              // false: names of the roles `session` and `history` are excluded as well
  std::vector<std::string> only{};  // not empty: nothing but what one of these matches
  [[nodiscard]] bool captures(std::string_view relative_path) const;
  /// Whether something beneath this directory may be captured: it is itself, or an `include` leads into it.
  [[nodiscard]] bool enters(std::string_view relative_directory) const;
};

/// A filter for the entries of one directory, which it enters: what the directory's own path decides is
/// decided once. `filter` has to outlive it.
class DirectoryFilter {
 public:
  DirectoryFilter(const Filter& filter, std::string_view directory);
  /// What filter.captures() says of `directory`/`name`.
  [[nodiscard]] bool captures(std::string_view name) const;

 private:
  const Filter& filter_;
  std::string_view directory_;
  bool excluded_;  // by the table, all of it
};

/// Whether a copy of a login gets the refresh token too, and with it the means to renew.
enum class RefreshToken { withhold, copy };

/// How much of the state is wanted.
enum class Extent {
  all,
  login,     // .credentials.json, .claude.json and the settings files only
  sessions,  // names of the role `session` only: what `claude --continue` and `--resume` look for
};

/// Of the configuration directory's own files those that a login needs to be usable without the rest: the
/// settings. (`.credentials.json` and `.claude.json` are dealt with one by one.)
[[nodiscard]] bool is_settings_file(std::string_view relative_path);

/// Of the configuration directory's own files those that bind the CLI, or tell it what to do: to go without
/// one of them is to go without a rule.
[[nodiscard]] bool is_binding_file(std::string_view relative_path);

/// Of the configuration directory's own entries those that hold sessions.
[[nodiscard]] bool is_sessions_directory(std::string_view relative_path);

}  // namespace claude_init::store
