#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "fs/identity.h"
#include "store/store.h"

/// A published store: what a store has, but for the refresh token, so that its readers can use the
/// login and not renew it. It is one in its readers' eyes like any other. `.claude-init/published` marks it.
namespace claude_init::store {

inline constexpr const char* kPublishedMark = "published";  // in kPrivateDir

/// A mark that cannot be looked for now counts as one: then nothing of one's own is put there.
[[nodiscard]] bool is_published(const Store& store);
/// The same, with the error.
[[nodiscard]] Result<bool> has_published_mark(const Store& store);

/// Left beside `directory` by a keeper that cannot publish into it, for jobs that wait for a login there:
/// a line on why, and one with what to type. "" takes it away. With the rights of `who`, or else of the owner
/// of the directory above; no link is followed that may not be (fs::open_named). Best effort.
inline constexpr std::string_view kWord = ".unpublished";  // behind the directory's name
void leave_word(const std::string& directory, const std::string& why, fs::Identity who);
/// That word; "" where there is none.
[[nodiscard]] std::string word_left(const std::string& directory);

/// Whether it is a volume of Kubernetes' (a Secret, a ConfigMap, or several projected into one), in which the
/// kubelet puts what is new.
[[nodiscard]] bool is_kubernetes_volume(const Store& store);

}  // namespace claude_init::store
