#include "store/lock_options.h"

namespace claude_init::store {

std::string_view name_of(Locking locking) {
  switch (locking) {
    case Locking::automatic:
      return "auto";
    case Locking::flock:
      return "flock";
    case Locking::lease:
      return "lease";
  }
  return "";
}

}  // namespace claude_init::store
