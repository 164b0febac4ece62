#include "options/options.h"

namespace claude_init::options {

std::vector<std::string> complete_command(std::vector<std::string> words, std::vector<std::string> fallback) {
  if (words.empty()) return fallback;
  if (words.front().starts_with('-')) words.insert(words.begin(), "claude");
  return words;
}

}  // namespace claude_init::options
