#include "log/log.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "base/output.h"
#include "base/text.h"
#include "base/time.h"
#include "log/redact.h"

namespace claude_init::log {
namespace {

// Set once by the command before anything runs beside it; a process has one standard error.
Level g_level = Level::warn;
Format g_format = Format::text;

constexpr std::array<std::string_view, 5> kNames{"error", "warn", "info", "debug", "trace"};

/// `text` is printable().
std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

/// printable() leaves valid UTF-8 without control characters; what JSON still needs escaped are those two.
std::string json_string(std::string_view text) {
  return in_quotes(printable(text));
}

/// As logfmt has it: bare where it is one word, else quoted, with what would end the quotes escaped.
std::string text_value(std::string_view value) {
  std::string text = printable(value);
  if (!text.empty() && text.find_first_of(" \"=") == std::string::npos) return text;
  return in_quotes(text);
}

/// What a person is to type.
bool is_remedy(std::string_view key) {
  return key == "remedy" || key == "do" || key == "type";
}

constexpr std::string_view kName = "error";

/// " [NAME]"; "" where the failure has no name.
std::string name_in_brackets(std::initializer_list<Field> fields) {
  for (const Field& field : fields) {
    if (field.key == kName && !field.value.empty()) return fmt::format(" [{}]", field.value);
  }
  return {};
}

std::string text_line(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line = "claude-init: ";
  if (level == Level::error) line += fmt::format("error{}: ", name_in_brackets(fields));
  if (level == Level::warn) line += "warning: ";
  if (level == Level::debug) line += "debug: ";
  if (level == Level::trace) line += "trace: ";
  line += printable(message);
  for (const Field& field : fields) {
    if (!is_remedy(field.key) && field.key != kName)
      fmt::format_to(std::back_inserter(line), " {}={}", field.key, text_value(field.value));
  }
  for (const Field& field : fields) {
    if (!is_remedy(field.key)) continue;
    for (const std::string_view each : lines_of(field.value)) line += "\n  → " + printable(each);
  }
  return line;
}

std::string json_line(Level level, std::string_view message, std::initializer_list<Field> fields) {
  std::string line =
      fmt::format(R"({{"time":"{}","level":"{}","pid":{},"message":{})", format_iso8601(unix_now()),
                  kNames[static_cast<std::size_t>(level)], getpid(), json_string(message));
  for (const Field& field : fields) {
    if (field.key == kName && field.value.empty()) continue;
    fmt::format_to(std::back_inserter(line), ",{}:{}", json_string(field.key),
                   field.number ? field.value : json_string(field.value));
  }
  return line + '}';
}

}  // namespace

void configure(Level level, Format format) {
  g_level = level;
  g_format = format;
}

bool enabled(Level level) {
  return level <= g_level;
}
Format format() {
  return g_format;
}

Result<Level> parse_level(std::string_view text) {
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    if (text == kNames[i]) return static_cast<Level>(i);
  }
  return make_error(ErrorKind::usage, fmt::format("'{}' is not a log level", text),
                    "write one of error, warn, info, debug, trace");
}

Result<Format> parse_format(std::string_view text) {
  if (text == "text") return Format::text;
  if (text == "json") return Format::json;
  return make_error(ErrorKind::usage, fmt::format("'{}' is not a log format", text), "write text or json");
}

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  std::string line = redact(g_format == Format::json ? json_line(level, message, fields)
                                                     : text_line(level, message, fields));
  line += "\n";
  // A log line is not worth more than the work it tells of.
  write_to_reader(STDERR_FILENO, line, Milliseconds(0));
}

void failure(Level level, const Error& error, std::string_view name) {
  if (error.remedy.empty()) {
    write(level, error.message(), {{kName, name}});
  } else {
    write(level, error.message(), {{kName, name}, {"remedy", error.remedy}});
  }
}

}  // namespace claude_init::log
