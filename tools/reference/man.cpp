#include <fmt/format.h>

#include <array>
#include <utility>

#include "options/help.h"
#include "reference.h"
#include "ui/exit_status.h"

namespace claude_init::reference {
namespace {

using options::Option;
using options::Page;

/// For troff: what is a minus stays one, and no line is taken for a request.
std::string roff(std::string_view text) {
  std::string out = replaced(std::string(text), "\\", "\\e");
  out = replaced(out, "-", "\\-");
  out = replaced(out, "…", "...");
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  return out;
}

std::string head(std::string_view name, std::string_view summary) {
  return fmt::format(
      ".\\\" Written by `cmake --build build/dev --target reference` from src/options: change it there.\n"
      ".TH {} 1 \"\" \"claude\\-init\" \"User Commands\"\n.SH NAME\n{} \\- {}\n",
      roff(upper(name)), roff(name), roff(summary));
}

std::string paragraphs(std::string_view text) {
  return replaced(roff(text), "\n\n", "\n.PP\n") + '\n';
}

/// With a full stop behind the last sentence, which a phrase has not.
std::string sentence(std::string_view phrase) {
  std::string text(phrase);
  if (text.front() >= 'a' && text.front() <= 'z' && text.find(": ") > text.find(' '))
    text.front() = static_cast<char>(text.front() - 'a' + 'A');
  return roff(text) + '.';
}

std::string option(const Option& option) {
  std::string text = ".TP\n";
  if (!option.short_name.empty()) text += fmt::format("\\fB{}\\fR, ", roff(option.short_name));
  text += fmt::format("\\fB{}\\fR", roff(option.name));
  if (!option.value.empty()) {
    const std::string value = fmt::format("\\fI{}\\fR", roff(option.value));
    text += option.value_may_be_left_out ? fmt::format(" [{}]", value) : ' ' + value;
  }
  text += '\n' + sentence(option.text.help) + '\n';
  if (option.repeatable) text += "Repeatable.\n";
  if (option.text.fallback[0] != '\0') text += fmt::format("Default: {}.\n", roff(option.text.fallback));
  if (option.text.example[0] != '\0')
    text += fmt::format("Example: \\fB{} {}\\fR\n", roff(option.name), roff(option.text.example));
  return text;
}

std::string examples(const std::vector<options::Example>& list) {
  std::string text = ".SH EXAMPLES\n";
  for (const auto& example : list)
    text += fmt::format(".TP\n.B {}\n{}\n", roff(example.line), sentence(example.what));
  return text;
}

constexpr std::string_view kEnvironment = R"(.SH ENVIRONMENT
Each option has a variable: \fB\-\-some\-name\fR is \fBCLAUDE_INIT_SOME_NAME\fR.
The command line wins.
In a variable, the values of a repeatable option are separated by commas.
)";

constexpr std::string_view kValues = R"(.SH VALUES
.TP
.I TIME
A number with a unit: 500ms, 5s, 2m, 1h, 7d, 1.5h.
A number alone is seconds.
.TP
.I SIZE
500M, 16G, 1T, each prefix 1024 times the one before.
A number alone is bytes.
.TP
.I WORDS
Words that are separated by blanks, without quotes.
)";

std::string exit_statuses() {
  const std::array<std::pair<int, std::string_view>, 14> kStatuses{{
      {kExitUsage, "wrong command line or setting"},
      {kExitLoginMalformed, "the login's file is empty, cut off or damaged"},
      {kExitNoStore, "no store, or what is mounted is none"},
      {kExitNotLoggedIn, "the store has no login"},
      {kExitLoginExpired, "the login has expired, or the server rejected it"},
      {kExitNoPlace, "no place for a working copy"},
      {kExitInternal, "a fault in claude-init"},
      {kExitSystem, "the system refused something that has no status of its own"},
      {kExitStoreFull, "the store, or the output's file system, is full"},
      {kExitStoreReadOnly, "the store is read-only"},
      {kExitIo, "input/output error"},
      {kExitStoreBusy, "another process holds the store"},
      {kExitLoginKeptOut, "the login was not saved: the store's is better"},
      {kExitPermission, "permission denied"},
  }};
  std::string text =
      ".SH EXIT STATUS\n.B setup\\fR,\n.B run\nand\n.B init\nexit with the command's own status: 128+n if "
      "signal n "
      "ended it, 126 if it cannot be\nexecuted, 127 if it is not there.\nOtherwise:\n";
  for (const auto& [status, meaning] : kStatuses)
    text += fmt::format(".TP\n.B {}\n{}\n", status, sentence(meaning));
  return text;
}

}  // namespace

std::string man_page() {
  std::string text = head("claude-init", "one Claude login, any number of containers");
  text +=
      ".SH SYNOPSIS\n.B claude\\-init\n.I SUBCOMMAND\n[\\fIOPTIONS\\fR] [\\fB\\-\\-\\fR] "
      "[\\fICOMMAND\\fR...]\n"
      ".SH DESCRIPTION\n"
      "Keeps one login of Claude Code alive and gives each container a private copy of it, without the "
      "refresh\n"
      "token.\nIn a container it is PID 1: signals, zombies and the terminal work.\n.PP\n"
      "If\n.I COMMAND\nbegins with \\(dq\\-\\(dq, claude\\-init puts\n.B claude\nbefore it.\n"
      ".SH SUBCOMMANDS\n";
  for (const Page& page : options::pages())
    text += fmt::format(".TP\n.BR claude\\-init\\-{} (1)\n{}\n", page.name, sentence(page.summary));
  text +=
      ".SH OPTIONS\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nList the subcommands.\n"
      ".B claude\\-init help\n.I SUBCOMMAND\nexplains one of them.\n"
      ".TP\n\\fB\\-V\\fR, \\fB\\-\\-version\\fR\nPrint the version.\n";
  text += kValues;
  text += kEnvironment;
  text +=
      ".SH FILES\n.TP\n.I ~/.claude\\-hub\nThe store, outside of containers.\n.TP\n.I /claude\\-auth\n"
      "The store, in a container.\n";
  text += exit_statuses();
  std::vector<options::Example> first;
  for (const std::string_view name : {"setup", "run", "keep"})
    first.push_back(options::page_of(name)->examples.front());
  text += examples(first);
  text += ".SH SEE ALSO\n";
  for (const Page& page : options::pages())
    text += fmt::format(".BR claude\\-init\\-{} (1){}\n", page.name,
                        &page == &options::pages().back() ? "" : ",");
  return text;
}

std::string man_page(const Page& page) {
  const auto all = options::options_of(page.name);
  std::string text = head(fmt::format("claude-init-{}", page.name), page.summary);
  text += fmt::format(".SH SYNOPSIS\n.B claude\\-init {}\n[\\fIOPTIONS\\fR]", page.name);
  if (!page.command.empty()) {
    const bool optional = page.command.starts_with('[');
    text += fmt::format(" [\\fB\\-\\-\\fR] {}\\fICOMMAND\\fR...{}", optional ? "[" : "", optional ? "]" : "");
  }
  text += "\n.SH DESCRIPTION\n" + paragraphs(page.description) + ".SH OPTIONS\n";
  for (const std::string_view topic : options::topics_of(all)) {
    text += fmt::format(".SS {}\n", topic);
    for (const Option& each : all) {
      if (each.topic == topic) text += option(each);
    }
  }
  text += kEnvironment;
  text += examples(page.examples);
  return text + ".SH SEE ALSO\n.BR claude\\-init (1)\n";
}

}  // namespace claude_init::reference
