#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "workcopy/account.h"

/// Where a working copy can lie. Everything here looks with the rights that the caller acts with.
namespace claude_init::workcopy {

struct Places {
  std::string chosen;       // --workdir: the only one then; "" = the first of the usual ones that will do
  std::string runtime_dir;  // $XDG_RUNTIME_DIR, "" if unset
};

/// The directories to try, in order: those in memory before those on disk.
[[nodiscard]] std::vector<std::string> candidates(const Places& places, const Account& target);

struct Demand {
  std::uint64_t bytes =
      0;              // 1.5 times as many must be free; in memory no more than half of what is left of that
  bool exec = false;  // a noexec place will not do
};

/// Opens a place that meets the demand. Errors say why it will not do: not_found, permission, read_only,
/// no_space, invalid (noexec).
[[nodiscard]] Result<UniqueFd> open_place(const std::string& path, const Demand& demand);

/// Bytes of memory that may still be used: the lesser of what the machine and our control group have left.
[[nodiscard]] std::uint64_t memory_left();

}  // namespace claude_init::workcopy
