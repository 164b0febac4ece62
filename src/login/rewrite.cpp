#include "login/rewrite.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>

#include "login/secrets.h"

namespace claude_init::login {
namespace {

constexpr std::size_t kMostLevels = 64;
constexpr unsigned kMostNested = 4;      // JSON in a string of JSON
constexpr double kLatestTime = 8.64e15;  // ECMAScript, "Time Values and Time Range"

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump();
}

std::string without_secrets_inside(const std::string& text, unsigned nested);

/// Takes the parser's events and writes them down.
/// 1. A key waits until its value has come: with a secret both are left out.
/// 2. While a container that is left out lasts, only its ends count.
/// 3. Where the members of the two upper levels begin and end is noted.
class Rewriter final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Rewriter(Secrets secrets, unsigned nested = 0) : secrets_(secrets), nested_(nested) {}

  bool null() override { return scalar("null"); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    return number(std::to_string(value), static_cast<double>(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return number(std::to_string(value), static_cast<double>(value));
  }
  bool number_float(number_float_t value, const string_t& text) override { return number(text, value); }
  bool binary(binary_t& /*value*/) override { return false; }
  bool parse_error(std::size_t /*at*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }
  bool string(string_t& value) override {
    if (secrets_ == Secrets::keep) return scalar(json_text(value));
    if (skipped_levels_ == 0 && holds_refresh_token(value)) skip_next_ = true;
    return scalar(json_text(without_secrets_inside(value, nested_)));
  }
  bool key(string_t& name) override {
    if (skipped_levels_ > 0) return true;
    key_ = std::move(name);
    skip_next_ = secrets_ == Secrets::leave_out && (names_secret(key_) || holds_refresh_token(key_));
    return true;
  }
  bool start_object(std::size_t /*size*/) override { return start('{'); }
  bool start_array(std::size_t /*size*/) override { return start('['); }
  bool end_object() override { return end('}'); }
  bool end_array() override { return end(']'); }

  [[nodiscard]] std::string take_text() { return std::move(out_); }
  [[nodiscard]] std::vector<Member> take_members() {
    for (Member& member : members_) {
      cut(member);
      for (Member& below : member.members) cut(below);
    }
    return std::move(members_);
  }

 private:
  struct Level {
    bool object = false;
    bool empty = true;  // nothing has been written into it
  };

  bool scalar(std::string_view text) {
    if (skipped_levels_ > 0 || std::exchange(skip_next_, false)) return true;
    begin_value(false);
    out_ += text;
    end_value();
    return true;
  }
  bool number(std::string_view text, double value) {
    if (key_ == "expiresAt" && (levels_.size() == 2 || levels_.size() == 3) && is_noted(levels_.size())) {
      Member& top = members_.back();
      (levels_.size() == 2 ? top : top.members.back()).expires_at =
          static_cast<UnixMs>(std::clamp(value, 0.0, kLatestTime));
    }
    return scalar(text);
  }
  bool start(char bracket) {
    if (skipped_levels_ > 0 || std::exchange(skip_next_, false)) {  // 2.
      skipped_levels_ += 1;
    } else {
      begin_value(bracket == '{');
      out_ += bracket;
      levels_.push_back({bracket == '{'});
    }
    return levels_.size() + skipped_levels_ <= kMostLevels;
  }
  bool end(char bracket) {
    if (skipped_levels_ > 0) {
      skipped_levels_ -= 1;
      return true;
    }
    out_ += bracket;
    levels_.pop_back();
    end_value();
    return true;
  }

  void begin_value(bool object) {
    if (levels_.empty()) return;
    if (!std::exchange(levels_.back().empty, false)) out_ += ',';
    if (levels_.back().object) (out_ += json_text(key_)) += ':';  // 1.
    if (levels_.size() > 2 || !is_noted(levels_.size())) return;
    auto& list = levels_.size() == 1 ? members_ : members_.back().members;  // 3.
    list.push_back({key_, {}, object});
    list.back().begin = out_.size();
  }
  void end_value() {
    if (levels_.empty() || levels_.size() > 2 || !is_noted(levels_.size())) return;
    auto& list = levels_.size() == 1 ? members_ : members_.back().members;
    list.back().end = out_.size();
  }
  /// Whether all open containers are objects, which have members.
  [[nodiscard]] bool is_noted(std::size_t depth) const {
    return std::all_of(levels_.begin(), levels_.begin() + static_cast<std::ptrdiff_t>(depth),
                       [](const Level& level) { return level.object; });
  }
  void cut(Member& member) const { member.value = out_.substr(member.begin, member.end - member.begin); }

  const Secrets secrets_;
  const unsigned nested_;
  std::string out_;
  std::string key_;
  std::vector<Level> levels_;
  std::vector<Member> members_;
  bool skip_next_ = false;
  std::size_t skipped_levels_ = 0;
};

/// Logins in a string, as JSON; any other text as it is.
std::string without_secrets_inside(const std::string& text, unsigned nested) {
  const std::size_t start = text.find_first_not_of(" \t\r\n");
  if (nested == kMostNested || start == std::string::npos || (text[start] != '{' && text[start] != '['))
    return text;
  Rewriter rewriter(Secrets::leave_out, nested + 1);
  return nlohmann::json::sax_parse(text, &rewriter) ? rewriter.take_text() : text;
}

/// The last of several with the same name, in the place of the first.
void drop_repeated(std::vector<Member>& members) {
  std::unordered_map<std::string, std::size_t> places;
  std::size_t kept = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    const auto [place, is_new] = places.emplace(members[i].key, kept);
    if (place->second != i) members[place->second] = std::move(members[i]);
    kept += is_new ? 1 : 0;
  }
  members.resize(kept);
}

}  // namespace

Result<std::string> rewrite(std::string_view text, Secrets secrets) {
  Rewriter rewriter(secrets);
  if (!nlohmann::json::sax_parse(text, &rewriter))
    return make_error(ErrorKind::invalid, "it is not JSON, or nested too deeply");
  return rewriter.take_text();
}

Result<std::vector<Member>> split(std::string_view object) {
  if (object.size() > kMostCredentialsBytes)
    return make_error(ErrorKind::invalid, "it is far larger than any login");
  const std::size_t start = object.find_first_not_of(" \t\r\n");
  Rewriter rewriter(Secrets::keep);
  if (start == std::string_view::npos || object[start] != '{' ||
      !nlohmann::json::sax_parse(object, &rewriter)) {
    return make_error(ErrorKind::invalid, "it is not a JSON object, or nested too deeply");
  }
  auto members = rewriter.take_members();
  drop_repeated(members);
  for (Member& member : members) drop_repeated(member.members);
  return members;
}

}  // namespace claude_init::login
