#include "follow/checkpoint.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "fs/open.h"

namespace claude_init::follow {
namespace {

constexpr Milliseconds kLatestLogin{600};
constexpr Milliseconds kSoon{200};    // until the next slice of a large capture, or a lock's next try
constexpr Milliseconds kLater{5000};  // until a store that could not be written is tried again
constexpr Milliseconds kWithoutWatches{400};
// A file that takes longer than a slice gets longer ones, within reason: the capture at the end has the time.
constexpr Milliseconds kSlice{200};
constexpr Milliseconds kLongestSlice{1600};

loop::FileWatch::Options file(const Checkpoint::Options& options, std::string_view path,
                              std::function<void()> on_change) {
  return {fs::parent_of(path), fs::name_of(path), options.who,
          options.only_here,   kWithoutWatches,   std::move(on_change)};
}

}  // namespace

Checkpoint::Checkpoint(boost::asio::io_context& io, loop::Inotify& inotify, Options options)
    : options_(std::move(options)),
      credentials_(io, inotify,
                   file(options_, fs::join(options_.state.config_dir, store::kCredentials),
                        [this] {
                          if (tree_) tree_->check_root();
                          login_due_.poke();
                        })),
      settings_(io, inotify, file(options_, options_.state.claude_json, [this] { login_due_.poke(); })),
      login_due_(io, options_.settle, std::max(kLatestLogin, options_.settle), [this] { save_login(); }),
      login_soon_(io, kSoon, kSoon, [this] { save_login(); }),
      login_again_(io, kLater, kLater, [this] { save_login(); }),
      rest_again_(io, kSoon, kSoon, [this] { save_rest(); }),
      slice_(kSlice) {
  if (!options_.save_rest) return;
  TreeWatch::Options tree{options_.state.config_dir, options_.who, options_.filter};
  tree.on_change = [this] { save_rest(); };
  tree_.emplace(io, inotify, std::move(tree));
}

void Checkpoint::start() {
  credentials_.start();
  settings_.start();
  if (tree_) tree_->start();
  login_due_.poke();
}

void Checkpoint::save_login() {
  const Saved saved = options_.save_login();
  if (saved == Saved::not_all) login_soon_.poke();
  if (saved == Saved::failed) login_again_.poke();
}

void Checkpoint::save_rest() {
  const Saved saved = options_.save_rest(std::chrono::steady_clock::now() + slice_);
  slice_ = saved == Saved::nothing ? 2 * slice_ : kSlice;
  const bool hopeless = slice_ > kLongestSlice;
  if (hopeless) slice_ = kSlice;
  if (saved == Saved::failed || hopeless) return tree_->notify_again();
  if (saved != Saved::done) rest_again_.poke();
}

Checkpoint::Saved Checkpoint::saved(const sync::CaptureReport& report) {
  if (sync::failed_for_now(report.skipped)) return Saved::failed;
  if (report.left_out.empty()) return Saved::done;
  return report.added + report.changed > 0 ? Saved::not_all : Saved::nothing;
}

}  // namespace claude_init::follow
