#include "store/generations.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <optional>

#include "base/secret.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "log/log.h"
#include "store/layout.h"
#include "store/sealed.h"
#include "store/state_file.h"

namespace claude_init::store {
namespace {

constexpr const char* kAbout = "about";  // in a `.claude-init` of the generation's own: never restored
constexpr std::size_t kMaxAbout = 4096;
constexpr const char* kFound = "found";
constexpr const char* kRenewal =
    "renewal";  // proven, also where the mark is missing: earlier versions made none
constexpr std::string_view kProven = "\nproven\n";

/// What is kept: the login files, and what is sealed of a login.
constexpr auto kKeptFiles = [] {
  std::array<std::string_view, kLoginFiles.size() + 1> names{};
  std::copy(kLoginFiles.begin(), kLoginFiles.end(), names.begin());
  names.back() = kSealedLogin;
  return names;
}();
using Contents = std::array<StateFile, kKeptFiles.size()>;

/// Error: one of them cannot be read now. What is no file, far too large or closed to us is none.
Result<Contents> read_contents(const Tree& tree) {
  Contents contents;
  for (std::size_t i = 0; i < kKeptFiles.size(); ++i) {
    contents[i] = read_state_file(tree, kKeptFiles[i]);
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
    if (file.st) at = std::max(at, unix_ms(file.st->st_mtim));
  }
  return at;
}

std::string place_of(std::uint64_t number) {
  return fs::join(fs::join(kPrivateDir, kGenerations), std::to_string(number));
}

/// The generations' numbers in ascending order; none where there is no such directory. Captures count one by
/// one: what lies beyond a gap that would take them centuries was put there by hand, and its lowest is
/// `absurd`. So there is always a next number.
Result<std::vector<std::uint64_t>> numbers(const Store& store, std::uint64_t* absurd = nullptr) {
  constexpr std::uint64_t kWidestGap = 1'000'000;
  std::vector<std::uint64_t> found;
  const fs::ActAs as(store.owner());
  const auto directory = fs::open_beneath(store.fd(), fs::join(kPrivateDir, kGenerations),
                                          O_RDONLY | O_DIRECTORY, fs::Links::refuse);
  if (!directory) return directory.error().number == ENOENT ? Result(found) : directory.error();
  const auto names = fs::list_names(directory->get());
  if (!names) return names.error();
  for (const std::string& name : *names) {
    std::uint64_t number = 0;
    if (read_number(name, number) && std::to_string(number) == name) found.push_back(number);
  }
  std::sort(found.begin(), found.end());
  std::uint64_t before = 0;
  for (auto at = found.begin(); at != found.end(); before = *at++) {
    if (*at - before <= kWidestGap) continue;
    if (absurd != nullptr) *absurd = *at;
    found.erase(at, found.end());
    break;
  }
  return found;
}

/// Reason and time, two lines, and a third one where the login is proven. One that cannot be read says
/// nothing. Error: it cannot be read now.
Result<void> read_about(const Store& generation, Generation& about) {
  const fs::ActAs as(generation.owner());
  const auto file = fs::open_regular(generation.fd(), fs::join(kPrivateDir, kAbout), fs::Links::refuse);
  const auto text = file ? fs::read_all(*file, kMaxAbout, kAbout) : Result<std::string>(file.error());
  if (!text) return is_for_now(text.error()) ? Result<void>(text.error()) : Done{};
  std::string_view rest = *text;
  about.reason = take_until(rest, '\n');
  about.proven = about.reason == kRenewal || text->ends_with(kProven);
  static_cast<void>(read_number(take_until(rest, '\n'), about.at));
  return Done{};
}

Generation describe(const Store& store, std::uint64_t number, UnixMs now) {
  Generation generation;
  generation.number = number;
  const auto opened = open_generation(store, number);
  if (!opened) {
    generation.state = state_of_problem(opened.error());
    return generation;
  }
  static_cast<void>(read_about(*opened, generation));  // to be shown: then it is not
  const StateFile credentials = read_login(*opened);
  generation.sealed = is_sealed(*opened);
  if (credentials.problem) generation.state = state_of_problem(*credentials.problem);
  if (credentials.text) {
    login::Judged judged = login::judge_file(credentials.text->reveal(), now);
    generation.state = judged.state;
    generation.login = std::move(judged.login);
  }
  generation.account = read_account_email(opened->tree());
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
  if (const auto& sealed = contents.back().text) {
    const std::string name = fs::name_of(std::string(kSealedLogin));
    auto written = fs::write_file(own->get(), name, sealed->reveal(), modes.file, fs::Sync::yes);
    if (!written) return written;
  }
  if (auto written = fs::write_file(own->get(), kAbout, about, modes.file, fs::Sync::yes); !written)
    return written;
  if (auto synced = fs::sync_to_disk(own->get(), kAbout); !synced) return synced;
  return fs::sync_to_disk(directory, kGenerations);
}

// 1. The place, and nothing in it that a crash has left.
// 2. Everything under a name that no reader looks for.
// 3. It gets its number.
Result<void> write_generation(const Store& store, std::uint64_t number, const Contents& contents,
                              const std::string& about) {
  const fs::ActAs as(store.owner());
  const Modes modes = store.modes();
  // 1.
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), modes.directory);
  if (!own) return own.error();
  const auto all = fs::make_directory(own->get(), kGenerations, modes.directory);
  if (!all) return all.error();
  if (auto removed = fs::remove_tree(all->get(), kUnfinishedGeneration); !removed) return removed;
  // 2.
  const auto made = fs::make_directory(all->get(), kUnfinishedGeneration, modes.directory);
  if (!made) return made.error();
  if (auto filled = fill(made->get(), contents, about, modes); !filled) {
    static_cast<void>(fs::remove_tree(all->get(), kUnfinishedGeneration));
    return filled;
  }
  // 3.
  if (::renameat(all->get(), kUnfinishedGeneration, all->get(), std::to_string(number).c_str()) != 0)
    return system_error(errno, "name the generation");
  if (auto synced = fs::sync_to_disk(all->get(), kGenerations); !synced) return synced;
  if (auto synced = fs::sync_to_disk(own->get(), kPrivateDir); !synced) return synced;
  // The first one may be the first thing in a directory of ours that was made just now.
  return number == 1 ? fs::sync_to_disk(store.fd(), store.path()) : Result<void>(Done{});
}

/// Makes sure that the newest generation is what the store has now.
Result<void> keep_current(const Store& store, std::string_view reason, bool proves) {
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
  const std::uint64_t next = existing->empty() ? 1 : existing->back() + 1;
  const UnixMs at = reason == kFound ? written_at(*current) : unix_now();
  const StateFile login = read_login(store);
  const auto known = login.text ? is_proven(store, login.text->reveal()) : Result<bool>(false);
  if (!proves && !known) return known.error();
  const bool proven = proves || *known;
  return write_generation(store, next, *current,
                          fmt::format("{}\n{}{}", reason, at, proven ? kProven : std::string_view("\n")));
}

/// One of those that are kept.
struct Kept {
  std::uint64_t number = 0;
  bool has_login = false;
  Secret access_token;
  Secret refresh_token;
  bool proven = false;
  std::optional<Error> unknown;  // it cannot be read now

  /// Whether Claude's login is the same, whatever has changed beside it.
  [[nodiscard]] bool has_same_login(const Kept& other) const {
    return has_login == other.has_login && access_token == other.access_token &&
           refresh_token == other.refresh_token;
  }
};

Result<std::vector<Kept>> list_all(const Store& store, std::uint64_t* absurd) {
  std::vector<Kept> all;
  const auto found = numbers(store, absurd);
  if (!found) return found.error();
  for (const std::uint64_t number : *found) {
    const auto opened = open_generation(store, number);
    Kept& kept = all.emplace_back();
    kept.number = number;
    const StateFile login = opened ? read_login(*opened) : StateFile{};
    const std::optional<Error> problem = opened ? login.problem : opened.error();
    if (problem && is_for_now(*problem)) kept.unknown = problem;
    kept.has_login = login.text.has_value();
    if (login.text) {
      kept.access_token = login::access_token(login.text->reveal());
      kept.refresh_token = login::refresh_token(login.text->reveal());
    }
    if (!opened) continue;
    Generation generation;
    if (const auto about = read_about(*opened, generation); !about) kept.unknown = about.error();
    kept.proven = generation.proven;
  }
  return all;
}

/// Which one goes; never the newest, nor the last proven one: then none, which is the size.
std::size_t which_goes(const std::vector<Kept>& kept) {
  const auto last_proven =
      std::find_if(kept.rbegin(), kept.rend(), [](const Kept& each) { return each.proven; });
  const auto stays = static_cast<std::size_t>(kept.rend() - last_proven) - 1;  // none: beyond all
  std::size_t goes = kept.size();
  for (std::size_t i = kept.size() - 1; i-- > 0;) {
    if (i != stays) goes = i;
  }
  for (std::size_t i = 0; i + 1 < kept.size(); ++i) {
    if (i != stays && kept[i].has_same_login(kept[i + 1])) return i;
  }
  return goes;
}

Result<void> prune(const Store& store, unsigned keep) {
  std::uint64_t absurd = 0;
  auto kept = list_all(store, &absurd);
  if (!kept) return kept.error();
  if (absurd != 0) {
    log::warn("a directory among the generations is not one of them and is ignored: remove it",
              {{"path", fs::join(store.path(), place_of(absurd))}});
  }
  if (kept->size() <= keep) return Done{};
  for (const Kept& each : *kept) {
    if (each.unknown) return *each.unknown;  // what it is the same as is not known
  }
  const fs::ActAs as(store.owner());
  const auto all = fs::open_beneath(store.fd(), fs::join(kPrivateDir, kGenerations), O_RDONLY | O_DIRECTORY,
                                    fs::Links::refuse);
  if (!all) return all.error();
  while (kept->size() > keep) {
    const std::size_t goes = which_goes(*kept);
    if (goes == kept->size()) break;
    const std::string name = std::to_string((*kept)[goes].number);
    if (auto removed = fs::remove_tree(all->get(), name); !removed) return removed;
    kept->erase(kept->begin() + static_cast<std::ptrdiff_t>(goes));
  }
  return Done{};
}

}  // namespace

Result<std::vector<Generation>> list_generations(const Store& store, UnixMs now) {
  const auto found = numbers(store);
  if (!found) return found.error_with("the generations of " + printable(store.path()));
  std::vector<Generation> generations;
  for (const std::uint64_t number : *found) generations.push_back(describe(store, number, now));
  return generations;
}

Result<std::vector<std::uint64_t>> generation_numbers(const Store& store) {
  auto found = numbers(store);
  return found ? std::move(found) : found.error_with("the generations of " + printable(store.path()));
}

Result<std::uint64_t> newest_generation(const Store& store) {
  const auto found = numbers(store);
  if (!found) return found.error_with("the generations of " + printable(store.path()));
  return found->empty() ? 0 : found->back();
}

Result<Store> open_generation(const Store& store, std::uint64_t number) {
  auto opened = store.open_inside(place_of(number));
  if (opened || opened.error().number != ENOENT) return opened;
  return make_error(ErrorKind::not_found,
                    printable(store.path()) + " has no generation " + std::to_string(number),
                    "claude-init history lists those that it has");
}

Result<bool> is_proven(const Store& store, std::string_view login) {
  const Secret access = login::access_token(login);
  const Secret refresh = login::refresh_token(login);
  const auto kept = access.empty() ? Result(std::vector<Kept>()) : list_all(store, nullptr);
  if (!kept) return is_for_now(kept.error()) ? Result<bool>(kept.error()) : false;
  const bool proven = std::any_of(kept->begin(), kept->end(), [&](const Kept& each) {
    return each.proven && each.access_token == access && each.refresh_token == refresh;
  });
  if (proven) return true;
  for (const Kept& each : *kept) {
    if (each.unknown) return *each.unknown;
  }
  return false;
}

Result<void> GenerationKeeper::before_change() {
  if (keep_ == 0 || changing_) return Done{};
  auto kept = keep_current(store_, kFound, false);
  if (!kept) return kept.error_with("keep the login that is to be replaced");
  changing_ = true;
  return Done{};
}

Result<void> GenerationKeeper::after_changes() {
  if (!changing_) return Done{};
  changing_ = false;
  if (auto kept = keep_current(store_, reason_, proves_); !kept) return kept.error_with("keep a generation");
  return prune(store_, keep_);
}

}  // namespace claude_init::store
