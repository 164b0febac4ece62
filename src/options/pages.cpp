#include <algorithm>

#include "options/option.h"

namespace claude_init::options {

const std::vector<Page>& pages() {
  static const std::vector<Page> kPages{
      {.name = "setup",
       .summary = "log in once, on a terminal, and save the login in the store",
       .description = "Checks the store, restores its state, runs COMMAND (default: an interactive shell) on "
                      "the terminal, and "
                      "captures the login and everything else at the end.\n\n"
                      "A login is saved within a second, whatever happens to the "
                      "session after that.",
       .command = "[COMMAND...]",
       .examples = {{"claude-init setup", "opens a shell; type claude, /login, /exit, then exit"},
                    {"claude-init setup --store /srv/claude -- claude", "runs the CLI instead of a shell"},
                    {"claude-init setup --until-login 10m",
                     "for scripts: exits with a login, or after ten minutes"}},
       .see_also = {"tutorial.md", "how-to/headless-login.md", "durability.md"}},
      {.name = "run",
       .summary = "run a command on a private copy of the store's state",
       .description = "Makes a private working copy of the store's state, without the refresh token, drops "
                      "privileges, runs "
                      "COMMAND (default: claude) on it, and wipes the copy at the end.\n\n"
                      "The copy follows the store: a login that is renewed there is in it within a second. "
                      "The exit status is "
                      "the command's.",
       .command = "[COMMAND...]",
       .examples = {{"claude-init run -- claude --print hello", "asks one question"},
                    {"claude-init run --wait-login 10m -- ./job", "waits for a login, then starts"},
                    {"claude-init run --persist sessions -- claude --continue",
                     "continues the last conversation"}},
       .see_also = {"working-copies.md", "how-to/sessions.md", "how-to/ci-and-cron.md"}},
      {.name = "keep",
       .summary = "keep the logins of stores alive, and publish them",
       .description =
           "Renews the login of each store before its access token expires, publishes it for production, "
           "and reports each change, for as long as it runs.",
       .command = "",
       .examples = {{"claude-init keep --store ~/.claude-hub", "renews one login"},
                    {"claude-init keep --store work=/srv/work --publish work=/srv/published --listen :8080",
                     "publishes it, and answers probes and Prometheus"}},
       .see_also = {"keeper.md", "how-to/compose.md", "kubernetes.md"}},
      {.name = "health",
       .summary = "report whether the login can be used, until when, and what to do if not",
       .description =
           "Reports the state of the login, its deadlines, and what to type if it cannot be used. The exit "
           "status is 0 if a container that starts now can use it, else 1.",
       .command = "",
       .examples = {{"claude-init health", "for you"},
                    {"claude-init health --live", "also asks the server"},
                    {"claude-init health --format prometheus", "for the textfile collector"}},
       .see_also = {"reference/health.md", "runbook.md", "reference/exit-statuses.md"}},
      {.name = "renew",
       .summary = "renew the login once, now",
       .description = "Renews a store's login, if it is due or with --force. The exit status is 0 if it was "
                      "renewed or is not "
                      "due, 20 if the server was not asked, 21 without a usable answer, 22 if the server "
                      "rejected the login, 23 "
                      "if a renewal spent it and saved nothing, 24 if this store's login is not to be "
                      "renewed from here.",
       .command = "",
       .examples = {{"claude-init renew", "renews if the access token expires soon"},
                    {"claude-init renew --force --json",
                     "renews in any case, and prints the outcome for a program"}},
       .see_also = {"coherence.md", "reference/exit-statuses.md"}},
      {.name = "capture",
       .summary = "save a configuration directory in a store",
       .description =
           "Saves the state in a configuration directory in a store, as one transaction. A login in the "
           "store that is better stays.",
       .command = "",
       .examples = {{"claude-init capture --from ~/.claude", "saves the CLI's own directory in the store"},
                    {"claude-init capture --from ~/.claude --store /srv/claude --delete",
                     "also deletes what is not there any more"}},
       .see_also = {"how-to/store-by-hand.md", "durability.md"}},
      {.name = "restore",
       .summary = "put a store's state, or an earlier login, into a directory",
       .description = "Puts the state of a store, or an earlier login and its settings, into a configuration "
                      "directory.",
       .command = "",
       .examples = {{"claude-init restore --to ~/.claude", "without the refresh token"},
                    {"claude-init restore --to ~/.claude --generation 12 --refresh-token copy",
                     "an earlier login, with it"}},
       .see_also = {"how-to/store-by-hand.md"}},
      {.name = "history",
       .summary = "list the logins that a store has had",
       .description =
           "Lists the logins that the store keeps, with their deadlines, oldest first. Shows no secret.",
       .command = "",
       .examples = {{"claude-init history", "for you"}, {"claude-init history --json", "for a program"}},
       .see_also = {"how-to/store-by-hand.md", "reference/store.md"}},
      {.name = "init",
       .summary = "supervise a command as PID 1, and nothing else",
       .description = "Supervises COMMAND as PID 1, or as a subreaper: reaps, forwards signals, hands the "
                      "terminal over, and "
                      "returns the command's exit status. It takes the place of tini: a command that needs "
                      "longer after TERM is "
                      "left to the engine's KILL, unless --grace says otherwise.",
       .command = "COMMAND...",
       .examples = {{"claude-init init -- ./server", "as the entrypoint of an image"},
                    {"claude-init init --grace 8s --remap-exit 143:0 -- ./server",
                     "kills it 8 s after TERM, and takes TERM for success"}},
       .see_also = {"supervision.md"}},
  };
  return kPages;
}

const Page* page_of(std::string_view subcommand) {
  const auto found =
      std::find_if(pages().begin(), pages().end(), [&](const Page& page) { return page.name == subcommand; });
  return found == pages().end() ? nullptr : &*found;
}

}  // namespace claude_init::options
