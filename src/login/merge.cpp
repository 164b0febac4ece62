#include "login/merge.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "login/login.h"
#include "login/rewrite.h"

namespace claude_init::login {
namespace {

constexpr std::string_view kClaude = "claudeAiOauth";

using Members = std::vector<Member>;

std::string bare(const Member& member) {
  auto text = rewrite(member.value, Secrets::leave_out);
  return text ? std::move(*text) : std::string();
}

/// A list of logins, not one: it has nothing in it but objects.
bool is_list(const Member& member) {
  return member.is_object && std::all_of(member.members.begin(), member.members.end(),
                                         [](const Member& below) { return below.is_object; });
}

std::optional<UnixMs> credible_end(const Member& member, UnixMs now) {
  return member.expires_at && *member.expires_at <= now + kLongestLogin ? member.expires_at : std::nullopt;
}

/// One login on both sides.
bool is_newer(const Member& theirs, const Member& ours, const MergeRules& rules) {
  if (theirs.value == ours.value) return false;
  const std::string bare_ours = bare(ours);
  if (theirs.value == bare_ours) return false;  // 2.
  const auto their_end = credible_end(theirs, rules.now);
  const auto our_end = credible_end(ours, rules.now);
  if (their_end && our_end && *their_end != *our_end) return *their_end > *our_end;  // 3.
  const bool withheld = bare(theirs) == theirs.value && bare_ours != ours.value;
  return !withheld && rules.prefer_from;  // 4.
}

void write_member(std::string& out, const std::string& key, std::string_view value) {
  if (out.size() > 1) out += ',';
  ((out += nlohmann::json(key).dump()) += ':') += value;
}

/// `both` says what becomes of what both sides have.
template <class Both>
std::string merge_members(const Members& ours, const Members& theirs, Both both) {
  std::unordered_map<std::string_view, const Member*> others;
  for (const Member& member : theirs) others.emplace(member.key, &member);
  std::string out = "{";
  for (const Member& member : ours) {
    const auto other = others.find(member.key);
    write_member(out, member.key, other == others.end() ? member.value : both(member, *other->second));
    if (other != others.end()) others.erase(other);
  }
  for (const Member& member : theirs) {
    if (others.contains(member.key)) write_member(out, member.key, member.value);
  }
  return out += '}';
}

}  // namespace

Result<Secret> merge(std::string_view into, std::string_view from, const MergeRules& rules) {
  const auto ours = split(into);
  auto theirs = split(from);
  if (!ours || !theirs) return ours ? theirs.error() : ours.error();
  if (!rules.take_login) std::erase_if(*theirs, [](const Member& member) { return member.key == kClaude; });
  const auto newer = [&](const Member& our, const Member& their) {
    return is_newer(their, our, rules) ? their.value : our.value;
  };
  std::string merged = merge_members(*ours, *theirs, [&](const Member& our, const Member& their) {
    if (our.key == kClaude) return their.value;
    if (is_list(our) && is_list(their)) return merge_members(our.members, their.members, newer);
    return newer(our, their);
  });
  if (merged.size() > kMostCredentialsBytes)
    return make_error(ErrorKind::limit, "its logins are more than fits into such a file");
  // What is one of the two stays as it was written, byte for byte.
  for (const std::string_view whole : {into, from}) {
    if (const auto compact = rewrite(whole, Secrets::keep); compact && *compact == merged)
      return Secret(std::string(whole));
  }
  return Secret(std::move(merged));
}

std::vector<Other> other_logins(std::string_view text) {
  std::vector<Other> others;
  const auto members = split(text);
  if (!members) return others;
  const auto add = [&](const Member& member) {
    const bool renewable = bare(member) != member.value;
    // The CLI names a server's login NAME|HASH.
    if (renewable || member.expires_at)
      others.push_back({member.key.substr(0, member.key.rfind('|')), renewable, member.expires_at});
  };
  for (const Member& member : *members) {
    if (member.key == kClaude) continue;
    if (!is_list(member)) {
      add(member);
    } else {
      std::for_each(member.members.begin(), member.members.end(), add);
    }
  }
  return others;
}

Result<Secret> without_others(std::string_view text) {
  const auto members = split(text);
  if (!members) return members.error();
  std::string alone = "{";
  for (const Member& member : *members) {
    if (member.key == kClaude) write_member(alone, member.key, member.value);
  }
  return Secret(alone += '}');
}

}  // namespace claude_init::login
