#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "store/store.h"

/// The working copies whose content belongs into a store, in case their sessions die: noted in the store,
/// where only claude-init writes. A directory that merely looks like such a copy may be the work of a job of
/// the same user.
namespace claude_init::store {

/// Notes the directory `copy`, which is called `name`, with a text for the one that finds it. Durable. Notes
/// of copies that have not been found for 35 days go. Errors: permission, read_only, no_space, io.
[[nodiscard]] Result<void> note_copy(const Store& store, const std::string& name, int copy,
                                     std::string_view text);

/// The text, where `copy` is the directory that was noted by this name; nothing where it is not. Error: that
/// cannot be known now.
[[nodiscard]] Result<std::optional<std::string>> noted_copy(const Store& store, const std::string& name,
                                                            int copy);

void forget_copy(const Store& store, const std::string& name);

}  // namespace claude_init::store
