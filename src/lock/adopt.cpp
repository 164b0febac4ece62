#include "lock/adopt.h"

#include "base/text.h"
#include "fs/identity.h"
#include "lock/lock_method.h"
#include "log/log.h"
#include "store/provenance.h"

namespace claude_init::lock {

// 1. How it is locked, as suits where it is now.
// 2. Its name, and what the place looks like with 1. in it.
Result<void> adopt(const store::Store& store, const Lock& /*held*/) {
  const fs::ActAs as(store.owner());
  const std::string what = "adopt " + printable(store.path());
  // 1.
  if (const auto decided = decide_locking_again(store); !decided) return decided.error_with(what);
  // 2.
  const auto id = store::replace_id(store);
  if (!id) return id.error_with(what);
  log::info("adopted", {{"store", store.path()}, {"id", id->store}});
  return Done{};
}

}  // namespace claude_init::lock
