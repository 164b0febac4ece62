#include "renew/renewal_queue.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace claude_init::renew {

RenewalQueue::Turn::~Turn() {
  if (turns_ == nullptr) return;
  turns_->taken_ = false;
  turns_->next();
}

void RenewalQueue::ask(std::function<void(Turn)> go) {
  waiting_.push_back(std::move(go));
  next();
}

void RenewalQueue::next() {
  if (taken_ || waiting_.empty()) return;
  taken_ = true;
  boost::asio::post(io_, [this, go = std::move(waiting_.front())] { go(Turn(this)); });
  waiting_.pop_front();
}

}  // namespace claude_init::renew
