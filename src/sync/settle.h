#pragma once

#include <string_view>

#include "base/result.h"
#include "lock/lock.h"
#include "store/store.h"
#include "sync/transaction.h"

namespace claude_init::sync {

/// The one way in which a login gets into a store: of a store with a key both files (store/sealed.h). The
/// sealed one is put into place first, and is on the disk by then: what the plain one has, the sealed one
/// has.
[[nodiscard]] Result<void> add_login(Transaction& transaction, const store::Store& store,
                                     std::string_view login);

/// Brings a store that has the key in order; nothing to do with one without:
/// - A login that lies in plain is sealed, and so are those of its generations. What was plain is
/// overwritten,
///   and so is what a capture that was cut short has left.
/// - What a CLI has put into the plain file is judged as a capture would judge it, and goes.
/// - A plain file that is not what was sealed, since a write was cut short, is derived again.
/// - What is sealed by the old key, or under the store's former name, is sealed anew.
/// The login comes last: as long as it is not in order, the rest is looked through again, so it may be cut
/// off at any point. Not in a published store. Errors: usage (sealed with another key, in another store),
/// busy (a CLI is at its login), and those of a capture.
[[nodiscard]] Result<void> settle(const store::Store& store, const lock::Lock& lock);

/// Whether there is nothing to be done, as far as can be seen without the lock.
[[nodiscard]] bool is_settled(const store::Store& store);

}  // namespace claude_init::sync
