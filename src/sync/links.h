#pragma once

#include <cstddef>
#include <string>
#include <string_view>

/// Symbolic links in a tree that is not trusted, and those of a Kubernetes volume, whose files are links
/// through `..data`, which is swapped for another one.
namespace claude_init::sync {

/// A name that such a volume keeps for itself: it begins with "..", and is not the directory above.
[[nodiscard]] bool is_atomic_writer_entry(std::string_view name);

/// Whether a link's target leads through such an entry.
[[nodiscard]] bool leads_through_atomic_writer(std::string_view target);

/// A link's target as it can be kept in another place: relative, going up to the root of the tree at most,
/// and going up only at its beginning, so that no link on its way can lead it out; "" where it cannot.
/// `depth` is the number of components of the link's directory, `root` the tree's path, for targets that are
/// absolute.
[[nodiscard]] std::string kept_target(std::string_view target, std::size_t depth, std::string_view root);

}  // namespace claude_init::sync
