// libFuzzer over the journal's parser: whoever can write to a store can write one. No input may crash it, and
// nothing that it accepts leads out of the store, into our own directory or to a login file.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "linear.h"
#include "store/journal.h"
#include "store/layout.h"

using namespace claude_init::store;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

void check_path(std::string_view path) {
  require(path != kCredentials && path != kClaudeJson);
  require(path.substr(0, path.find('/')) != kPrivateDir);
  require(path.find('\0') == std::string_view::npos);
  while (true) {
    const std::string_view component = path.substr(0, path.find('/'));
    require(!component.empty() && component != "." && component != "..");
    if (component.size() == path.size()) return;
    path.remove_prefix(component.size() + 1);
  }
}

void check(std::string_view text) {
  const auto journal = parse_journal(text);
  if (!journal) return;
  for (const auto& move : journal->moves) {
    require(!move.staged.empty() && move.staged.find('/') == std::string::npos && move.staged[0] != '.');
    check_path(move.path);
  }
  for (const auto& deletion : journal->deletions) check_path(deletion.path);
  for (const auto& directory : journal->directories) check_path(directory);
  const std::string written = encode(*journal);
  const auto again = parse_journal(written);
  require(again.ok() && encode(*again) == written);
}

/// CRC-32, bit by bit: the fuzzer cannot guess one, so its lines get theirs.
std::uint32_t checksum(std::string_view text) {
  std::uint32_t crc = ~0U;
  for (const char c : text) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320U : 0);
  }
  return ~crc;
}

std::string sealed(std::string_view lines) {
  std::string text = "claude-init journal 1\n" + std::string(lines);
  if (text.back() != '\n') text += '\n';
  std::size_t entries = 0;
  for (const char c : text) entries += c == '\n' ? 1 : 0;
  char end[64];
  std::snprintf(end, sizeof end, "end %zu %08x\n", entries - 1, checksum(text));
  return text + end;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  // What is sealed and was written by encode() has to come back, or the harness tests nothing.
  static const bool works = parse_journal(sealed("rmdir a\n")).ok();
  require(works);
  check(text);
  check(sealed(text));
  if (claude_init::fuzz::now_and_then() && size > 0) {
    claude_init::fuzz::require_linear(
        [&](std::size_t bytes) { return sealed(claude_init::fuzz::repeated(text, "\n", bytes)); },
        [](std::string_view journal) { (void)parse_journal(journal); });
  }
  return 0;
}
