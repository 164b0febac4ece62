#include "store/copies.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "base/text.h"
#include "fs/file.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "fs/tree.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

constexpr const char* kCopies = "copies";
constexpr std::size_t kMaxCopyNote = std::size_t{64} << 20;
constexpr std::size_t kMostNotes = 100'000;
constexpr std::time_t kKept = 35L * 86'400;

/// By which a directory is known again: not the file system's number, which may be another one after a
/// restart.
Result<std::string> mark_of_copy(int directory) {
  const auto birth = fs::birth_of(directory);
  if (!birth) return system_error(birth.error().number, "look at the working copy");
  return fmt::format("{} {} {}\n", birth->inode, birth->seconds, birth->nanoseconds);
}

std::string path_of(const std::string& name) {
  return fs::join(fs::join(kPrivateDir, kCopies), name);
}

void remove_old(int notes) {
  const auto entries = fs::list_directory(notes, kMostNotes);
  if (!entries) return;
  for (const fs::Entry& entry : *entries) {
    if (entry.st.st_mtim.tv_sec < std::time(nullptr) - kKept) ::unlinkat(notes, entry.name.c_str(), 0);
  }
}

}  // namespace

Result<void> note_copy(const Store& store, const std::string& name, int copy, std::string_view text) {
  const auto mark = mark_of_copy(copy);
  if (!mark) return mark.error();
  const fs::ActAs as(store.owner());
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), store.modes().directory);
  if (!own) return own.error();
  const auto notes = fs::make_directory(own->get(), kCopies, 0700);
  if (!notes) return notes.error();
  remove_old(notes->get());
  auto noted = fs::replace_file(notes->get(), name, *mark + std::string(text), 0600, fs::Sync::yes);
  if (!noted) return noted.error_with("note the working copy in " + printable(store.path()));
  return noted;
}

Result<std::optional<std::string>> noted_copy(const Store& store, const std::string& name, int copy) {
  const auto mark = mark_of_copy(copy);
  if (!mark) return mark.error();
  const fs::ActAs as(store.owner());
  const auto file = fs::open_regular(store.fd(), path_of(name), fs::Links::refuse);
  const auto text = file ? fs::read_all(*file, kMaxCopyNote, kCopies) : Result<std::string>(file.error());
  if (!text && is_for_now(text.error())) return text.error_with("know a working copy again");
  if (!text || !text->starts_with(*mark)) return std::optional<std::string>();
  return std::optional(text->substr(mark->size()));
}

void forget_copy(const Store& store, const std::string& name) {
  const fs::ActAs as(store.owner());
  const auto notes =
      fs::open_beneath(store.fd(), fs::join(kPrivateDir, kCopies), fs::kDirectory, fs::Links::refuse);
  if (notes) ::unlinkat(notes->get(), name.c_str(), 0);
}

}  // namespace claude_init::store
