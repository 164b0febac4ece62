#pragma once

namespace claude_init {

/// Gives up the pages of our code and constants that start-up has mapped: they stay in the page cache, and
/// what is needed again is mapped again at first use. For a process that waits from here on, for days
/// perhaps.
void forget_code();

}  // namespace claude_init
