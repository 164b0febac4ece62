#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/time.h"
#include "loop/debounce.h"
#include "options/environment.h"
#include "setup/store.h"
#include "ui/console.h"
#include "user/account.h"

namespace claude_init::setup {

/// `setup --until-login`: ends the session when the store has a login that can be used, or when the time for
/// that is over. A CLI that has just logged in gets a few seconds to write the rest of its state.
class LoginWait {
 public:
  LoginWait(boost::asio::io_context& io, std::string store, Milliseconds limit);

  /// The store may have another login.
  void check_now();
  [[nodiscard]] bool has_login() const;
  /// It has ended the session.
  [[nodiscard]] bool is_over() const { return *over_; }
  /// The status of a session that it has ended, of which `status` was reported.
  [[nodiscard]] int exit_status(int status) const;

 private:
  const std::string store_;
  std::shared_ptr<bool> over_ = std::make_shared<bool>(false);  // outlives this for a handler that is due
  boost::asio::steady_timer limit_;
  loop::Debounce settle_;
};

/// Prints how to log in where this session has no terminal (`shell` is false), or that there is no
/// need to end it.
void greet_waiting(const ui::Console& console, const FoundStore& found, const user::Account& account,
                   const options::Environment& environment, Milliseconds limit, bool shell);

}  // namespace claude_init::setup
