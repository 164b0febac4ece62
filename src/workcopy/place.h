#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "user/account.h"

/// Where a working copy can lie. Everything here looks with the rights that the caller acts with.
namespace claude_init::workcopy {

struct Places {
  std::string chosen;       // --workdir: the only one then; "" = the first of the usual ones that will do
  std::string runtime_dir;  // $XDG_RUNTIME_DIR, "" if unset
};

/// The directories to try, in order: those in memory before those on disk.
[[nodiscard]] std::vector<std::string> candidates(const Places& places, const user::Account& target);

struct Demand {
  std::uint64_t bytes = 0;
  bool exec = false;  // the state has files with an x bit, which may be programs
};

/// What a place has to offer.
enum class Fit {
  comfortable,  // 1.5 times the bytes; in memory no more than half of what is left of that; programs can run
  just,         // the bytes. What the job needs beyond them is a guess, and no reason to refuse it
};

/// Opens a place that fits the demand. Errors say why it will not do: not_found, permission, read_only,
/// no_space, invalid (noexec).
[[nodiscard]] Result<UniqueFd> open_place(const std::string& path, const Demand& demand, Fit fit);

/// Whether nothing in an opened directory can be executed.
[[nodiscard]] bool is_noexec(int directory);

/// Bytes of memory that may still be used: the lesser of what the machine and our control group have left.
[[nodiscard]] std::uint64_t memory_left();

}  // namespace claude_init::workcopy
