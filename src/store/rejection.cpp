#include "store/rejection.h"

#include <fcntl.h>

#include <nlohmann/json.hpp>
#include <string>

#include "fs/file.h"
#include "fs/identity.h"
#include "fs/open.h"
#include "login/json.h"
#include "store/layout.h"

namespace claude_init::store {
namespace {

using nlohmann::json;

constexpr const char* kStatus = "status.json";
constexpr const char* kRejected = "rejected";
constexpr const char* kBurnt = "burnt";
constexpr std::size_t kMaxStatusBytes = 1 << 16;

/// Which login it was.
json name_of(const login::Login& login) {
  return {{"expires_at", login.expires_at}, {"account_uuid", login.account_uuid}};
}

}  // namespace

Result<void> record_rejection(const Store& store, const login::Login& login, Rejection why, UnixMs now) {
  const fs::ActAs as(store.owner());
  const auto own = fs::make_directory(store.fd(), std::string(kPrivateDir), store.modes().directory);
  if (!own) return own.error();
  json status;
  status[kRejected] = name_of(login);
  status[kRejected]["since"] = format_iso8601(now);
  if (why == Rejection::burnt) status[kRejected][kBurnt] = true;
  return fs::replace_file(own->get(), kStatus, status.dump() + '\n', store.modes().file, fs::Sync::yes);
}

Rejection rejection_of(const Tree& store, const login::Login& login) {
  const fs::ActAs as(store.who);
  const auto file = fs::open_regular(store.root, fs::join(kPrivateDir, kStatus), fs::Links::refuse);
  if (!file) return Rejection::none;
  const auto text = fs::read_all(*file, kMaxStatusBytes, kStatus);
  if (!text) return Rejection::none;
  const auto rejected = login::json_member(login::whole(*text), kRejected, {});
  if (!rejected || !rejected->is_object()) return Rejection::none;
  const json expected = name_of(login);
  for (const auto& [key, value] : expected.items()) {
    if (!rejected->contains(key) || (*rejected)[key] != value) return Rejection::none;
  }
  const bool burnt = rejected->contains(kBurnt) && (*rejected)[kBurnt] == true;
  return burnt ? Rejection::burnt : Rejection::by_server;
}

}  // namespace claude_init::store
