#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fs/identity.h"
#include "health/health.h"
#include "log/log.h"
#include "options/environment.h"
#include "store/inspect.h"

namespace claude_init::access {

/// What the words about an inspected store depend on, as it is now and here.
[[nodiscard]] health::Context health_context(const store::Inspection& inspection,
                                             const options::Environment& environment);

/// Whose rights a store is read with: those of its root's owner, where we may take them.
[[nodiscard]] fs::Identity reader_of(const store::Inspection& inspection);

/// The error of reading a store with what to do, as `health` says it, a line for each thing: where the store
/// is not there, and where it, or something in it, may not be read. One that has a remedy keeps that.
[[nodiscard]] Error with_how_to_read(Error error, const std::string& store,
                                     const options::Environment& environment);

/// What is worth a warning about the environment and the settings, whatever login `store` has.
[[nodiscard]] std::vector<std::string> environment_notes(const std::string& store,
                                                         const options::Environment& environment);

/// Says a store's state, what to do and what else is noted, as `health` does, with `before` put before the
/// headline; with --log-format json one line, and one for each note. `level` is error or warn; `status` is
/// the exit status of an error, for its name.
void print_explanation(log::Level level, std::string_view before, const health::Explanation& words,
                       const options::Environment& environment, int status = 0);

}  // namespace claude_init::access
