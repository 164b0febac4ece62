#include "renew/program.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "base/unique_fd.h"
#include "cli/known.h"

namespace claude_init::renew {
namespace {

using Program = store::RenewerNote::Program;

std::optional<Program> find_executable(const std::string& path) {
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr), &std::free);
  struct stat st {};
  if (real == nullptr || ::stat(real.get(), &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111) == 0)
    return std::nullopt;
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  // Not when its content was written: what is unpacked or copied into place keeps that time.
  return Program{real.get(), st.st_size, st.st_ctim.tv_sec * kNanoseconds + st.st_ctim.tv_nsec};
}

std::string_view path_in(const std::vector<std::string>& variables) {
  constexpr std::string_view kPath = "PATH=";
  for (const std::string& variable : variables) {
    if (variable.starts_with(kPath)) return std::string_view(variable).substr(kPath.size());
  }
  return {};
}

}  // namespace

std::optional<Program> program_of(const std::vector<std::string>& words,
                                  const std::vector<std::string>& environment) {
  const cli::Words parts = cli::split(words);
  if (parts.argv.empty()) return std::nullopt;
  const std::string& name = parts.argv.front();
  if (name.find('/') != std::string::npos) return find_executable(name);
  std::string_view path = path_in(parts.variables);
  if (path.empty()) path = path_in(environment);
  while (!path.empty()) {
    const std::size_t end = std::min(path.find(':'), path.size());
    if (end > 0) {
      if (auto found = find_executable(std::string(path.substr(0, end)) + '/' + name)) return found;
    }
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return std::nullopt;
}

bool is_itself(const Program& program) {
  constexpr std::int64_t kScript = 64 * 1024;  // the CLI's own are larger by far
  if (program.size >= kScript) return true;
  const UniqueFd fd(::open(program.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  char begin[2] = {};
  return ::pread(fd.get(), begin, sizeof begin, 0) == sizeof begin && begin[0] != '#';
}

}  // namespace claude_init::renew
