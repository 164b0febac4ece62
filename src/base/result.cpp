#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace claude_init {
namespace {

/// Of an entry, or of what a path leads through: a link, a socket, a file in a directory's place.
bool is_about_type(int error_number) {
  switch (error_number) {
    case ELOOP:
    case ENXIO:
    case ENOTDIR:
    case EISDIR:
    case EXDEV:
    case ENAMETOOLONG:
      return true;
    default:
      return false;
  }
}

}  // namespace

ErrorKind kind_of_errno(int error_number) {
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
    case ENXIO:
      return ErrorKind::not_found;
    case EACCES:
    case EPERM:
      return ErrorKind::permission;
    case EROFS:
      return ErrorKind::read_only;
    case ENOSPC:
    case EDQUOT:
      return ErrorKind::no_space;
    case EBUSY:
    case EWOULDBLOCK:
    case EEXIST:
    case ETXTBSY:
      return ErrorKind::busy;
    case EINVAL:
    case EILSEQ:
    case ELOOP:
    case ENAMETOOLONG:
      return ErrorKind::invalid;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EFBIG:
    case EMLINK:
      return ErrorKind::limit;
    case EIO:
    case ESTALE:
    case EREMOTEIO:
      return ErrorKind::io;
    default:
      return ErrorKind::system;
  }
}

std::string Error::message() const {
  if (number == 0) return what;
  // strerrordesc_np does not translate: no locale is loaded for it.
  const char* text = strerrordesc_np(number);
  return what + ": " + (text != nullptr ? text : "error " + std::to_string(number));
}

Error system_error(int error_number, std::string what) {
  return Error{kind_of_errno(error_number), error_number, std::move(what), {}};
}

bool is_lasting(int error_number) {
  switch (error_number) {
    case EACCES:
    case EPERM:
    case EBUSY:
    case EEXIST:
    case ENOTEMPTY:
    case EINVAL:
    case EILSEQ:
    case EMLINK:
    case ETXTBSY:
      return true;
    default:
      return error_number == ENOENT || is_about_type(error_number);
  }
}

bool is_verdict(const Error& error) {
  if (error.number != 0) return is_about_type(error.number);
  return error.kind == ErrorKind::invalid || error.kind == ErrorKind::limit;
}

Error make_error(ErrorKind kind, std::string what, std::string remedy) {
  return Error{kind, 0, std::move(what), std::move(remedy)};
}

}  // namespace claude_init
