#pragma once

#include <string>
#include <string_view>
#include <vector>

/// Where the CLI keeps the sessions of a working directory (measured on 2.1.332):
/// projects/NAME/SESSION.jsonl, those of its agents in projects/NAME/SESSION/subagents/, its memory in
/// projects/NAME/memory/. What is said here in patterns (layout.h, Filter) holds for the directory and for
/// all that may lie beneath it, whose names begin alike.
namespace claude_init::store {

/// NAME: each UTF-16 unit that is no ASCII letter or digit is a "-". A pattern where it is long: the CLI puts
/// a hash behind the first 200.
[[nodiscard]] std::string project_of(std::string_view directory);

/// Everything of its sessions that lies in projects/.
[[nodiscard]] std::vector<std::string> sessions_of(std::string_view directory);

/// Their transcripts alone: nothing that the CLI reads unless a person names the session, or continues the
/// last one.
[[nodiscard]] std::vector<std::string> transcripts_of(std::string_view directory);

/// What the CLI reads in each session there.
[[nodiscard]] std::string memory_of(std::string_view directory);

}  // namespace claude_init::store
