#include "store/generations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>

#include "base/secret.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "store/layout.h"
#include "store/state_file.h"

namespace claude_init::store {
namespace {

constexpr const char* kGenerations = "generations";
constexpr const char* kUnfinished = "new";
constexpr const char* kAbout = "about";  // in a `.claude-init` of the generation's own: never restored
constexpr std::size_t kMaxAbout = 4096;
constexpr const char* kFound = "found";

/// The login files of a directory.
using Contents = std::array<StateFile, kLoginFiles.size()>;

/// Error: one of them cannot be read now. What is no file, far too large or closed to us is none.
Result<Contents> read_contents(const Tree& tree) {
  Contents contents;
  for (std::size_t i = 0; i < kLoginFiles.size(); ++i) {
    contents[i] = read_state_file(tree, kLoginFiles[i]);
    if (contents[i].problem && is_for_now(*contents[i].problem)) return *contents[i].problem;
  }
  return contents;
}

bool same(const StateFile& a, const StateFile& b) {
  return a.text.has_value() == b.text.has_value() && (!a.text || *a.text == *b.text);
}

bool same(const Contents& a, const Contents& b) {
  return std::equal(a.begin(), a.end(), b.begin(),
                    [](const StateFile& x, const StateFile& y) { return same(x, y); });
}

bool is_empty(const Contents& contents) {
  return std::none_of(contents.begin(), contents.end(),
                      [](const StateFile& file) { return file.text.has_value(); });
}

/// When the newest of the files was written.
UnixMs written_at(const Contents& contents) {
  UnixMs at = 0;
  for (const StateFile& file : contents) {
    if (file.st)
      at =
          std::max<UnixMs>(at, file.st->st_mtim.tv_sec * UnixMs{1000} + file.st->st_mtim.tv_nsec / 1'000'000);
  }
  return at;
}

std::string place_of(unsigned number) {
  return fs::join(fs::join(kPrivateDir, kGenerations), std::to_string(number));
}

/// The generations' numbers in ascending order; none where there is no such directory.
Result<std::vector<unsigned>> numbers(const Store& store) {
  std::vector<unsigned> found;
  const fs::ActAs as(store.owner());
  const auto directory = fs::open_beneath(store.fd(), fs::join(kPrivateDir, kGenerations),
                                          O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!directory) return directory.error().number == ENOENT ? Result(found) : directory.error();
  const auto names = fs::list_names(directory->get());
  if (!names) return names.error();
  for (const std::string& name : *names) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size() && std::to_string(number) == name)
      found.push_back(number);
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// Reason and time, two lines. One that cannot be read says nothing.
void read_about(const Store& generation, Generation& about) {
  const fs::ActAs as(generation.owner());
  const auto file = fs::open_regular(generation.fd(), fs::join(kPrivateDir, kAbout), fs::Links::refuse);
  const auto text = file ? fs::read_all(*file, kMaxAbout, kAbout) : Result<std::string>(file.error());
  if (!text) return;
  const std::size_t end = std::min(text->find('\n'), text->size());
  about.reason = text->substr(0, end);
  std::from_chars(text->data() + std::min(end + 1, text->size()), text->data() + text->size(), about.at);
}

Generation describe(const Store& store, unsigned number, UnixMs now) {
  Generation generation;
  generation.number = number;
  const auto opened = open_generation(store, number);
  if (!opened) {
    generation.state = state_of_problem(opened.error());
    return generation;
  }
  read_about(*opened, generation);
  const StateFile credentials = read_state_file(opened->tree(), kCredentials);
  if (credentials.problem) generation.state = state_of_problem(*credentials.problem);
  if (credentials.text) {
    login::Judged judged = login::judge_file(credentials.text->reveal(), now);
    generation.state = judged.state;
    generation.login = std::move(judged.login);
  }
  if (const StateFile file = read_state_file(opened->tree(), kClaudeJson); file.text)
    generation.account = login::account_email(file.text->reveal());
  if (generation.account.empty() && generation.login) generation.account = generation.login->account_uuid;
  return generation;
}

/// Fills a new directory. All of it is on the disk when it returns.
Result<void> fill(int directory, const Contents& contents, const std::string& about, const Modes& modes) {
  for (std::size_t i = 0; i < kLoginFiles.size(); ++i) {
    if (!contents[i].text) continue;
    auto written = fs::write_file(directory, std::string(kLoginFiles[i]), contents[i].text->reveal(),
                                  modes.file, fs::Sync::yes);
    if (!written) return written;
  }
  const auto own = fs::make_directory(directory, std::string(kPrivateDir), modes.directory);
  if (!own) return own.error();
  if (auto written = fs::write_file(own->get(), kAbout, about, modes.file, fs::Sync::yes); !written)
    return written;
  if (auto synced = fs::sync_to_disk(own->get(), kAbout); !synced) return synced;
  return fs::sync_to_disk(directory, kGenerations);
}

// 1. The place, and nothing in it that a crash has left.
// 2. Everything under a name that nobody looks at.
// 3. It gets its number.
Result<void> write_generation(const Store& store, unsigned number, const Contents& contents,
                              const std::string& about) {
  const fs::ActAs as(store.owner());
  const Modes modes = store.modes();
  // 1.
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), modes.directory);
  if (!own) return own.error();
  const auto all = fs::make_directory(own->get(), kGenerations, modes.directory);
  if (!all) return all.error();
  if (auto removed = fs::remove_tree(all->get(), kUnfinished); !removed) return removed;
  // 2.
  const auto made = fs::make_directory(all->get(), kUnfinished, modes.directory);
  if (!made) return made.error();
  if (auto filled = fill(made->get(), contents, about, modes); !filled) {
    static_cast<void>(fs::remove_tree(all->get(), kUnfinished));
    return filled;
  }
  // 3.
  if (::renameat(all->get(), kUnfinished, all->get(), std::to_string(number).c_str()) != 0)
    return system_error(errno, "name the generation");
  if (auto synced = fs::sync_to_disk(all->get(), kGenerations); !synced) return synced;
  if (auto synced = fs::sync_to_disk(own->get(), kPrivateDir); !synced) return synced;
  // The first one may be the first thing in a directory of ours that was made just now.
  return number == 1 ? fs::sync_to_disk(store.fd(), store.path()) : Result<void>(Done{});
}

/// Makes sure that the newest generation is what the store has now.
Result<void> keep_current(const Store& store, std::string_view reason) {
  const auto current = read_contents(store.tree());
  if (!current) return current.error();
  if (is_empty(*current)) return Done{};
  const auto existing = numbers(store);
  if (!existing) return existing.error();
  if (!existing->empty()) {
    const auto newest = open_generation(store, existing->back());
    const auto kept = newest ? read_contents(newest->tree()) : Result<Contents>(newest.error());
    if (kept && same(*kept, *current)) return Done{};
  }
  const unsigned next = existing->empty() ? 1 : existing->back() + 1;
  const UnixMs at = reason == kFound ? written_at(*current) : unix_now();
  return write_generation(store, next, *current, fmt::format("{}\n{}\n", reason, at));
}

Result<void> prune(const Store& store, unsigned keep) {
  auto kept = numbers(store);
  if (!kept || kept->size() <= keep) return kept ? Result<void>(Done{}) : kept.error();
  std::vector<StateFile> logins;
  for (const unsigned number : *kept) {
    const auto opened = open_generation(store, number);
    logins.push_back(opened ? read_state_file(opened->tree(), kCredentials) : StateFile{});
    const std::optional<Error> problem = opened ? logins.back().problem : opened.error();
    if (problem && is_for_now(*problem)) return *problem;  // what it is the same as is not known
  }
  const fs::ActAs as(store.owner());
  const auto all = fs::open_beneath(store.fd(), fs::join(kPrivateDir, kGenerations), O_RDONLY | O_DIRECTORY,
                                    fs::Links::refuse);
  if (!all) return all.error();
  while (kept->size() > keep) {
    std::size_t goes = 0;
    for (std::size_t i = 0; i + 1 < logins.size(); ++i) {
      if (!same(logins[i], logins[i + 1])) continue;
      goes = i;
      break;
    }
    if (auto removed = fs::remove_tree(all->get(), std::to_string((*kept)[goes])); !removed) return removed;
    kept->erase(kept->begin() + static_cast<std::ptrdiff_t>(goes));
    logins.erase(logins.begin() + static_cast<std::ptrdiff_t>(goes));
  }
  return Done{};
}

}  // namespace

Result<std::vector<Generation>> list_generations(const Store& store, UnixMs now) {
  const auto found = numbers(store);
  if (!found) return found.error_with("the generations of " + printable(store.path()));
  std::vector<Generation> generations;
  for (const unsigned number : *found) generations.push_back(describe(store, number, now));
  return generations;
}

Result<Store> open_generation(const Store& store, unsigned number) {
  auto opened = store.open_inside(place_of(number));
  if (opened || opened.error().number != ENOENT) return opened;
  return make_error(ErrorKind::not_found,
                    printable(store.path()) + " has no generation " + std::to_string(number),
                    "claude-init history lists those that it has");
}

Result<void> GenerationKeeper::before_change() {
  if (keep_ == 0 || changing_) return Done{};
  auto kept = keep_current(store_, kFound);
  if (!kept) return kept.error_with("keep the login that is to be replaced");
  changing_ = true;
  return Done{};
}

Result<void> GenerationKeeper::after_changes() {
  if (!changing_) return Done{};
  changing_ = false;
  if (auto kept = keep_current(store_, reason_); !kept) return kept.error_with("keep a generation");
  return prune(store_, keep_);
}

}  // namespace claude_init::store
