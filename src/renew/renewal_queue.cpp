#include "renew/renewal_queue.h"

#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

namespace claude_init::renew {

RenewalQueue::Turn::~Turn() {
  if (turns_ == nullptr) return;
  turns_->taken_ = false;
  try {
    turns_->next();
  } catch (const std::exception&) {
    // No memory for it: whoever is waiting goes when the next one asks.
  }
}

void RenewalQueue::ask(std::function<void(Turn)> go) {
  waiting_.push_back(std::move(go));
  next();
}

void RenewalQueue::next() {
  if (taken_ || waiting_.empty()) return;
  boost::asio::post(io_, [this] {
    const auto go = std::move(waiting_.front());
    waiting_.pop_front();
    go(Turn(this));
  });
  taken_ = true;
}

}  // namespace claude_init::renew
