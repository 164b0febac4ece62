#pragma once

#include <string>
#include <vector>

#include "options/environment.h"
#include "options/options.h"
#include "renew/renewer.h"
#include "store/store.h"
#include "supervise/supervisor.h"

namespace claude_init::access {

/// Renewing the login of `store`, as the options of a session want it.
[[nodiscard]] renew::Renewer::Options renewer_options(const options::Renewal& options,
                                                      const std::string& store,
                                                      const options::Environment& environment,
                                                      std::string purpose,
                                                      const store::StoreOptions& how = {});

/// For a login whose access token has expired, before anything is started with it: runs the loop until it has
/// been renewed, by `renewer` or by somebody else, or could not be. A stop signal ends the wait, but not a
/// renewal that has begun: returns that signal, else 0.
[[nodiscard]] int await_renewal(const supervise::Loop& loop, const std::string& store,
                                renew::Renewer& renewer);

}  // namespace claude_init::access
