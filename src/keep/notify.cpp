#include "keep/notify.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "base/result.h"
#include "base/unique_fd.h"
#include "log/log.h"

namespace claude_init::keep {

void notify(std::string_view socket, std::string_view state) {
  if (socket.empty()) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto fail = [](int error) {
    log::failure(log::Level::warn, system_error(error, "tell the service manager ($NOTIFY_SOCKET)"));
  };
  if (socket.size() >= sizeof address.sun_path) return fail(ENAMETOOLONG);
  std::copy(socket.begin(), socket.end(), address.sun_path);
  // Abstract names begin with a null byte, and end where their length says.
  const bool abstract = socket.front() == '@';
  if (abstract) address.sun_path[0] = '\0';
  const auto size = offsetof(sockaddr_un, sun_path) + socket.size() + (abstract ? 0 : 1);
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.valid()) return fail(errno);
  const auto sent = ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(size));
  if (sent < 0) fail(errno);
}

}  // namespace claude_init::keep
