#include "renew/tool.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/text.h"
#include "log/redact.h"

namespace claude_init::renew {
namespace {

constexpr const char* kUseDefault =
    "leave --renew-command out: the default command renews with every version";

Outcome unfit(std::string reason, std::string remedy, std::string_view cause) {
  return {Outcome::Kind::failed, std::move(reason), std::move(remedy), cause};
}

}  // namespace

std::string Tool::name() const {
  const std::size_t hash = std::hash<std::string>()(fmt::format("{}", fmt::join(words, "\n")));
  return fmt::format("{} {:016x}", version ? cli::text_of(*version) : "-", hash);
}

std::string Tool::shown() const {
  const cli::Words parts = cli::split(words);
  std::string text = log::redact(fmt::format("{}", fmt::join(parts.argv, " ")));
  if (version) text += fmt::format(" ({})", cli::text_of(*version));
  return printable(text);
}

std::optional<Outcome> why_unfit(const Tool& tool, const store::RenewerNote& note) {
  if (std::find(note.burners.begin(), note.burners.end(), tool.name()) != note.burners.end()) {
    return unfit(fmt::format("'{}' has cost this store a login: it ended before the new token was saved",
                             tool.shown()),
                 kUseDefault, "burns");
  }
  const auto flaw = tool.version ? cli::flaw_of(tool.words, *tool.version) : std::nullopt;
  if (!flaw) return std::nullopt;
  const std::string remedy = flaw->good ? fmt::format("{}; or update Claude Code to {} or later", kUseDefault,
                                                      cli::text_of(*flaw->good))
                                        : kUseDefault;
  if (flaw->kind == cli::Flaw::Kind::asks_nobody) {
    return unfit(fmt::format("'{}' does not renew a login with this version", tool.shown()), remedy,
                 kNotAsked);
  }
  return unfit(
      fmt::format("'{}' would cost the login: with this version it ends before the new token is saved",
                  tool.shown()),
      remedy, "burns");
}

}  // namespace claude_init::renew
