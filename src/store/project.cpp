#include "store/project.h"

namespace claude_init::store {
namespace {

constexpr std::size_t kLongest = 200;

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// projects/NAME, and those of the directories beneath it.
std::vector<std::string> folders_of(std::string_view directory) {
  const std::string name = project_of(directory);
  std::vector<std::string> folders{"projects/" + name};
  if (!name.ends_with('*')) folders.push_back("projects/" + name + (directory == "/" ? "*" : "-*"));
  return folders;
}

}  // namespace

std::string project_of(std::string_view directory) {
  constexpr unsigned kContinued = 0x80;
  constexpr unsigned kLast = 0xc0;
  constexpr unsigned kFour = 0xf0;
  std::string name;
  for (const char c : directory) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & kLast) == kContinued) continue;
    if (byte >= kFour) name += '-';  // a pair of units
    name += is_letter_or_digit(c) ? c : '-';
  }
  if (name.size() <= kLongest) return name;
  return name.substr(0, kLongest) + "-*";
}

std::vector<std::string> sessions_of(std::string_view directory) {
  return folders_of(directory);
}

std::vector<std::string> transcripts_of(std::string_view directory) {
  std::vector<std::string> patterns;
  for (const std::string& folder : folders_of(directory)) {
    patterns.push_back(folder + "/*.jsonl");
    patterns.push_back(folder + "/*/subagents/*.jsonl");
  }
  return patterns;
}

std::string memory_of(std::string_view directory) {
  return "projects/" + project_of(directory) + "/memory";
}

}  // namespace claude_init::store
