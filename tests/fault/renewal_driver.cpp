// renewal_driver [sealed] STORE WORDS…: one renewal of the store's login by that command, as a program of its
// own, for tests that kill it at a system call. Prints what became of it; waits for somebody else's renewal
// to end.
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include "login/login.h"
#include "renew/renewal.h"
#include "seal/seal.h"
#include "store/sealed.h"
#include "supervise/signals.h"

using namespace claude_init;

namespace {

int tell(std::string text, int status) {
  text += '\n';
  return ::write(STDOUT_FILENO, text.data(), text.size()) >= 0 ? status : 2;
}

Secret token_in(const std::string& path, const store::StoreOptions& how) {
  const auto store = store::Store::open(path, how);
  if (!store) return {};
  const auto file = store::read_login(*store);
  return file.text ? login::access_token(file.text->reveal()) : Secret();
}

renew::Outcome renew_once(const std::string& path, const store::StoreOptions& how,
                          const std::vector<std::string>& words, const supervise::Inherited& inherited) {
  auto begun = renew::Renewal::begin(path, token_in(path, how), "test", how);
  if (const auto* outcome = std::get_if<renew::Outcome>(&begun)) return *outcome;
  auto& renewal = std::get<renew::Renewal>(begun);
  const auto spawned = supervise::spawn(inherited, renewal.command(words, {"PATH=/usr/bin:/bin"}), -1);
  renew::Ended ended;
  int status = 0;
  if (spawned && ::waitpid(spawned->pid, &status, 0) > 0) ended.change.number = WEXITSTATUS(status);
  return renewal.finish({}, ended);
}

}  // namespace

int main(int argc, char** argv) {
  store::StoreOptions how;
  if (argc > 1 && std::string_view(argv[1]) == "sealed") {
    auto key = seal::Key::derive(Secret("FAKE key of the fault tests, which is long enough"));
    if (!key) return tell(key.error().what, 1);
    how.seal = std::make_shared<const seal::Seal>(std::move(*key));
    ++argv, --argc;
  }
  if (argc < 3) return 64;
  const supervise::Inherited inherited = supervise::take_over_signals();
  const std::vector<std::string> words(argv + 2, argv + argc);
  for (;;) {
    const renew::Outcome outcome = renew_once(argv[1], how, words, inherited);
    switch (outcome.kind) {
      case renew::Outcome::Kind::renewed:
        return tell("renewed", 0);
      case renew::Outcome::Kind::not_due:
        return tell("not due", 0);
      case renew::Outcome::Kind::failed:
        return tell("failed: " + outcome.reason, 1);
      case renew::Outcome::Kind::refused:
      case renew::Outcome::Kind::rejected:
        return tell("rejected: " + outcome.reason, 1);
      case renew::Outcome::Kind::busy:
        std::this_thread::sleep_for(Milliseconds(5));
    }
  }
}
