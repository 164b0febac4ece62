#include "ui/remedies.h"

#include <fmt/format.h>

#include "base/text.h"

namespace claude_init::ui {
namespace {

Engine g_engine = Engine::docker;  // a process is in one container

/// Where it is to be typed, and what the directory is called there.
std::string on_host(bool in_container) {
  return in_container ? "on the host: " : "";
}

std::string host_name_of(const std::string& directory, bool in_container) {
  return in_container ? "HOST_DIR" : shell_quote(directory);
}

}  // namespace

void be_started_by(Engine engine) {
  g_engine = engine;
}

const char* engine_command() {
  return g_engine == Engine::podman ? "podman" : "docker";
}

std::string how_to_run_as(fs::Identity who) {
  switch (g_engine) {
    case Engine::compose:
      return fmt::format("run as uid {0}: CLAUDE_HUB_USER={0}:{1} in .env, then docker compose up --detach",
                         who.uid, who.gid);
    case Engine::kubernetes:
      return fmt::format("run as uid {}: runAsUser: {}, runAsGroup: {} in the pod's securityContext", who.uid,
                         who.uid, who.gid);
    default:
      return fmt::format("run as uid {1}: {0} run --user {1}:{2}", engine_command(), who.uid, who.gid);
  }
}

std::string how_to_drop_to(fs::Identity who) {
  return fmt::format("stay uid {0}: leave {2} run --user out, and add -e CLAUDE_INIT_USER={0}:{1}", who.uid,
                     who.gid, engine_command());
}

std::string how_to_become(fs::Identity who) {
  // Becoming another user does not need KILL; stopping what then runs as that user does.
  return "root without capabilities has no more rights than others: --cap-add SETUID --cap-add SETGID "
         "--cap-add KILL; or " +
         how_to_run_as(who);
}

std::string how_to_give(const std::string& directory, fs::Identity who, bool in_container) {
  return fmt::format("{}sudo chown -R {}:{} {dir} && sudo chmod -R u+rwX,go= {dir}", on_host(in_container),
                     who.uid, who.gid, fmt::arg("dir", host_name_of(directory, in_container)));
}

std::string how_to_make(const std::string& directory, fs::Identity who) {
  return fmt::format("sudo install -d -o {} -g {} -m 700 {}", who.uid, who.gid, shell_quote(directory));
}

std::string how_to_let_pass(const std::string& directory) {
  return "let every user pass through it, which does not show its content: sudo chmod a+x " +
         shell_quote(directory);
}

std::string how_to_open_modes(const std::string& directory, bool in_container) {
  // On a host its owner reads this; a container's host may have another user there.
  return fmt::format("{}{}chmod -R u+rwX {}", on_host(in_container), in_container ? "sudo " : "",
                     host_name_of(directory, in_container));
}

}  // namespace claude_init::ui
