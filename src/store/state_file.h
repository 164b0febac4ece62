#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"
#include "base/unique_fd.h"
#include "login/login.h"
#include "store/tree.h"

namespace claude_init::store {

/// One of the two files that are judged by their content: `.credentials.json` and `.claude.json`.
struct StateFile {
  std::optional<Secret> text;     // the whole file; nothing where it is missing or cannot be read
  std::optional<struct stat> st;  // where it is there
  std::optional<Error> problem;   // why it cannot be read; nothing where it is missing
  bool damaged = false;           // by store/sealed.h: it is sealed, by our key, and its bytes are others
  UniqueFd fd;                    // of open_state_file() only
};

/// What a login file with this problem is: malformed or unreadable.
[[nodiscard]] login::State state_of_problem(const Error& problem);

/// Whether `a` was written later than `b`, by mtime. A time in the future counts as none: whoever can write a
/// file can set it.
[[nodiscard]] bool is_newer(const struct stat& a, const struct stat& b);

/// Reads `name` from the root of `tree` with the rights of its owner. A link is followed as long as it stays
/// beneath. Error limit inside `problem`: larger than a login can be (1 MiB), or, of `.claude.json`, which
/// grows with every project, than `most`.
inline constexpr std::size_t kUsualSettings = std::size_t{64} << 20;
[[nodiscard]] StateFile read_state_file(const Tree& tree, std::string_view name,
                                        std::size_t most = kUsualSettings);

/// The same without its text: for what is to be read piece by piece, however large it is.
[[nodiscard]] StateFile open_state_file(const Tree& tree, std::string_view name);

/// The address in the tree's `.claude.json`; "" where there is none.
[[nodiscard]] std::string read_account_email(const Tree& tree);

}  // namespace claude_init::store
