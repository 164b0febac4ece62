#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "store/store.h"

/// A published store: what a store has, but for the refresh token, so that whoever can read it can use the
/// login and not renew it. It is one in its readers' eyes like any other. `.claude-init/published` marks it.
namespace claude_init::store {

[[nodiscard]] bool is_published(const Store& store);

/// Whether it is a volume of Kubernetes' (a Secret, a ConfigMap, or several projected into one), in which the
/// kubelet puts what is new.
[[nodiscard]] bool is_kubernetes_volume(const Store& store);

/// The directory that `from` is published into, made if it is missing, as something to capture into with the
/// refresh token withheld. When it returns there is no refresh token of the CLI's login beneath it, whatever
/// was in it before: neither in the login nor in what `.claude-init/` keeps of earlier ones. A directory that
/// is not marked and whose own login can still be used is left as it is, unless it is a copy of the store's:
/// somebody may have no other. Errors: usage (it is the store, or beneath or around it), invalid (a login of
/// its own), busy, and those of prepare().
[[nodiscard]] Result<Store> open_published(const std::string& directory, const Store& from,
                                           Milliseconds wait = Milliseconds(5000));

}  // namespace claude_init::store
