#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "fs/identity.h"
#include "loop/debounce.h"
#include "loop/inotify.h"

namespace claude_init::loop {

/// Tells that the file NAME in DIRECTORY may have another content than before: written, replaced, removed,
/// there again; also when a link on the way to it was changed (a Kubernetes volume's `..data`), or DIRECTORY
/// itself replaced, mounted or unmounted. By inotify; by looking again and again only while that cannot know:
/// no watch or instance is left, the directory above is not there either, or the file system is one that
/// others change.
/// It may tell of a change that is none, and never misses the last one: it watches first and tells then.
class FileWatch : private Inotify::Listener {
 public:
  struct Options {
    std::string directory;  // absolute; its own links are followed
    std::string name;
    fs::Identity who;         // whose rights are used where ours do not do
    bool only_here = false;   // only this kernel writes it, whatever the file system
    Milliseconds interval{};  // between two looks, while inotify cannot know
    std::function<void()> on_change{};
  };
  FileWatch(boost::asio::io_context& io, Inotify& inotify, Options options);
  ~FileWatch() override;
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  /// Begins. Tells nothing by itself.
  void start();
  /// Whether it has to look again and again.
  [[nodiscard]] bool polls() const { return polls_; }

 private:
  /// A directory on the way, and the entries of it that matter.
  struct Place {
    std::string directory;
    std::string name;
    bool is_content = false;  // the entry is the file itself, not a link or directory on the way
  };
  /// Which file it is that lies there.
  struct FileId {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    bool operator==(const FileId&) const = default;
  };
  void on_event(const Inotify::Event& event) override;
  void on_mounts() override;
  void recheck();
  void recheck_mounts();
  void place_watches();
  [[nodiscard]] std::vector<Place> places_on_the_way(bool& too_many_links) const;
  [[nodiscard]] Result<int> watch(const Place& place);

  Options options_;
  Inotify& inotify_;
  Debounce mounted_;  // somewhere in our namespace, mostly elsewhere
  Debounce changed_;  // events, gathered
  Debounce poll_;
  std::map<int, std::set<std::string, std::less<>>> watches_;  // the names that matter in each
  FileId file_;
  bool polls_ = false;
};

}  // namespace claude_init::loop
