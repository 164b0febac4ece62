#include "supervise/interpreter.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.h"
#include "base/unique_fd.h"

namespace claude_init::supervise {
namespace {

constexpr std::string_view kOtherLibrary =
    "is linked with a C library that is not here (musl's, glibc's): install that, or one built for this "
    "system";
constexpr std::string_view kElf = "\177ELF";
constexpr std::size_t kLine = 256;  // as much of it as Linux looks at (BINPRM_BUF_SIZE)

std::string beginning_of(const std::string& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  std::array<char, kLine> buffer{};
  const ssize_t length = fd.valid() ? ::read(fd.get(), buffer.data(), buffer.size()) : -1;
  return length > 0 ? std::string(buffer.data(), static_cast<std::size_t>(length)) : "";
}

}  // namespace

std::string how_to_interpret(const std::string& file) {
  const std::string beginning = beginning_of(file);
  if (beginning.starts_with(kElf)) return "it " + std::string(kOtherLibrary);
  if (!beginning.starts_with("#!")) return "";
  std::string_view line = std::string_view(beginning).substr(2);
  line = line.substr(0, line.find('\n'));
  const bool from_windows = line.ends_with('\r');
  if (from_windows) line.remove_suffix(1);
  line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  const std::string interpreter(line.substr(0, line.find_first_of(" \t")));
  const std::string name = printable(interpreter);
  if (name.empty()) return "";
  if (from_windows)
    return "its first line, which names " + name + ", ends as on Windows: save it with Unix line ends";
  if (beginning_of(interpreter).starts_with(kElf))
    return name + ", which its first line names, " + std::string(kOtherLibrary);
  return "install what its first line names, " + name + ", or name what is here";
}

}  // namespace claude_init::supervise
