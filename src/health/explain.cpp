#include <fmt/format.h>

#include "base/text.h"
#include "health/health.h"
#include "health/notes.h"
#include "store/inspect.h"
#include "ui/remedies.h"

namespace claude_init::health {
namespace {

using login::State;

constexpr std::string_view kNormalEnd = "Each login expires after about four weeks: nothing is broken.";

/// "2026-11-24 05:12 UTC (in 7 h 59 min)", "2026-11-23 20:00 UTC (1 h 12 min ago)".
std::string when(UnixMs time, UnixMs now) {
  return time > now ? fmt::format("{} (in {})", format_utc(time), format_duration(time - now))
                    : fmt::format("{} ({} ago)", format_utc(time), format_duration(now - time));
}

/// "just now", "3 min ago".
std::string ago(UnixMs time, UnixMs now) {
  return now - time < 5000 ? "just now" : format_duration(now - time) + " ago";
}

std::string credentials_of(const store::Inspection& inspection) {
  return printable(inspection.path) + "/.credentials.json";
}

/// "a@example.org (max)", as far as it is known.
std::string who(const store::Inspection& inspection) {
  const std::string& subscription = inspection.login ? inspection.login->subscription : std::string();
  if (inspection.email.empty()) return subscription.empty() ? "" : printable(subscription) + " subscription";
  return printable(inspection.email) + (subscription.empty() ? "" : " (" + printable(subscription) + ")");
}

std::string logged_in(const store::Inspection& inspection) {
  const std::string name = who(inspection);
  return name.empty() ? "logged in" : "logged in, " + name;
}

std::string login_deadline(const login::Login& login, UnixMs now) {
  if (!login.refresh_expires_at)
    return "Claude Code has not recorded when the login itself expires: about four weeks after /login.";
  return fmt::format("The login itself expires {}.", when(*login.refresh_expires_at, now));
}

/// With a key that does not open it, or where there is nothing to be opened any more.
bool cannot_be_opened(const store::Inspection& inspection) {
  return inspection.is_shut() && !inspection.problem.empty() && !inspection.is_for_now;
}

Explanation sealed_shut(std::string_view state, const store::Inspection& inspection) {
  Explanation out;
  out.headline = fmt::format("{}: {}", state, printable(inspection.problem));
  out.meaning = fmt::format("Nothing was changed. The access token beside it, in {}, works until it expires.",
                            credentials_of(inspection));
  if (!inspection.remedy.empty()) out.remedies = {inspection.remedy};
  return out;
}

std::string_view where_renewed(const store::Inspection& inspection) {
  if (inspection.login->has_refresh_token) return " and can be renewed without a new login.";
  if (inspection.is_shut()) return ". The store is sealed: only with its key it is renewed.";
  return inspection.placeholder
             ? ". This store has a placeholder instead: the gateway puts the access token into each request."
             : "; it is renewed where the refresh token is kept, not here.";
}

std::string log_in(const store::Inspection& inspection, const Context& context) {
  return is_logged_in_to_elsewhere(inspection, context) ? log_in_again(inspection, context)
                                                        : "log in: " + context.setup_command;
}

Explanation usable(const store::Inspection& inspection, const Context& context) {
  const login::Login& login = *inspection.login;
  Explanation out;
  out.headline = "usable: " + logged_in(inspection);
  const std::string until =
      inspection.deadline_doubtful
          ? fmt::format("said to be valid until {}, longer than any lives: a renewal will tell",
                        format_utc(login.expires_at))
          : "valid until " + when(login.expires_at, context.now);
  out.meaning = fmt::format("The access token is {}{} {}", until, where_renewed(inspection),
                            login_deadline(login, context.now));
  if (!context.live) return out;
  const std::string tried = ago(context.live->at, context.now);
  if (context.live->works) {
    out.meaning += fmt::format(" The server answered the CLI {}.", tried);
    return out;
  }
  out.headline += context.live->executed ? "; but the CLI got no answer" : "; but the CLI could not be run";
  out.meaning += fmt::format(" The CLI was run with it {}: {}", tried, printable(context.live->said));
  if (!context.live->executed) {
    out.remedies = {
        "install the CLI where PATH finds it, for the user that it runs as (--user), or name it: "
        "--live-command"};
    return out;
  }
  out.remedies = {
      "see for yourself: claude-init run --store " + shell_quote(inspection.path) + " -- claude --print hi",
      "look at the network and the proxy (HTTPS_PROXY, NODE_EXTRA_CA_CERTS)"};
  return out;
}

Explanation renewable(const store::Inspection& inspection, const Context& context) {
  const login::Login& login = *inspection.login;
  Explanation out;
  out.headline = "renewable: " + logged_in(inspection) + "; the access token has to be renewed";
  out.meaning = fmt::format(
      "The access token expired {}, as each does after some hours; the login lives and renews it. {}",
      when(login.expires_at, context.now), login_deadline(login, context.now));
  out.remedies = {inspection.published
                      ? "whatever publishes it renews it: see that it runs (claude-init keep, --publish)"
                      : "any session on this store that may write to it renews it: " + context.setup_command +
                            " claude --print hi"};
  if (context.copied) out.remedies = {context.copied->remedy};
  return out;
}

Explanation expired(const store::Inspection& inspection, const Context& context) {
  const login::Login& login = *inspection.login;
  Explanation out;
  if (login.scopes.empty()) {
    out.headline = "expired: the CLI does not accept this login";
    out.meaning =
        credentials_of(inspection) + " has tokens without scopes, which the CLI takes for not logged in.";
  } else if (login::has_ended(login, context.now)) {
    out.headline = "expired: the login itself has expired";
    out.meaning = fmt::format("It expired {}, and its last access token {}. {}",
                              when(*login.refresh_expires_at, context.now),
                              when(login.expires_at, context.now), kNormalEnd);
  } else if (inspection.is_shut()) {
    out.headline = "expired: the access token has expired, and the store is sealed";
    out.meaning = fmt::format("It expired {}. Only with the store's key it is renewed.",
                              when(login.expires_at, context.now));
    out.remedies.emplace_back(
        "see that the keeper runs, which has the key (claude-init keep --seal-key FILE)");
    return out;
  } else {
    out.headline = "expired: the access token has expired and nothing here can renew it";
    out.meaning =
        fmt::format("It expired {}. This store holds no refresh token.", when(login.expires_at, context.now));
    out.remedies.emplace_back(
        "if another store renews this one, look at that: claude-init health --store DIR");
  }
  out.remedies.push_back(log_in_again(inspection, context));
  return out;
}

Explanation dead(const store::Inspection& inspection, const Context& context) {
  Explanation out;
  out.headline = "dead: the server no longer accepts this login";
  if (context.live && context.live->rejected) {
    out.meaning =
        fmt::format("Its access token should still be valid, and the CLI was refused with it {}: {}",
                    ago(context.live->at, context.now), printable(context.live->said));
    out.remedies = {log_in_again(inspection, context)};
    return out;
  }
  if (inspection.login && login::has_ended(*inspection.login, context.now)) {
    out.headline = "dead: the login has expired";
    out.meaning = fmt::format("It expired {}, and the server does not renew it any more. {}",
                              when(*inspection.login->refresh_expires_at, context.now), kNormalEnd);
    out.remedies = {log_in_again(inspection, context)};
    return out;
  }
  if (inspection.renewal_burnt) {
    out.headline = "dead: a renewal cost this login";
    out.meaning =
        "The renewing command spent its refresh token and did not save the new one: it ended too early, or "
        "the "
        "server's answer was lost.";
    out.remedies = {
        log_in_again(inspection, context),
        "if it happens again, look at what the log says about the renewal, and at --renew-command"};
    return out;
  }
  out.meaning =
      "The server rejected its refresh token: the login was ended elsewhere (a logout, a changed password), "
      "or "
      "two copies of it were renewed side by side.";
  out.remedies = {log_in_again(inspection, context),
                  "then let containers share the store instead of copies of it: claude-init run"};
  return out;
}

Explanation missing(const store::Inspection& inspection, const Context& context) {
  Explanation out;
  out.headline = "missing: no login yet";
  const std::string path = printable(inspection.path);
  if (inspection.login) {
    out.meaning = credentials_of(inspection) + " is there and holds no login.";
  } else if (context.in_image) {
    out.meaning = fmt::format(
        "Nothing is mounted at {}: it is a directory of the image or of this container's own layer{}.", path,
        inspection.empty_directory ? ", and empty" : ", without a .credentials.json");
    out.remedies.push_back(fmt::format(
        "if there should be a login, mount the directory that you logged in to: -v HOST_DIR:{}", path));
  } else if (inspection.empty_directory && inspection.owner.uid == 0 && context.in_container) {
    out.meaning = fmt::format(
        "{} is empty and belongs to root. If there should be a login in it, the mount is wrong: the engine "
        "makes "
        "such a directory when the one to be mounted does not exist.",
        path);
    out.remedies.push_back(
        fmt::format("check the host's side of the mount, left of the colon: -v HOST_DIR:{}", path));
  } else {
    out.meaning = fmt::format("{} has no .credentials.json{}.", path,
                              inspection.empty_directory ? ": it is empty" : "");
    if (context.in_container) {
      out.remedies.push_back(fmt::format("if there should be one, check what is mounted at {}", path));
    }
  }
  out.remedies.push_back(log_in(inspection, context));
  return out;
}

Explanation empty(const store::Inspection& inspection, const Context& context) {
  Explanation out;
  out.headline = "empty: .credentials.json has no content";
  out.meaning = credentials_of(inspection) + " has no content: " + std::string(kWhyEmpty) +
                ", or it was created to have a file to mount.";
  out.remedies = {"look for free space: df -h " + shell_quote(inspection.path),
                  log_in_again(inspection, context)};
  return out;
}

Explanation malformed(const store::Inspection& inspection, const Context& context) {
  if (cannot_be_opened(inspection)) {
    Explanation shut = sealed_shut("malformed", inspection);
    shut.remedies.push_back(log_in_again(inspection, context));
    return shut;
  }
  Explanation out;
  out.headline = "malformed: .credentials.json cannot be understood";
  out.meaning = fmt::format(
      "{}: {}.", credentials_of(inspection),
      inspection.problem.empty() ? "it is not what the CLI writes" : printable(inspection.problem));
  if (inspection.in_the_way) {
    // Engines make a directory where the file that is to be mounted does not exist.
    const std::string file =
        (context.in_container ? "HOST_DIR" : shell_quote(inspection.path)) + "/.credentials.json";
    out.remedies = {
        context.file_mounted
            ? "remove what is mounted there on the host, and mount the whole directory: -v HOST_DIR:" +
                  shell_quote(inspection.path)
            : fmt::format("move it away{}: mv {} {}.old", context.in_container ? " on the host" : "", file,
                          file),
        log_in_again(inspection, context)};
    return out;
  }
  out.remedies = {"bring back a whole copy of the file, if there is one", log_in_again(inspection, context)};
  return out;
}

/// A directory above the store that may not be entered: of the store itself nothing is known.
Explanation barred(const store::Inspection& inspection, const Context& context) {
  const std::string path = printable(inspection.path);
  const std::string by = inspection.barred_by.empty() ? "a directory that a link on the way leads through"
                                                      : printable(inspection.barred_by);
  Explanation out;
  out.headline = "unreadable: permission denied";
  out.meaning = fmt::format("{} cannot be looked at: {} may not be entered by {}:{}.", path, by,
                            context.reader.uid, context.reader.gid);
  if (context.in_container) {
    out.remedies.emplace_back("mount it where everybody may enter: -v HOST_DIR:/claude-auth");
  } else {
    out.remedies = {ui::how_to_let_pass(inspection.barred_by.empty() ? "DIR" : inspection.barred_by),
                    "or name another store: --store DIR, CLAUDE_INIT_STORE=DIR"};
  }
  return out;
}

/// To whom the file belongs, or the directory where that bars the way to it, and who we are.
std::string whose(const store::Inspection& inspection, const Context& context) {
  const bool file_seen = inspection.file_mode != 0;
  const fs::Identity owner = file_seen ? inspection.file_owner : inspection.owner;
  return fmt::format("{} belongs to {}:{} with mode {:04o}, and claude-init runs as {}:{}.",
                     file_seen ? credentials_of(inspection) : printable(inspection.path), owner.uid,
                     owner.gid, (file_seen ? inspection.file_mode : inspection.mode) & 07777,
                     context.reader.uid, context.reader.gid);
}

/// It is ours, so it is the mode that bars us, or something that is no mode.
Explanation barred_from_our_own(const store::Inspection& inspection, const Context& context) {
  const bool file_seen = inspection.file_mode != 0;
  const unsigned needed = file_seen ? 0400 : 0500;
  Explanation out;
  out.headline = "unreadable: permission denied";
  out.meaning = whose(inspection, context);
  if (((file_seen ? inspection.file_mode : inspection.mode) & needed) != needed) {
    out.meaning += file_seen ? " That mode does not let its owner read it."
                             : " That mode does not let its owner look into it.";
    out.remedies = {ui::how_to_open_modes(inspection.path, context.in_container)};
  } else if (context.in_container) {
    out.remedies = {
        "the modes allow it, so something else forbids it: with SELinux, mount with :z at the end, in every "
        "container that shares the store (-v HOST_DIR:" +
        printable(inspection.path) + ":z)"};
  } else {
    out.remedies = {
        "the modes allow it, so something else forbids it (SELinux, AppArmor, an ACL): look at it with "
        "ls -laZ " +
        shell_quote(inspection.path)};
  }
  return out;
}

/// Who may read, who tries, and what of it to change. With nothing known of the file it is the directory that
/// bars the way, and with nothing known of that one above it.
Explanation unreadable(const store::Inspection& inspection, const Context& context) {
  if (cannot_be_opened(inspection)) return sealed_shut("unreadable", inspection);
  Explanation out;
  if (!inspection.remedy.empty()) {
    out.headline = "unreadable: " + printable(inspection.problem);
    out.meaning = "claude-init does not open it: a link of another user may lead to somebody else's file.";
    out.remedies = {inspection.remedy};
    return out;
  }
  if (!inspection.problem.empty() && !inspection.denied) {
    out.headline = "unreadable: " + credentials_of(inspection);
    out.meaning = printable(inspection.problem) + ".";
    if (inspection.is_for_now) {
      out.remedies = {"that is about this moment, not about the login: try again"};
      return out;
    }
    out.remedies = {"it should be a plain file that the CLI wrote: look at it with ls -la " +
                    shell_quote(inspection.path)};
    return out;
  }
  if (inspection.mode == 0) return barred(inspection, context);
  const bool file_seen = inspection.file_mode != 0;
  const fs::Identity owner = file_seen ? inspection.file_owner : inspection.owner;
  const fs::Identity& reader = context.reader;
  if (reader.uid == owner.uid) return barred_from_our_own(inspection, context);
  out.headline = "unreadable: permission denied";
  out.meaning = whose(inspection, context);
  if (file_seen && reader.uid == inspection.owner.uid) {
    // A CLI that was run as root, or a copy made as somebody else: it is the file that is wrong.
    out.meaning += fmt::format(" Everything in {} should belong to its owner, uid {}.",
                               printable(inspection.path), inspection.owner.uid);
  } else if (context.in_container) {
    out.meaning += fmt::format(" uid {} would be right.", owner.uid);
  }
  if (context.in_container && reader.uid != inspection.owner.uid) {
    if (reader.uid != 0) out.remedies.push_back(ui::how_to_drop_to(reader));
    out.remedies.push_back(reader.uid == 0 ? ui::how_to_become(owner) : ui::how_to_run_as(owner));
  }
  out.remedies.push_back("change the owner: " +
                         ui::how_to_give(inspection.path, reader, context.in_container));
  return out;
}

Explanation no_store(const store::Inspection& inspection, const Context& context) {
  const std::string path = printable(inspection.path);
  Explanation out;
  if (!inspection.is_directory) {
    out.headline = "no-store: " + path + " is not a directory";
    out.meaning =
        "A store is a whole directory. A file that is mounted alone goes stale as soon as the login is "
        "renewed.";
  } else {
    out.headline = "no-store: there is no " + path;
    out.meaning = context.in_container
                      ? "No store is mounted into this container, or it is mounted somewhere else."
                      : "There is no such directory.";
  }
  if (context.in_container) {
    out.remedies.push_back("mount the directory that you logged in to: -v HOST_DIR:" + path);
    out.remedies.emplace_back("or say where it is mounted: --store DIR, CLAUDE_INIT_STORE=DIR");
  } else {
    out.remedies.emplace_back("say where it is: --store DIR, CLAUDE_INIT_STORE=DIR");
  }
  if (inspection.is_directory) out.remedies.push_back("or " + log_in(inspection, context));
  return out;
}

Explanation of_state(const store::Inspection& inspection, const Context& context) {
  switch (inspection.state) {
    case State::usable:
      return usable(inspection, context);
    case State::renewable:
      return renewable(inspection, context);
    case State::expired:
      return expired(inspection, context);
    case State::dead:
      return dead(inspection, context);
    case State::missing:
      return missing(inspection, context);
    case State::empty:
      return empty(inspection, context);
    case State::malformed:
      return malformed(inspection, context);
    case State::unreadable:
      return unreadable(inspection, context);
    case State::no_store:
      return no_store(inspection, context);
  }
  return {};
}

/// Says why no login comes to this published store although its keeper's store has one.
void explain_unpublished(const store::Inspection& inspection, Explanation& out) {
  const std::string_view word = inspection.unpublished;
  const std::size_t end = std::min(word.find('\n'), word.size());
  const std::string_view rest = word.substr(std::min(end + 1, word.size()));
  const std::string remedy = printable(rest.substr(0, rest.find('\n')));
  out.headline = fmt::format("{}: the login is not published to here", login::name_of(inspection.state));
  out.meaning = fmt::format("The keeper cannot write {}: {}.", printable(inspection.path),
                            printable(word.substr(0, end)));
  out.remedies = {remedy.empty() ? "see what the keeper says of it: its log, or its page" : remedy};
}

}  // namespace

Explanation explain(const store::Inspection& inspection, const Context& context) {
  Explanation out = of_state(inspection, context);
  if (!inspection.unpublished.empty()) explain_unpublished(inspection, out);
  const bool has_renewer =
      inspection.login && inspection.login->has_refresh_token && !context.renewer.empty();
  if (has_renewer) out.meaning += fmt::format(" Claude Code {} renews it here.", printable(context.renewer));
  out.notes = notes_on(inspection, context);
  return out;
}

std::string as_text(const Explanation& explanation) {
  std::string text = explanation.headline + '\n';
  text += "  " + explanation.meaning + '\n';
  for (const std::string& remedy : explanation.remedies) text += "  → " + remedy + '\n';
  for (const std::string& note : explanation.notes) text += "  note: " + note + '\n';
  return text;
}

std::string as_text(const store::Inspection& inspection, const Context& context) {
  Explanation words = explain(inspection, context);
  if (const std::string_view how = how_kept(inspection); !how.empty())
    words.meaning += fmt::format("\n  Refresh token: {}.", how);
  return as_text(words);
}

std::string_view how_kept(const store::Inspection& inspection) {
  if (inspection.sealed) return "sealed";
  return inspection.login && inspection.login->has_refresh_token ? "in plain" : "";
}

bool is_healthy(State state) {
  return state == State::usable;
}

bool is_healthy(const store::Inspection& inspection, const Context& context) {
  return is_healthy(inspection.state) && (!context.live || context.live->works);
}

bool can_be_used(State state, bool refresh_token_handed_on) {
  return state == State::usable || (state == State::renewable && refresh_token_handed_on);
}

}  // namespace claude_init::health
