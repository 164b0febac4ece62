// store_driver capture CONFIG_DIR STORE | restore STORE CONFIG_DIR: one operation of the store as a program
// of its own, for tests that fail or kill it at a system call. Prints what the report says; on an error its
// text on standard error, and exits with 1.
#include <unistd.h>

#include <cerrno>
#include <string>

#include "login/login.h"
#include "store/capture.h"
#include "store/restore.h"

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

int succeed(const std::string& login, std::size_t skipped) {
  return tell(STDOUT_FILENO, "login=" + login + " skipped=" + std::to_string(skipped), 0);
}

int capture(const char* config_dir, const char* path) {
  const auto store = store::Store::open(path);
  if (!store) return fail(store.error());
  const auto lock = store::Lock::acquire(*store, "store", "test", Milliseconds{0});
  if (!lock) return fail(lock.error());
  const auto report =
      store::capture(store::state_in_config_dir(config_dir), fs::current_identity(), *store, *lock, {});
  if (!report) return fail(report.error());
  const bool taken =
      report->login.choice == login::Choice::take || report->login.choice == login::Choice::same;
  std::printf("login=%s skipped=%zu\n", taken ? "saved" : report->login.reason.c_str(),
              report->skipped.size());
  return 0;
}

int restore(const char* path, const char* config_dir) {
  const auto store = store::Store::open(path);
  if (!store) return fail(store.error());
  const store::RestoreOptions options{.refresh_token = store::RefreshToken::copy};
  const auto report =
      store::restore(*store, store::state_in_config_dir(config_dir), fs::current_identity(), options);
  if (!report) return fail(report.error());
  return succeed("saved", report->skipped.size());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 64;
  return std::string(argv[1]) == "capture" ? capture(argv[2], argv[3]) : restore(argv[2], argv[3]);
}
