#pragma once

#include <string>
#include <string_view>

namespace claude_init::ui {

/// What setup says to the person at the terminal. On standard error, so that the command's own output stays
/// clean; with marks and colour on a terminal, in plain words elsewhere (and with NO_COLOR or TERM=dumb),
/// errors and warnings as in the log.
class Console {
 public:
  /// `plain`: NO_COLOR is set or the terminal is dumb.
  explicit Console(bool plain);

  void blank() const;
  void text(std::string_view line) const;
  /// What to type or do: each line of it behind an arrow.
  void remedy(std::string_view lines) const;
  void title(std::string_view line) const;
  void good(std::string_view line) const;
  void warning(std::string_view line) const;
  /// With the failure's name (ui/exit_status.h), where it has one.
  void bad(std::string_view line, std::string_view name = {}) const;
  /// "  label  value", labels in one column.
  void detail(std::string_view label, std::string_view value) const;
  /// Something to type.
  void command(std::string_view line) const;

 private:
  void write(std::string_view color, std::string_view mark, std::string_view line) const;
  bool rich_;
};

/// Prints a command's output. Returns the exit status: kExitOk, also where the reader has gone (a pager that
/// was left, a closed descriptor) or we are told to end, else that of why it could not be written, which is
/// said.
[[nodiscard]] int print(std::string_view text);

}  // namespace claude_init::ui
