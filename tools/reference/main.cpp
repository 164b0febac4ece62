#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "reference.h"

namespace claude_init::reference {

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size())
    text.replace(at, what.size(), with);
  return text;
}

namespace {

bool write(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) fmt::print(stderr, "write_reference: cannot write {}\n", path.string());
  return static_cast<bool>(file);
}

bool write_all(const std::filesystem::path& top) {
  bool done =
      write(top / "docs/reference/cli.md", markdown()) && write(top / "man/claude-init.1", man_page());
  for (const options::Page& page : options::pages())
    done = done && write(top / fmt::format("man/claude-init-{}.1", page.name), man_page(page));
  return done && write(top / "completions/claude-init.bash", bash_completion()) &&
         write(top / "completions/_claude-init", zsh_completion()) &&
         write(top / "completions/claude-init.fish", fish_completion());
}

}  // namespace
}  // namespace claude_init::reference

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs(
        "usage: write_reference DIRECTORY: writes docs/reference/cli.md, man/ and completions/ in it\n",
        stderr);
    return 64;
  }
  return claude_init::reference::write_all(argv[1]) ? 0 : 1;
}
