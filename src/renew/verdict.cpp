#include "renew/verdict.h"

#include <fmt/format.h>
#include <signal.h>

#include "login/login.h"
#include "supervise/signals.h"

namespace claude_init::renew {
namespace {

using Kind = Outcome::Kind;

/// A command that ended by itself and has changed nothing: did it ask?
Outcome why_nothing_by_itself(const Tool& tool, int status, bool asked) {
  if (!asked) {
    return {Kind::failed,
            fmt::format("the renewing command, '{}', ended with status {} and did not ask the server",
                        tool.shown(), status),
            tool.is_default() ? "look at what it says; another version of Claude Code may do"
                              : "leave --renew-command out: the default command asks with every version",
            kNotAsked};
  }
  if (tool.version && !cli::tells_rejection(*tool.version)) {
    return {
        Kind::failed,
        fmt::format("the server gave no new token; whether it was away or rejected the login Claude Code {} "
                    "does not tell",
                    cli::text_of(*tool.version)),
        "look at the network and the proxy (HTTPS_PROXY, NODE_EXTRA_CA_CERTS); if they work, log in again; "
        "and update Claude Code",
        kNoAnswer};
  }
  return {Kind::failed, "the renewing command asked the server and got no usable answer",
          "look at the network and the proxy (HTTPS_PROXY, NODE_EXTRA_CA_CERTS)", kNoAnswer};
}

}  // namespace

/// What a server does to a login that has expired is no fault.
Outcome rejected_by_server(const Secret& given) {
  const auto login = login::parse(given.reveal());
  if (login && login::has_ended(*login, unix_now())) {
    return {Kind::rejected,
            "it has expired, as each does after about four weeks: nothing is broken",
            {},
            "rejected"};
  }
  return {Kind::rejected,
          "the server rejected it: it was ended elsewhere, a copy of it was renewed, or an answer was lost",
          {},
          "rejected"};
}

/// Why the command has changed nothing, as far as its end tells.
Outcome why_nothing(const Tool& tool, const Ended& ended, bool asked) {
  using Change = loop::ChildChange::Kind;
  const int number = ended.change.number;
  if (ended.timed_out) return {Kind::failed, "the renewing command did not end in time", {}, "timeout"};
  if (ended.change.kind == Change::killed) {
    const bool memory = number == SIGKILL;
    return {Kind::failed,
            fmt::format("the renewing command was ended by SIG{}{}", supervise::signal_name(number),
                        memory ? " (out of memory?)" : ""),
            memory ? fmt::format("the CLI needs {} MB for it: give the container more", kCliMegabytes) : "",
            "killed"};
  }
  if (number == 127) {
    return {Kind::failed, "the renewing command was not found",
            "install the Claude CLI in this image, or say how to call it: --renew-command", "not-found"};
  }
  if (number == 126) {
    return {Kind::failed, "the renewing command cannot be executed by the store's owner",
            "look at its modes, or say how to call another one: --renew-command", "not-executable"};
  }
  return why_nothing_by_itself(tool, number, asked);
}

/// Of a login that a renewal has spent before: that one saved nothing.
Outcome burnt(const store::RenewerNote::Unanswered& by) {
  const std::string who = by.shown.empty() ? "a renewal that was cut short" : '\'' + by.shown + '\'';
  return {Kind::rejected, who + " spent its refresh token and did not save the new one",
          by.tool.empty() ? "" : "leave --renew-command out: the default command saves it with every version",
          kBurnt};
}

}  // namespace claude_init::renew
