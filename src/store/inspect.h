#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "fs/identity.h"
#include "login/login.h"
#include "login/merge.h"
#include "store/store.h"

namespace claude_init::store {

/// The login of a store as a reader sees it. Changes nothing, takes no lock, contacts no one.
struct Inspection {
  login::State state = login::State::no_store;
  std::optional<login::Login> login;
  std::string email;  // of .claude.json, "" if unknown
  std::string path;   // the store
  // The server has rejected its refresh token: it works until the access token expires, and is dead then.
  bool renewal_rejected = false;
  bool renewal_burnt = false;  // that, since a renewal spent the refresh token and did not save the new one
  bool denied = true;          // unreadable: permission was denied, not something else
  bool is_for_now = false;  // unreadable: by an error of this moment (no descriptors, no memory, a device's)
  std::string barred_by;    // where `mode` is 0: the directory above that may not be entered, if it is known
  std::string problem;      // what is wrong, for a person; "" if usable
  std::string remedy;       // unreadable: what to do about it, where it is not the modes
  fs::Identity owner;       // of the store's root, where `mode` is not 0
  bool in_the_way = false;  // malformed: it is no login file, and no capture would replace it (a directory, a
                            // link that leads outside, larger than any)
  unsigned mode = 0;        // st_mode of the store's root; 0: it could not be looked at
  fs::Identity file_owner;  // of .credentials.json, where `file_mode` is not 0
  unsigned file_mode = 0;   // st_mode of .credentials.json; 0: it could not be looked at, or is not there
  UnixMs file_modified = 0;
  // The access token is said to live longer than any does, and neither a renewal of ours nor a person in a
  // setup session has made it: until when it works is not known.
  bool deadline_doubtful = false;
  std::vector<login::Other> other_logins;  // beside it
  bool sealed = false;                     // its login is (store/sealed.h)
  bool opened = false;                     // and was read by its key
  [[nodiscard]] bool is_shut() const { return sealed && !opened; }
  bool open_to_all = false;  // the login can be read by everyone: its mode and those of all directories
                             // above it allow that
  bool read_only = false;    // the mount is read-only
  bool is_directory = true;  // false: a file was mounted instead
  bool published = false;    // from another store, in which people log in (published.h)
  bool placeholder = false;  // without any token: for jobs behind the gateway (login/placeholder.h)
  std::string unpublished;   // what its keeper has left beside one without a login that can be used: why it
                             // cannot publish (published.h)
  bool empty_directory = false;  // nothing in it at all: the engine creates such a one, owned by root, when a
                                 // bind mount's source did not exist
};
[[nodiscard]] Inspection inspect(const std::string& path, UnixMs now, const StoreOptions& options);
[[nodiscard]] Inspection inspect(const std::string& path, UnixMs now);

/// Why the store cannot be written by us; "" where it can. Writes nothing.
[[nodiscard]] std::string why_not_writable(const Inspection& inspection);

}  // namespace claude_init::store
