#include "store/sealed.h"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "base/text.h"
#include "fs/open.h"
#include "login/login.h"
#include "store/layout.h"
#include "store/provenance.h"

namespace claude_init::store {
namespace {

constexpr std::size_t kMaxSealed = (std::size_t{1} << 20) + seal::kOverhead;

/// Which file, and of which store.
Error about(const Store& store, const Error& error) {
  Error said = error;
  said.what = printable(fs::join(store.path(), kSealedLogin)) + " " + error.what;
  if (said.remedy.empty())
    said.remedy = "log in anew, or take an earlier login: claude-init history lists them";
  return said;
}

/// It is no file, or one that is far too large.
Error in_the_way(const Store& store, const Error& error) {
  const std::string place = fs::join(store.path(), kSealedLogin);
  return make_error(
      ErrorKind::invalid, printable(store.path()) + ": " + error.message(),
      "move it away, and log in anew: mv " + shell_quote(place) + " " + shell_quote(place + ".old"));
}

}  // namespace

/// A login that a link leads to is sealed too, and what cannot be one is in the place of one.
bool is_sealed(const Store& store) {
  const fs::ActAs as(store.owner());
  const auto file = fs::open_beneath(store.fd(), kSealedLogin, O_PATH, fs::Links::refuse);
  return file.ok() || (file.error().number != ENOENT && file.error().number != ENOTDIR);
}

SealedLogin open_sealed(const Store& store) {
  SealedLogin found;
  if (!store.options().seal) return found;
  StateFile& file = found.file = read_state_file(store.tree(), kSealedLogin, kMaxSealed);
  if (file.problem && is_verdict(*file.problem)) file.problem = in_the_way(store, *file.problem);
  if (!file.text) return found;
  const auto home = home_of(store);
  auto opened =
      home ? store.options().seal->open(file.text->reveal(), *home) : Result<seal::Opened>(home.error());
  file.text.reset();
  if (opened) {
    file.text = std::move(opened->text);
    found.current = opened->current;
    return found;
  }
  file.damaged = opened.error().kind == ErrorKind::invalid && home.ok();
  file.problem = home ? about(store, opened.error()) : opened.error();
  return found;
}

StateFile read_login(const Store& store) {
  StateFile sealed = open_sealed(store).file;
  StateFile plain = read_state_file(store.tree(), kCredentials);
  if (!sealed.text && !sealed.problem) return plain;
  if (plain.st) sealed.st = plain.st;
  return sealed;
}

Result<SealedPair> seal_login(const Store& store, std::string_view login) {
  auto plain = login::without_refresh_token(login);
  if (!plain) return plain.error();
  const auto home = home_of(store);
  if (!home) return home.error();
  SealedPair pair{store.options().seal->close(login, home->name), std::move(*plain)};
  const auto opened = store.options().seal->open(pair.sealed, *home);
  if (!opened) return opened.error_with("seal the login");
  if (opened->text.reveal() != login) return make_error(ErrorKind::io, "what was sealed opens differently");
  return pair;
}

Result<void> check_opens(const Store& store) {
  const StateFile sealed = open_sealed(store).file;
  return sealed.problem && !sealed.damaged ? Result<void>(*sealed.problem) : Done{};
}

Error needs_key(const Store& store, std::string_view what) {
  return make_error(ErrorKind::usage, printable(store.path()) + " is sealed: " + std::string(what),
                    "name the key's file: --seal-key FILE (CLAUDE_INIT_SEAL_KEY)");
}

}  // namespace claude_init::store
