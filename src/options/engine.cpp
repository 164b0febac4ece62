#include "options/engine.h"

#include <unistd.h>

namespace claude_init::options {

ui::Engine engine_of(const options::Environment& environment) {
  if (!environment.get("KUBERNETES_SERVICE_HOST").empty()) return ui::Engine::kubernetes;
  const std::string_view told = environment.get(kLoginCommand);
  if (told.starts_with("docker compose ") || told.starts_with("docker-compose ")) return ui::Engine::compose;
  const bool podman = environment.get("container") == "podman" || ::access("/run/.containerenv", F_OK) == 0;
  return podman ? ui::Engine::podman : ui::Engine::docker;
}

}  // namespace claude_init::options
