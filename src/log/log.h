#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/result.h"

/// Diagnostics on standard error, so that the output of the supervised command stays clean. One write(2) a
/// line. Every line passes through redact() last: no token is shown at any level. Libraries may log what
/// they do (debug, trace); failures are returned, and the command logs them.
namespace claude_init::log {

enum class Level { error, warn, info, debug, trace };
enum class Format { text, json };

/// Text: "claude-init: warning: message key=value". JSON: one object a line with time, level, message, pid.
void configure(Level level, Format format);

[[nodiscard]] bool enabled(Level level);
[[nodiscard]] Format format();

[[nodiscard]] Result<Level> parse_level(std::string_view text);
[[nodiscard]] Result<Format> parse_format(std::string_view text);

/// One named value beside the message: a path, a count, a duration ("took", "12.3 ms"). What a person types
/// ("remedy", "do", "type") has a line of its own in text, as it is: it is there to be pasted.
/// "error" is the name of the failure: in text it stands in brackets behind the level.
struct Field {
  std::string_view key;
  std::string value;
  bool number = false;

  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  template <class T>
  requires std::is_integral_v<T> Field(std::string_view k, T v)
      : key(k), value(std::to_string(v)), number(true) {}
};

void write(Level level, std::string_view message, std::initializer_list<Field> fields = {});

inline void error(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::error, message, fields);
}
inline void warn(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::warn, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::info, message, fields);
}
/// For debug and trace, building the fields can cost more than the line: ask enabled() first in loops.
inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::debug, message, fields);
}
inline void trace(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::trace, message, fields);
}

/// An Error as one line at `level`, with its remedy as a field of its own, and the failure's `name` where it
/// has one.
void failure(Level level, const Error& error, std::string_view name = {});

}  // namespace claude_init::log
