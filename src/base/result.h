#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace claude_init {

/// What went wrong, in classes that callers decide by. `errno` is kept beside it for the text.
enum class ErrorKind {
  usage,        // the command line or a setting is wrong
  not_found,    // it is not there
  permission,   // EACCES, EPERM
  read_only,    // EROFS
  no_space,     // ENOSPC, EDQUOT
  no_place,     // no directory will do for a working copy
  busy,         // another process holds it
  invalid,      // content that cannot be understood
  limit,        // a limit of ours or of the system was reached (EMFILE, ENFILE, EFBIG, ...)
  io,           // EIO and everything else a device can say
  interrupted,  // by a signal that ends us (base/interrupt.h)
  system,       // any other failure of the system
};

/// The class of an errno value.
[[nodiscard]] ErrorKind kind_of_errno(int error_number);

/// One failure: its class, the errno that caused it (0 if none), what was being done to what, and, where
/// we know it, what a person can do about it.
struct Error {
  ErrorKind kind = ErrorKind::system;
  int number = 0;
  std::string what;
  std::string remedy;

  /// "WHAT: text of errno", without the remedy.
  [[nodiscard]] std::string message() const;
};

/// Error of a failed system call; reads nothing global: pass errno. `what` says what was being done to what.
[[nodiscard]] Error system_error(int error_number, std::string what);

/// Whether an errno is about what was looked at (missing, of another type, closed to us, in the way), and
/// will be the same at the next try. Every other one (no descriptors, no memory, a device that fails, an
/// interruption) is about this moment: nothing is concluded from it.
[[nodiscard]] bool is_lasting(int error_number);

/// Whether the error says that content, which was read, or the type of a file is not what it should be. After
/// any other error it is not known what is there.
[[nodiscard]] bool is_verdict(const Error& error);

/// Whether the error is about this moment: an errno that is not lasting.
[[nodiscard]] inline bool is_for_now(const Error& error) {
  return error.number != 0 && !is_lasting(error.number);
}

/// Error without errno.
[[nodiscard]] Error make_error(ErrorKind kind, std::string what, std::string remedy = {});

/// A value or an Error. Using the value of a failed Result is a programming error (std::bad_variant_access).
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit on purpose
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit on purpose

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  T& operator*() & { return std::get<0>(state_); }
  const T& operator*() const& { return std::get<0>(state_); }
  T&& operator*() && { return std::get<0>(std::move(state_)); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }

  /// The same error with "CONTEXT: " before what was being done; one layer adds context once.
  [[nodiscard]] Error error_with(std::string_view context) const {
    Error e = error();
    e.what = std::string(context) + ": " + e.what;
    return e;
  }

 private:
  std::variant<T, Error> state_;
};

/// Success without a value: `return Done{};`
struct Done {};

template <>
class [[nodiscard]] Result<void> : public Result<Done> {
 public:
  Result() : Result<Done>(Done{}) {}
  Result(Done done) : Result<Done>(done) {}                // NOLINT: implicit on purpose
  Result(Error error) : Result<Done>(std::move(error)) {}  // NOLINT: implicit on purpose
};

}  // namespace claude_init
