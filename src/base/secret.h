#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace claude_init {

/// Text that must never be shown: file contents with tokens, tokens themselves. It has no formatter and no
/// stream operator, so it cannot reach a log or a message by accident; `.reveal()` shows every use. The
/// memory is wiped when it is destroyed or moved from.
class Secret {
 public:
  Secret() = default;
  explicit Secret(std::string text) : text_(std::move(text)) {}
  // A moved-from short string keeps its characters in place: swap, then wipe.
  Secret(Secret&& other) noexcept { text_.swap(other.text_); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      wipe();
      text_.swap(other.text_);
    }
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  ~Secret() { wipe(); }

  [[nodiscard]] std::string_view reveal() const { return text_; }
  [[nodiscard]] bool empty() const { return text_.empty(); }
  [[nodiscard]] std::size_t size() const { return text_.size(); }
  [[nodiscard]] bool operator==(const Secret& other) const { return text_ == other.text_; }

 private:
  void wipe() {
    if (!text_.empty()) explicit_bzero(text_.data(), text_.size());
    text_.clear();
  }
  std::string text_;
};

}  // namespace claude_init
