#include "login/json.h"

#include <iterator>
#include <nlohmann/json.hpp>
#include <utility>

namespace claude_init::login {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxMemberTokens = 10'000;

Error unfit(std::string what) {
  return make_error(ErrorKind::invalid, std::move(what));
}

/// A text that comes in pieces, as the library reads it: a byte at a time. Keeps what it takes to say what is
/// wrong with a text that is not JSON.
class Bytes {
 public:
  explicit Bytes(const Pieces& pieces) : pieces_(pieces) { next_piece(); }

  [[nodiscard]] bool at_end() const { return piece_.empty(); }
  [[nodiscard]] char front() const { return piece_.front(); }
  void advance() {
    note(piece_.front());
    piece_.remove_prefix(1);
    if (piece_.empty()) next_piece();
  }

  [[nodiscard]] std::string why_not_json() {
    while (!at_end()) advance();
    if (blank_) return "it is empty";
    if (only_zeros_) return "it holds nothing but zero bytes, as after a power cut";
    if (first_ == '{' && last_ != '}') return "it is cut off: its end is missing";
    return "it is not JSON";
  }

 private:
  void note(char c) {
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') return;
    if (blank_) first_ = c;
    last_ = c;
    blank_ = false;
    only_zeros_ = only_zeros_ && c == '\0';
  }
  void next_piece() { piece_ = pieces_(); }

  const Pieces& pieces_;
  std::string_view piece_;
  char first_ = '\0';  // that is no blank
  char last_ = '\0';
  bool blank_ = true;
  bool only_zeros_ = true;
};

/// Of the same text all are at the same place.
struct ByteIterator {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = char;

  Bytes* bytes = nullptr;  // none: the end

  char operator*() const { return bytes->front(); }
  ByteIterator& operator++() {
    bytes->advance();
    return *this;
  }
  bool operator==(const ByteIterator& other) const { return at_end() == other.at_end(); }
  [[nodiscard]] bool at_end() const { return bytes == nullptr || bytes->at_end(); }
};

/// Counts, and passes on what the text consists of. A `false` of who is told ends the reading.
class Reader : public nlohmann::json_sax<json> {
 public:
  explicit Reader(const JsonLimits& limits) : limits_(limits) {}

  Result<void> read(const Pieces& text) {
    Bytes bytes(text);
    const bool complete =
        json::sax_parse(ByteIterator{&bytes}, ByteIterator{}, this, json::input_format_t::json);
    if (!failure_.empty()) return unfit(failure_);
    if (!complete && !done_) return unfit(bytes.why_not_json());
    return Done{};
  }

  bool null() final { return scalar(nullptr); }
  bool boolean(bool value) final { return scalar(value); }
  bool number_integer(std::int64_t value) final { return scalar(value); }
  bool number_unsigned(std::uint64_t value) final { return scalar(value); }
  bool number_float(double value, const std::string& /*text*/) final { return scalar(value); }
  bool string(std::string& value) final { return scalar(std::move(value)); }
  bool binary(json::binary_t& /*value*/) final { return false; }  // JSON has none
  bool key(std::string& name) final { return counted() && on_key(name); }
  bool start_object(std::size_t /*size*/) final { return start(true); }
  bool start_array(std::size_t /*size*/) final { return start(false); }
  bool end_object() final { return end(); }
  bool end_array() final { return end(); }
  // Its text quotes what was read.
  bool parse_error(std::size_t /*at*/, const std::string& /*token*/, const json::exception& /*why*/) final {
    return false;
  }

 protected:
  virtual bool on_key(std::string& name) = 0;
  virtual bool on_scalar(json&& value) = 0;
  virtual bool on_start(bool object) = 0;
  virtual bool on_end() = 0;

  bool fail(std::string why) {
    failure_ = std::move(why);
    return false;
  }
  /// Enough was read.
  bool done() {
    done_ = true;
    return false;
  }
  [[nodiscard]] std::size_t depth() const { return depth_; }

 private:
  bool counted() { return ++tokens_ <= limits_.tokens || fail("it has far more in it than any of its kind"); }
  bool scalar(json&& value) {
    if (depth_ == 0) return fail("it is JSON, but not an object");
    return counted() && on_scalar(std::move(value));
  }
  bool start(bool object) {
    if (depth_ == 0 && !object) return fail("it is JSON, but not an object");
    if (depth_ == limits_.depth) return fail("it is nested too deeply");
    if (!counted() || !on_start(object)) return false;
    ++depth_;
    return true;
  }
  bool end() {
    --depth_;
    return counted() && on_end();
  }

  const JsonLimits limits_;
  std::size_t tokens_ = 0;
  std::size_t depth_ = 0;
  std::string failure_;
  bool done_ = false;
};

class Checker final : public Reader {
 public:
  using Reader::Reader;

 private:
  bool on_key(std::string& /*name*/) override { return true; }
  bool on_scalar(json&& /*value*/) override { return true; }
  bool on_start(bool /*object*/) override { return true; }
  bool on_end() override { return true; }
};

/// Builds one member of the outermost object.
class MemberReader final : public Reader {
 public:
  MemberReader(std::string_view wanted, const JsonLimits& limits, bool stop_there)
      : Reader(limits), wanted_(wanted), stop_there_(stop_there) {}

  [[nodiscard]] json take() { return std::move(member_); }

 private:
  bool on_key(std::string& name) override {
    if (depth() == 1) {
      wants_ = name == wanted_;
      tokens_ = 0;
    } else if (wants_) {
      key_ = std::move(name);
    }
    return true;
  }
  bool on_scalar(json&& value) override {
    if (!wants_) return true;
    if (!put(std::move(value))) return false;
    return open_.empty() ? complete() : true;
  }
  bool on_start(bool object) override {
    if (!wants_ || depth() == 0) return true;
    json* const made = put(object ? json::object() : json::array());
    if (made == nullptr) return false;
    open_.push_back(made);
    return true;
  }
  bool on_end() override {
    if (!wants_ || open_.empty()) return true;
    open_.pop_back();
    return open_.empty() ? complete() : true;
  }

  json* put(json&& value) {
    if (++tokens_ > kMaxMemberTokens) {
      fail("it has far more in it than any of its kind");
      return nullptr;
    }
    if (open_.empty()) {
      member_ = std::move(value);
      return &member_;
    }
    json& into = *open_.back();
    if (into.is_array()) return &into.emplace_back(std::move(value));
    json& slot = into[key_];
    slot = std::move(value);
    return &slot;
  }
  bool complete() {
    wants_ = false;
    return stop_there_ ? done() : true;
  }

  const std::string_view wanted_;
  const bool stop_there_;
  bool wants_ = false;
  std::size_t tokens_ = 0;
  std::string key_;
  json member_;
  std::vector<json*> open_;  // only the innermost grows, so none of them moves
};

/// Writes what it reads.
class Editor final : public Reader {
 public:
  Editor(const JsonEdit& edit, const JsonLimits& limits, std::size_t size) : Reader(limits), edit_(edit) {
    out_.reserve(size);
  }

  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  bool on_key(std::string& name) override {
    if (dropped_ != 0) return true;
    path_.back() = std::move(name);
    if (edit_.drops(path_)) {
      dropped_ = depth();
    } else {
      separate();
      out_ += json(path_.back()).dump();
      out_ += ':';
      after_key_ = true;
    }
    return true;
  }
  bool on_scalar(json&& value) override {
    if (dropped_ != 0) return value_of_dropped_ends();
    separate();
    out_ += value.dump();
    return true;
  }
  bool on_start(bool object) override {
    if (dropped_ != 0) return true;
    separate();
    out_ += object ? '{' : '[';
    first_ = true;
    path_.emplace_back();
    objects_.push_back(object);
    return true;
  }
  bool on_end() override {
    if (dropped_ != 0) return value_of_dropped_ends();
    const bool object = objects_.back();
    objects_.pop_back();
    path_.pop_back();
    if (object && edit_.adds) {
      if (const std::string_view more = edit_.adds(path_); !more.empty()) {
        separate();
        out_ += more;
      }
    }
    out_ += object ? '}' : ']';
    first_ = false;
    return true;
  }

  /// A comma, where one belongs before what comes now.
  void separate() {
    if (!first_ && !after_key_) out_ += ',';
    first_ = false;
    after_key_ = false;
  }
  bool value_of_dropped_ends() {
    if (depth() == dropped_) dropped_ = 0;
    return true;
  }

  const JsonEdit& edit_;
  std::string out_;
  JsonPath path_;
  std::vector<bool> objects_;
  bool first_ = true;  // of its array or object
  bool after_key_ = false;
  std::size_t dropped_ = 0;  // the depth of the member that is being dropped; 0 = none
};

}  // namespace

Pieces whole(std::string_view text) {
  return [text]() mutable { return std::exchange(text, std::string_view()); };
}

Result<void> check_json_object(const Pieces& text, const JsonLimits& limits) {
  return Checker(limits).read(text);
}

Result<json> json_member(const Pieces& text, std::string_view key, const JsonLimits& limits,
                         bool stop_there) {
  MemberReader reader(key, limits, stop_there);
  if (auto read = reader.read(text); !read) return read.error();
  return reader.take();
}

Result<std::string> edit_json_object(std::string_view text, const JsonEdit& edit, const JsonLimits& limits) {
  Editor editor(edit, limits, text.size() + 64);
  if (auto read = editor.read(whole(text)); !read) return read.error();
  return editor.take();
}

}  // namespace claude_init::login
