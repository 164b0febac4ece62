#include "sync/baseline.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/random.h"

namespace claude_init::sync {
namespace {

/// The finaliser of SplitMix64: every bit of the result depends on every bit of the input.
std::uint64_t mixed(std::uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9U;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebU;
  return x ^ (x >> 31);
}

/// A directory changes with every entry, a link's time says nothing of its target.
std::uint64_t content_of(const struct stat& st) {
  const std::uint64_t type = st.st_mode & S_IFMT;
  if (!S_ISREG(st.st_mode)) return mixed(type);
  std::uint64_t content = mixed(type ^ static_cast<std::uint64_t>(st.st_size));
  content = mixed(content ^ static_cast<std::uint64_t>(st.st_mtim.tv_sec));
  return mixed(content ^ static_cast<std::uint64_t>(st.st_mtim.tv_nsec));
}

}  // namespace

// Paths come from sources that are not trusted: they are not to be able to choose what collides.
Baseline::Baseline() : seed_(random_number()) {}

void Baseline::note(std::string_view path, const struct stat& st) {
  entries_.push_back({hash_of(path), content_of(st), st.st_ino});
}

void Baseline::merge(Baseline&& later) {
  if (entries_.empty()) {
    std::swap(entries_, later.entries_);
    std::swap(sorted_, later.sorted_);
    return;
  }
  later.sort();
  entries_.insert(entries_.end(), later.entries_.begin(), later.entries_.end());
}

Baseline Baseline::empty_copy() const {
  return Baseline(seed_);
}

bool Baseline::has(std::string_view path) const {
  return find(path) != nullptr;
}

bool Baseline::is_same_copy(std::string_view path, const struct stat& st) const {
  const Entry* entry = find(path);
  return entry != nullptr && entry->inode == st.st_ino && entry->content == content_of(st);
}

bool Baseline::is_same_content(std::string_view path, const struct stat& st) const {
  const Entry* entry = find(path);
  return entry != nullptr && entry->content == content_of(st);
}

std::size_t Baseline::size() const {
  sort();
  return entries_.size();
}

std::uint64_t Baseline::hash_of(std::string_view path) const {
  return mixed(fnv1a(path, seed_));
}

const Baseline::Entry* Baseline::find(std::string_view path) const {
  sort();
  const std::uint64_t hash = hash_of(path);
  const auto found = std::lower_bound(entries_.begin(), entries_.end(), hash,
                                      [](const Entry& entry, std::uint64_t h) { return entry.path < h; });
  return found != entries_.end() && found->path == hash ? &*found : nullptr;
}

void Baseline::sort() const {
  if (sorted_ == entries_.size()) return;
  const auto by_path = [](const Entry& a, const Entry& b) { return a.path < b.path; };
  std::stable_sort(entries_.begin(), entries_.end(), by_path);
  // Of several notes of one path the last one stays.
  const auto last_of_each = [](const Entry& a, const Entry& b) { return a.path == b.path; };
  const auto kept = std::unique(entries_.rbegin(), entries_.rend(), last_of_each);
  entries_.erase(entries_.begin(), kept.base());
  entries_.shrink_to_fit();
  sorted_ = entries_.size();
}

}  // namespace claude_init::sync
