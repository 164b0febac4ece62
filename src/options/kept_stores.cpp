#include "options/kept_stores.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace claude_init::options {
namespace {

struct Word {
  std::string name;  // "" = none was given
  std::string directory;
};

/// A "=" behind what cannot be a name belongs to the directory.
Result<Word> parse_word(const std::string& option, const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == 0) {
    return make_error(ErrorKind::usage,
                      fmt::format("{} '{}' has no name before the =", option, printable(text)),
                      "write DIR or NAME=DIR");
  }
  Word word{"", text};
  if (equals != std::string::npos && is_store_name(text.substr(0, equals)))
    word = {text.substr(0, equals), text.substr(equals + 1)};
  if (word.directory.empty()) {
    return make_error(ErrorKind::usage, fmt::format("{} '{}' names no directory", option, printable(text)),
                      "write DIR or NAME=DIR");
  }
  return word;
}

Result<void> add_store(std::vector<KeptStore>& stores, Word word) {
  if (word.name.empty()) {
    auto name = name_of_directory(word.directory);
    if (!name) return name.error();
    word.name = std::move(*name);
  }
  for (const KeptStore& store : stores) {
    if (store.name == word.name) {
      return make_error(ErrorKind::usage, fmt::format("two stores are called '{}'", word.name),
                        "give them names: --store NAME=DIR");
    }
    if (store.directory == word.directory) {
      return make_error(ErrorKind::usage, printable(word.directory) + " is named twice",
                        "take away one of the two --store");
    }
  }
  stores.push_back({std::move(word.name), std::move(word.directory)});
  return Done{};
}

/// What an option says of where a store is published; `place` is where that is noted.
Result<void> publish_one(std::vector<KeptStore>& stores, const std::string& option, const Word& word,
                         std::string KeptStore::*place) {
  const auto found = word.name.empty() && stores.size() == 1
                         ? stores.begin()
                         : std::find_if(stores.begin(), stores.end(), [&](const KeptStore& store) {
                             return !word.name.empty() && store.name == word.name;
                           });
  if (found == stores.end()) {
    return word.name.empty()
               ? make_error(ErrorKind::usage,
                            fmt::format("it is not said which store goes to {}", printable(word.directory)),
                            fmt::format("write {} {}=DIR", option, stores.front().name))
               : make_error(ErrorKind::usage, fmt::format("there is no store called '{}'", word.name),
                            fmt::format("write --store {}=DIR", word.name));
  }
  if (!((*found).*place).empty()) {
    return make_error(ErrorKind::usage, fmt::format("'{}' is published twice", found->name),
                      "take away one of the two " + option);
  }
  (*found).*place = word.directory;
  return Done{};
}

}  // namespace

std::string unknown_place(std::string_view text) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  for (std::size_t at = text.find('{'); at != std::string_view::npos; at = text.find('{', at + 1)) {
    const std::size_t end = text.find_first_not_of(kLetters, at + 1);
    if (end == std::string_view::npos || text[end] != '}' || end == at + 1) continue;
    const std::string_view place = text.substr(at, end + 1 - at);
    if (place != kNamePlace && (at == 0 || text[at - 1] != '$')) return std::string(place);
  }
  return "";
}

bool is_store_name(std::string_view name) {
  if (name.empty() || name.size() > 64 || name.front() == '.') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
  });
}

Result<std::string> name_of_directory(const std::string& directory) {
  const std::size_t last = directory.find_last_not_of('/');
  const std::string path = directory.substr(0, last == std::string::npos ? 0 : last + 1);
  std::string name = path.substr(path.rfind('/') + 1);
  if (name.starts_with('.')) name.erase(0, 1);  // as ~/.claude-hub does
  if (is_store_name(name)) return name;
  return make_error(ErrorKind::usage, printable(directory) + " does not end in what a store could be called",
                    "give it a name: --store NAME=" + shell_quote(directory));
}

Result<std::vector<KeptStore>> kept_stores(const std::vector<std::string>& stores,
                                           const std::vector<std::string>& published,
                                           const std::vector<std::string>& placeholders) {
  std::vector<KeptStore> kept;
  for (const std::string& text : stores) {
    auto word = parse_word("--store", text);
    if (!word) return word.error();
    if (auto added = add_store(kept, std::move(*word)); !added) return added.error();
  }
  if (kept.empty()) kept.emplace_back();
  const auto publish = [&](const std::string& option, const std::vector<std::string>& words,
                           std::string KeptStore::*place) -> Result<void> {
    for (const std::string& text : words) {
      const auto word = parse_word(option, text);
      if (!word) return word.error();
      if (auto done = publish_one(kept, option, *word, place); !done) return done;
    }
    return Done{};
  };
  if (auto done = publish("--publish", published, &KeptStore::publish); !done) return done.error();
  if (auto done = publish("--publish-placeholder", placeholders, &KeptStore::placeholder); !done)
    return done.error();
  return kept;
}

}  // namespace claude_init::options
