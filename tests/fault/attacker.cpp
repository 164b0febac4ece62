// attacker DIRECTORY OUTSIDE: whoever controls the source of a capture. Until it is killed it swaps, in
// DIRECTORY, the file `swapped` with a link to OUTSIDE/secret, the directory `sub` with a link to OUTSIDE,
// and the directory `deep/a` between two depths, and makes `grows` longer. Says "ready" on standard output
// once all of it is there.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

void require(bool condition, const char* what) {
  if (condition) return;
  std::perror(what);
  std::exit(1);
}

void make_file(const std::string& path, const char* text) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  require(fd >= 0 && ::write(fd, text, 8) == 8, path.c_str());
  ::close(fd);
}

void make_directory(const std::string& path) {
  require(::mkdir(path.c_str(), 0700) == 0, path.c_str());
}

void exchange(const std::string& one, const std::string& other) {
  ::renameat2(AT_FDCWD, one.c_str(), AT_FDCWD, other.c_str(), RENAME_EXCHANGE);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 64;
  const std::string root = std::string(argv[1]) + "/";
  const std::string outside = argv[2];
  make_file(root + "swapped", "harmless");
  require(::symlink((outside + "/secret").c_str(), (root + "link.lock").c_str()) == 0, "symlink");
  make_directory(root + "sub");
  make_file(root + "sub/secret", "harmless");
  require(::symlink(outside.c_str(), (root + "way.lock").c_str()) == 0, "symlink");
  make_directory(root + "deep");
  make_directory(root + "deep/a");
  make_directory(root + "deep/b");
  make_file(root + "deep/a/file", "harmless");
  make_file(root + "grows", "harmless");
  const int grows = ::open((root + "grows").c_str(), O_WRONLY | O_APPEND);
  require(grows >= 0 && ::write(STDOUT_FILENO, "ready\n", 6) == 6, "grows");
  for (unsigned turn = 0;; ++turn) {
    exchange(root + "swapped", root + "link.lock");
    exchange(root + "sub", root + "way.lock");
    ::rename((root + "deep/a").c_str(), (root + "deep/b/a").c_str());
    ::rename((root + "deep/b/a").c_str(), (root + "deep/a").c_str());
    if (turn % 16 == 0 && ::write(grows, "and more", 8) != 8) return 1;
  }
}
