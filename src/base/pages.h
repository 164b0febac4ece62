#pragma once

namespace claude_init {

/// Gives up the pages of our code and constants that start-up has mapped: they stay in the page cache, and
/// what is needed again is mapped again at first use. For a process that waits from here on, for days
/// perhaps.
void forget_code();

/// Gives up what calls that have returned left on the main thread's stack: library code, such as the JSON
/// writer, keeps pieces of secrets there. Other threads' stacks stay as they are.
void forget_stack();

}  // namespace claude_init
