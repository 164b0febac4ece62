#pragma once

#include <string>
#include <string_view>
#include <vector>

/// What the CLI's settings name: hooks, a status line, helpers. A hook that is not found stops nothing, and
/// the CLI does not say so.
namespace claude_init::store {

struct NamedPath {
  enum class From {
    home,        // ~/, $HOME/, ${HOME}/
    config_dir,  // $CLAUDE_CONFIG_DIR/, ${CLAUDE_CONFIG_DIR}/
    root,        // /home/somebody/.claude/…
  };
  std::string written;  // "~/.claude/hooks/guard.sh"
  From from = From::root;
  std::string rest;  // behind that: ".claude/hooks/guard.sh"; a pattern only as far as it is none
};

struct Named {
  std::vector<NamedPath> paths;  // each once
  bool plugins = false;          // at least one is enabled
};

/// Looks at the text only, not at its structure: what is between blanks, quotes and the shell's signs is a
/// path. Only paths into a state (`.claude/`, $CLAUDE_CONFIG_DIR) count, and not those in permission rules,
/// Read(~/.claude/…). Pure; linear.
[[nodiscard]] Named named_by(std::string_view settings);

}  // namespace claude_init::store
