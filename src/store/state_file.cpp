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

constexpr std::size_t kMaxLogin = std::size_t{1} << 20;

}  // namespace

StateFile open_state_file(const Tree& tree, std::string_view name) {
  StateFile file;
  const fs::ActAs as(tree.who);
  auto opened = fs::open_regular(tree.root, name, fs::Links::beneath);
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
  file.fd = std::move(opened->fd);
  return file;
}

StateFile read_state_file(const Tree& tree, std::string_view name, std::size_t most) {
  StateFile file = open_state_file(tree, name);
  if (!file.fd.valid()) return file;
  auto text = fs::read_all(file.fd.get(), name == kCredentials ? kMaxLogin : most, name);
  file.fd.reset();
  if (!text) {
    file.problem = text.error();
    return file;
  }
  file.text = Secret(std::move(*text));
  return file;
}

std::string read_account_email(const Tree& tree) {
  const StateFile file = open_state_file(tree, kClaudeJson);
  return file.fd.valid() ? login::account_email(fs::read_pieces(file.fd.get())) : "";
}

login::State state_of_problem(const Error& problem) {
  return is_verdict(problem) ? login::State::malformed : login::State::unreadable;
}

bool is_newer(const struct stat& a, const struct stat& b) {
  constexpr std::int64_t kClocksDiffer = 300;  // seconds, between this machine and a file server
  const std::int64_t latest = unix_now() / 1000 + kClocksDiffer;
  const auto time_of = [&](const struct stat& st) {
    return st.st_mtim.tv_sec <= latest ? std::pair(st.st_mtim.tv_sec, st.st_mtim.tv_nsec)
                                       : std::pair<time_t, long>(0, 0);
  };
  return time_of(a) > time_of(b);
}

}  // namespace claude_init::store
