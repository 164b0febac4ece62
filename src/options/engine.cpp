#include "options/engine.h"

#include <unistd.h>

namespace claude_init::commands {

fs::Engine engine_of(const options::Environment& environment) {
  if (!environment.get("KUBERNETES_SERVICE_HOST").empty()) return fs::Engine::kubernetes;
  const std::string_view log_in = environment.get("CLAUDE_INIT_LOG_IN");
  if (log_in.starts_with("docker compose ") || log_in.starts_with("docker-compose "))
    return fs::Engine::compose;
  const bool podman = environment.get("container") == "podman" || ::access("/run/.containerenv", F_OK) == 0;
  return podman ? fs::Engine::podman : fs::Engine::docker;
}

}  // namespace claude_init::commands
