// One operation of the store as a program of its own, for tests that fail or kill it at a system call.
//
//   store_driver capture CONFIG_DIR STORE [delete] [LIMIT=N]...   LIMIT: max_bytes, max_files, max_depth
//   store_driver restore STORE CONFIG_DIR [LIMIT=N]...
//   store_driver recover STORE...
//   store_driver sealed VERB...      the same of a store with a key; to recover is also to settle
//
// The source is read with the rights of its owner. Prints what the report says, one skipped path a line; on
// an error its text on standard error, and exits with 1.
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "base/text.h"
#include "login/login.h"
#include "seal/seal.h"
#include "sync/capture.h"
#include "sync/restore.h"
#include "sync/settle.h"
#include "sync/transaction.h"

using namespace claude_init;

namespace {

/// Without stdio, which gives up when it is interrupted. What cannot be told is a failure.
int tell(int fd, std::string text, int status) {
  text += '\n';
  while (true) {
    if (::write(fd, text.data(), text.size()) >= 0) return status;
    if (errno != EINTR) return 2;
  }
}

int fail(const Error& error) {
  return tell(STDERR_FILENO, error.message(), 1);
}

int succeed(const std::string& login, const std::vector<sync::Skipped>& skipped) {
  std::string text = "login=" + login + " skipped=" + std::to_string(skipped.size());
  for (const auto& each : skipped) text += "\n" + printable(each.path) + ": " + each.reason;
  return tell(STDOUT_FILENO, std::move(text), 0);
}

fs::Identity owner_of(const char* path) {
  struct stat st {};
  return ::geteuid() == 0 && ::stat(path, &st) == 0 ? fs::Identity{st.st_uid, st.st_gid}
                                                    : fs::current_identity();
}

Result<store::Store> open_store(const char* path, bool sealed) {
  store::StoreOptions options;
  if (sealed) {
    auto key = seal::Key::derive(Secret("FAKE key of the fault tests, which is long enough"));
    if (!key) return key.error();
    options.seal = std::make_shared<const seal::Seal>(std::move(*key));
  }
  return store::Store::open(path, options);
}

struct Options {
  sync::Limits limits;
  bool delete_missing = false;
  bool sealed = false;
};

Options parse(int count, char** words, bool sealed) {
  Options options;
  options.sealed = sealed;
  sync::Limits& limits = options.limits;
  for (int i = 0; i < count; ++i) {
    const std::string_view word(words[i]);
    options.delete_missing |= word == "delete";
    const auto value = std::strtoull(words[i] + word.find('=') + 1, nullptr, 10);
    if (word.starts_with("max_bytes=")) limits.max_bytes = value;
    if (word.starts_with("max_files=")) limits.max_files = value;
    if (word.starts_with("max_depth=")) limits.max_depth = static_cast<unsigned>(value);
  }
  return options;
}

int capture(const char* config_dir, const char* path, const Options& asked) {
  const auto store = open_store(path, asked.sealed);
  if (!store) return fail(store.error());
  const auto lock = lock::Lock::acquire(*store, "store", "test", Milliseconds{0});
  if (!lock) return fail(lock.error());
  sync::CaptureOptions options;
  options.limits = asked.limits;
  if (asked.delete_missing) options.delete_missing = sync::Deletions::all;
  const auto report =
      sync::capture(store::state_in_config_dir(config_dir), owner_of(config_dir), *store, *lock, options);
  if (!report) return fail(report.error());
  const bool taken =
      report->login.choice == login::Choice::take || report->login.choice == login::Choice::same;
  return succeed(taken ? "saved" : report->login.reason, report->skipped);
}

int restore(const char* path, const char* config_dir, const Options& asked) {
  const auto store = open_store(path, asked.sealed);
  if (!store) return fail(store.error());
  const sync::RestoreOptions options{.refresh_token = store::RefreshToken::copy, .limits = asked.limits};
  const auto report =
      sync::restore(*store, store::state_in_config_dir(config_dir), owner_of(config_dir), options);
  if (!report) return fail(report.error());
  return succeed("saved", report->skipped);
}

int recover(const char* path, bool sealed) {
  const auto store = open_store(path, sealed);
  if (!store) return fail(store.error());
  if (sealed) {
    const auto lock = lock::Lock::acquire(*store, "store", "test", Milliseconds{0});
    if (!lock) return fail(lock.error());
    if (const auto settled = sync::settle(*store, *lock); !settled) return fail(settled.error());
  }
  const auto recovered = sync::Transaction::recover(store->tree());
  return recovered ? 0 : fail(recovered.error());
}

}  // namespace

int main(int argc, char** argv) {
  const bool sealed = argc > 1 && std::string_view(argv[1]) == "sealed";
  if (sealed) ++argv, --argc;
  const std::string_view verb = argc > 2 ? argv[1] : "";
  if (verb == "recover") {
    int status = 0;
    for (int i = 2; i < argc; ++i) status |= recover(argv[i], sealed);
    return status;
  }
  if (argc < 4) return 64;
  const Options options = parse(argc - 4, argv + 4, sealed);
  if (verb == "capture") return capture(argv[2], argv[3], options);
  return verb == "restore" ? restore(argv[2], argv[3], options) : 64;
}
