#include "store/state_file.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

// `.claude.json` grows with every project; a login is a few kilobytes.
std::size_t limit_of(std::string_view name) {
  return std::size_t{name == kCredentials ? 1u : 64u} << 20;
}

}  // namespace

StateFile read_state_file(const Tree& tree, std::string_view name) {
  StateFile file;
  const fs::ActAs as(tree.who);
  const auto opened = fs::open_regular(tree.root, name, fs::Links::beneath);
  if (!opened) {
    if (opened.error().number == ENOENT) return file;
    file.problem = opened.error();
    if (opened.error().number == EXDEV) {
      file.problem = make_error(ErrorKind::invalid, std::string(name) + " is a link that points outside");
      struct stat st {};
      if (::fstatat(tree.root, std::string(name).c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) file.st = st;
      return file;
    }
    // Who owns a file that may not be read is what a person wants to know.
    const auto place = fs::open_beneath(tree.root, name, O_PATH, fs::Links::beneath);
    struct stat st {};
    if (place && ::fstat(place->get(), &st) == 0) file.st = st;
    return file;
  }
  file.st = opened->st;
  auto text = fs::read_all(*opened, limit_of(name), name);
  if (!text) {
    file.problem = text.error();
    return file;
  }
  file.text = Secret(std::move(*text));
  return file;
}

login::State state_of_problem(const Error& problem) {
  return is_verdict(problem) ? login::State::malformed : login::State::unreadable;
}

bool is_newer(const struct stat& a, const struct stat& b) {
  return std::pair(a.st_mtim.tv_sec, a.st_mtim.tv_nsec) > std::pair(b.st_mtim.tv_sec, b.st_mtim.tv_nsec);
}

}  // namespace claude_init::store
