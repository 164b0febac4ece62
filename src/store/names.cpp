#include "store/names.h"

#include <algorithm>
#include <array>

namespace claude_init::store {
namespace {

// One line a name: tests/e2e/test_names.py reads them, runs the CLI, and fails when it writes another one.
constexpr std::array kKnown{
    KnownName{".claude.json", Role::behaviour, "2.1.332"},
    KnownName{".config.json", Role::behaviour, "2.1.332"},
    KnownName{".credentials.json", Role::behaviour, "2.1.332"},
    KnownName{"CLAUDE.md", Role::behaviour, "2.1.332"},
    KnownName{"agent-memory", Role::behaviour, "2.1.332"},
    KnownName{"agent-memory-local", Role::behaviour, "2.1.332"},
    KnownName{"agent-memory-project", Role::behaviour, "2.1.332"},
    KnownName{"agents", Role::behaviour, "2.1.332"},
    KnownName{"antproto.json", Role::behaviour, "2.1.332"},
    KnownName{"chrome", Role::behaviour, "2.1.332"},
    KnownName{"commands", Role::behaviour, "2.1.332"},
    KnownName{"cowork_plugins", Role::behaviour, "2.1.332"},
    KnownName{"daemon.json", Role::behaviour, "2.1.332"},
    KnownName{"dev-mods", Role::behaviour, "2.1.332"},
    KnownName{"hfi-auth.json", Role::behaviour, "2.1.332"},
    KnownName{"hooks", Role::behaviour, "2.1.332"},
    KnownName{"keybindings.json", Role::behaviour, "2.1.332"},
    KnownName{"local-settings", Role::behaviour, "2.1.332"},
    KnownName{"loop.md", Role::behaviour, "2.1.332"},
    KnownName{"mcp-skill-archives", Role::behaviour, "2.1.332"},
    KnownName{"memory", Role::behaviour, "2.1.332"},
    KnownName{"output-styles", Role::behaviour, "2.1.332"},
    KnownName{"plugins", Role::behaviour, "2.1.332"},
    KnownName{"policy-limits.json", Role::behaviour, "2.1.332"},
    KnownName{"project-settings", Role::behaviour, "2.1.332"},
    KnownName{"remote-settings.json", Role::behaviour, "2.1.332"},
    KnownName{"routines", Role::behaviour, "2.1.332"},
    KnownName{"rules", Role::behaviour, "2.1.332"},
    KnownName{"scheduled_tasks.json", Role::behaviour, "2.1.332"},
    KnownName{"seed-admin", Role::behaviour, "2.1.332"},
    KnownName{"settings.json", Role::behaviour, "2.1.332"},
    KnownName{"settings.local.json", Role::behaviour, "2.1.332"},
    KnownName{"skills", Role::behaviour, "2.1.332"},
    KnownName{"state", Role::behaviour, "2.1.332"},
    KnownName{"storage-v2", Role::behaviour, "2.1.332"},
    KnownName{"themes", Role::behaviour, "2.1.332"},
    KnownName{"workflows", Role::behaviour, "2.1.332"},
    KnownName{"file-history", Role::session, "2.1.332"},
    KnownName{"image-cache", Role::session, "2.1.332"},
    KnownName{"paste-cache", Role::session, "2.1.332"},
    KnownName{"plans", Role::session, "2.1.332"},
    KnownName{"projects", Role::session, "2.1.332"},
    KnownName{"session-env", Role::session, "2.1.332"},
    KnownName{"tasks", Role::session, "2.1.332"},
    KnownName{"todos", Role::session, "1.0.128"},
    KnownName{".deep-link-register-failed", Role::history, "2.1.332"},
    KnownName{".last-cleanup", Role::history, "2.1.332"},
    KnownName{".last-update-result.json", Role::history, "2.1.332"},
    KnownName{"access-audit", Role::history, "2.1.332"},
    KnownName{"active-time.json", Role::history, "2.1.332"},
    KnownName{"api-dumps", Role::history, "2.1.332"},
    KnownName{"ccr", Role::history, "2.1.332"},
    KnownName{"daemon.log", Role::history, "2.1.332"},
    KnownName{"debug", Role::history, "2.1.332"},
    KnownName{"downloads", Role::history, "2.1.332"},
    KnownName{"dump-prompts", Role::history, "2.1.332"},
    KnownName{"feedback", Role::history, "2.1.332"},
    KnownName{"feedback-bundles", Role::history, "2.1.332"},
    KnownName{"file-transfers", Role::history, "2.1.332"},
    KnownName{"history.jsonl", Role::history, "2.1.332"},
    KnownName{"jobs", Role::history, "2.1.332"},
    KnownName{"local", Role::history, "2.1.332"},
    KnownName{"logs", Role::history, "2.1.332"},
    KnownName{"scratch", Role::history, "2.1.332"},
    KnownName{"shares", Role::history, "2.1.332"},
    KnownName{"shell-snapshots", Role::history, "2.1.332"},
    KnownName{"startup-perf", Role::history, "2.1.332"},
    KnownName{"stats-cache.json", Role::history, "2.1.332"},
    KnownName{"statsig", Role::history, "1.0.128"},
    KnownName{"systemd", Role::history, "2.1.332"},
    KnownName{"teams", Role::history, "2.1.332"},
    KnownName{"traces", Role::history, "2.1.332"},
    KnownName{"uploads", Role::history, "2.1.332"},
    KnownName{"usage-data", Role::history, "2.1.332"},
    KnownName{".cache", Role::process, "2.1.332"},
    KnownName{"backups", Role::process, "2.1.332"},
    KnownName{"bridge-spawn", Role::process, "2.1.332"},
    KnownName{"cache", Role::process, "2.1.332"},
    KnownName{"daemon", Role::process, "2.1.332"},
    KnownName{"daemon.scheduled.status.json", Role::process, "2.1.332"},
    KnownName{"daemon.status.json", Role::process, "2.1.332"},
    KnownName{"gh-pr-status-cache.json", Role::process, "2.1.332"},
    KnownName{"ide", Role::process, "2.1.332"},
    KnownName{"mcp-discovery-cache", Role::process, "2.1.332"},
    KnownName{"mcp-needs-auth-cache.json", Role::process, "2.1.332"},
    KnownName{"remote", Role::process, "2.1.332"},
    KnownName{"remote-control", Role::process, "2.1.332"},
    KnownName{"server-sessions.json", Role::process, "2.1.332"},
    KnownName{"sessions", Role::process, "2.1.332"},
    KnownName{"telemetry", Role::process, "2.1.332"},
};

}  // namespace

std::span<const KnownName> known_names() {
  return kKnown;
}

Role role_of(std::string_view name) {
  const auto known =
      std::find_if(kKnown.begin(), kKnown.end(), [&](const KnownName& each) { return each.name == name; });
  return known == kKnown.end() ? Role::behaviour : known->role;
}

}  // namespace claude_init::store
