#include "store/provenance.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>

#include "base/random.h"
#include "base/text.h"
#include "fs/file.h"
#include "fs/identity.h"
#include "fs/newer_calls.h"
#include "fs/open.h"
#include "store/layout.h"
#include "store/sealed.h"

namespace claude_init::store {
namespace {

constexpr const char* kWitness = "locks/method";
constexpr std::size_t kMaxId = 4096;
constexpr std::size_t kMaxNames = 64;  // former ones, which fit into that

/// What the store's directory looks like; 0 = not known.
struct Evidence {
  std::uint64_t inode = 0;
  std::uint64_t born = 0;     // ns
  std::uint64_t fs = 0;       // statfs f_fsid
  std::uint64_t changed = 0;  // ns, of the witness
};

std::uint64_t nanoseconds(std::int64_t seconds, std::uint64_t rest) {
  return static_cast<std::uint64_t>(seconds) * 1'000'000'000 + rest;
}

Result<Evidence> gather_evidence(const Store& store) {
  Evidence found;
  const auto birth = fs::birth_of(store.fd());
  if (!birth) return system_error(birth.error().number, "stat " + printable(store.path()));
  found.inode = birth->inode;
  found.born = nanoseconds(birth->seconds, birth->nanoseconds);
  struct statfs fs {};
  if (::fstatfs(store.fd(), &fs) == 0) std::memcpy(&found.fs, &fs.f_fsid, sizeof found.fs);
  const std::string witness = fs::join(kPrivateDir, kWitness);
  struct stat st {};
  if (::fstatat(store.fd(), witness.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0)
    found.changed = nanoseconds(st.st_ctim.tv_sec, static_cast<std::uint64_t>(st.st_ctim.tv_nsec));
  return found;
}

/// Two values of which one may be unknown.
bool agree(std::uint64_t a, std::uint64_t b) {
  return a == 0 || b == 0 || a == b;
}

bool is_same_place(const Evidence& then, const Evidence& now) {
  if (then.changed != 0 && then.changed == now.changed) return true;
  if (then.inode != now.inode) return false;
  return then.born != 0 && now.born != 0 ? then.born == now.born : agree(then.fs, now.fs);
}

struct Record {
  StoreId id;
  Evidence evidence;
};

std::string format(const Record& record) {
  const Evidence& e = record.evidence;
  const std::string before =
      record.id.before.empty() ? "" : fmt::format("before {}\n", fmt::join(record.id.before, " "));
  return fmt::format("store {}\n{}host {}\nsince {}\ninode {}\nborn {}\nfs {}\nchanged {}\n", record.id.store,
                     before, record.id.host, record.id.since, e.inode, e.born, e.fs, e.changed);
}

template <class Number>
void parse_number(const std::map<std::string_view, std::string_view>& values, std::string_view key,
                  Number& to) {
  const auto at = values.find(key);
  if (at != values.end()) static_cast<void>(read_number(at->second, to));
}

/// Lines of a key and a value; unknown ones are a later version's.
Result<Record> parse(std::string_view text, const std::string& path) {
  std::map<std::string_view, std::string_view> values;
  while (!text.empty()) {
    std::string_view value = take_until(text, '\n');
    const std::string_view key = take_until(value, ' ');
    values[key] = value;
  }
  Record record;
  record.id.store = values["store"];
  for (std::string_view before = values["before"]; !before.empty();)
    record.id.before.emplace_back(take_until(before, ' '));
  record.id.host = values["host"];
  parse_number(values, "since", record.id.since);
  parse_number(values, "inode", record.evidence.inode);
  parse_number(values, "born", record.evidence.born);
  parse_number(values, "fs", record.evidence.fs);
  parse_number(values, "changed", record.evidence.changed);
  if (record.id.store.empty() || record.evidence.inode == 0)
    return make_error(ErrorKind::invalid, printable(path) + " is damaged",
                      "write it anew: claude-init setup --adopt");
  return record;
}

Result<Record> read_record(const Store& store, int root) {
  const std::string name = fs::join(kPrivateDir, kIdentity);
  const auto file = fs::open_regular(root, name, fs::Links::refuse);
  if (!file) return file.error();
  const auto text = fs::read_all(*file, kMaxId, name);
  if (!text) return text.error();
  return parse(*text, fs::join(store.path(), name));
}

Result<Record> new_record(const Store& store) {
  const auto evidence = gather_evidence(store);
  if (!evidence) return evidence.error();
  const std::string host = host_name();
  return Record{{random_name(), host.empty() ? "unknown" : host, unix_now()}, *evidence};
}

Result<UniqueFd> open_own(const Store& store) {
  return fs::open_beneath(store.fd(), kPrivateDir, O_RDONLY | O_DIRECTORY, fs::Links::refuse);
}

}  // namespace

Result<void> ensure_id(const Store& store) {
  const fs::ActAs as(store.owner());
  const auto own = open_own(store);
  if (!own) return own.error();
  // Not faccessat(2), which asks for the real user and not for the one that ActAs stands for.
  struct stat st {};
  if (::fstatat(own->get(), kIdentity, &st, AT_SYMLINK_NOFOLLOW) == 0) return Done{};
  if (errno != ENOENT) return system_error(errno, "name the store");  // it may have a name
  const auto record = new_record(store);
  if (!record) return record.error();
  // Of two that come at once the second one finds the first one's. Where there are no hard links, the last
  // one's stays.
  const std::string temporary = fmt::format("{}.{}", kIdentity, record->id.store);
  const auto written =
      fs::write_file(own->get(), temporary, format(*record), store.modes().file, fs::Sync::yes);
  if (!written) return written;
  int error = ::linkat(own->get(), temporary.c_str(), own->get(), kIdentity, 0) == 0 ? 0 : errno;
  if (error == EPERM || error == EOPNOTSUPP || error == ENOSYS || error == EMLINK || error == EACCES)
    error = ::renameat(own->get(), temporary.c_str(), own->get(), kIdentity) == 0 ? 0 : errno;
  ::unlinkat(own->get(), temporary.c_str(), 0);
  if (error != 0 && error != EEXIST) return system_error(error, "name the store");
  // What is sealed opens with this name only: it must not be lost by a power loss that spares the login.
  return fs::sync_to_disk(own->get(), kIdentity);
}

Result<seal::Home> home_of(const Store& store) {
  const fs::ActAs as(store.owner());
  const auto record = read_record(store, store.home());
  if (record) return seal::Home{record->id.store, record->id.before};
  Error error = record.error_with("what is sealed there opens with the store's identity");
  if (!is_for_now(error)) {
    error.remedy = fmt::format("put {} back from a backup of this store, or remove {} and log in anew",
                               printable(fs::join(fs::join(store.path(), kPrivateDir), kIdentity)),
                               printable(fs::join(store.path(), kSealedLogin)));
  }
  return error;
}

Result<StoreId> read_id(const Store& store) {
  const fs::ActAs as(store.owner());
  const auto record = read_record(store, store.fd());
  if (!record) return record.error_with("the identity of " + printable(store.path()));
  return record->id;
}

Result<void> check_identity(const Store& store) {
  const fs::ActAs as(store.owner());
  const auto record = read_record(store, store.fd());
  if (!record) {
    return record.error().number == ENOENT ? Result<void>(Done{})
                                           : record.error_with("the identity of " + printable(store.path()));
  }
  const auto now = gather_evidence(store);
  if (!now) return now.error();
  if (is_same_place(record->evidence, *now)) return Done{};
  return make_error(
      ErrorKind::usage,
      fmt::format("{} is a copy: this login's store was made elsewhere (on host {}, {}), and two stores that "
                  "renew one login log each other out",
                  printable(store.path()), printable(record->id.host), format_utc(record->id.since)),
      "if the original is gone or will not be used any more, take this one over: claude-init setup --adopt "
      "(CLAUDE_INIT_ADOPT=1), where a new login of its own may be made too");
}

Result<StoreId> replace_id(const Store& store) {
  const fs::ActAs as(store.owner());
  auto record = new_record(store);
  if (!record) return record.error();
  const auto own = open_own(store);
  if (!own) return own.error();
  // Who has the key seals it anew, under the new name (sync/settle.h); until then it may be taken over again.
  const auto former = read_record(store, store.fd());
  if (former && is_sealed(store)) {
    record->id.before = former->id.before;
    record->id.before.insert(record->id.before.begin(), former->id.store);
    record->id.before.resize(std::min(record->id.before.size(), kMaxNames));
  }
  const auto written =
      fs::replace_file(own->get(), kIdentity, format(*record), store.modes().file, fs::Sync::yes);
  if (!written) return written.error();
  return record->id;
}

}  // namespace claude_init::store
