#include "fs/open.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "fs/file.h"
#include "fs/identity.h"
#include "temp_dir.h"

using namespace claude_init;
using fs::Links;
using test::TempDir;

namespace {

using Opener = Result<UniqueFd> (*)(int, std::string_view, int, Links, mode_t);

std::string content(const Result<UniqueFd>& fd) {
  if (!fd) return "error " + std::to_string(fd.error().number);
  const auto text = fs::read_all(fd->get(), 100, "test");
  return text ? *text : "unreadable";
}

}  // namespace

TEST_CASE("opening beneath a directory never leaves it, with openat2 and without") {
  const Opener open = GENERATE(&fs::open_beneath, &fs::open_beneath_by_hand);
  const TempDir outer;
  outer.file("secret", "FAKE outside");
  outer.dir("in");
  outer.dir("in/a");
  outer.dir("in/a/b");
  outer.file("in/a/b/f", "inside");
  outer.link("in/up", "..");
  outer.link("in/absolute", outer.path("in/a"));
  outer.link("in/link", "a/b/f");
  outer.link("in/a/b/back", "../../a/b/f");
  outer.link("in/a/out", "../../secret");
  outer.link("in/dir", "a");
  outer.link("in/loop", "loop");
  const auto root = fs::open_root(outer.path("in"), fs::current_identity());
  REQUIRE(root.ok());
  const auto get = [&](std::string_view path, Links links) {
    return content(open(root->get(), path, O_RDONLY, links, 0));
  };
  const std::string exdev = "error " + std::to_string(EXDEV);
  const std::string eloop = "error " + std::to_string(ELOOP);

  CHECK(get("a/b/f", Links::refuse) == "inside");
  CHECK(get("a/./b//f", Links::refuse) == "inside");
  CHECK(get("a/../a/b/f", Links::refuse) == "inside");
  CHECK(get("../secret", Links::beneath) == exdev);
  CHECK(get("a/../../secret", Links::beneath) == exdev);
  CHECK(get("/etc/hostname", Links::beneath) == exdev);
  CHECK(get("up/secret", Links::beneath) == exdev);
  CHECK(get("absolute/b/f", Links::beneath) == exdev);
  CHECK(get("a/out", Links::beneath) == exdev);
  CHECK(get("link", Links::beneath) == "inside");
  CHECK(get("dir/b/f", Links::beneath) == "inside");
  CHECK(get("a/b/back", Links::beneath) == "inside");
  CHECK(get("loop", Links::beneath) == eloop);
  CHECK(get("link", Links::refuse) == eloop);
  CHECK(get("dir/b/f", Links::refuse) == eloop);
  CHECK(get("missing", Links::refuse) == "error " + std::to_string(ENOENT));
  CHECK(get("a/b/f/x", Links::refuse) == "error " + std::to_string(ENOTDIR));

  CHECK(open(root->get(), "", O_RDONLY | O_DIRECTORY, Links::refuse, 0).ok());
  CHECK(open(root->get(), "dir", O_PATH | O_DIRECTORY, Links::beneath, 0).ok());
  CHECK_FALSE(open(root->get(), "dir", O_PATH | O_DIRECTORY, Links::refuse, 0).ok());
  const auto made = open(root->get(), "a/new", O_WRONLY | O_CREAT | O_EXCL, Links::refuse, 0600);
  CHECK(made.ok());
  CHECK((::fcntl(made->get(), F_GETFD) & FD_CLOEXEC) != 0);
  outer.link("in/dangling", "../planted");
  CHECK_FALSE(open(root->get(), "dangling", O_WRONLY | O_CREAT, Links::beneath, 0600).ok());
  CHECK_FALSE(outer.exists("planted"));
}

TEST_CASE("only a regular file is opened as one, and nothing is waited for") {
  const TempDir dir;
  dir.file("file", "x");
  dir.fifo("fifo");
  dir.dir("directory");
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  dir.path("socket").copy(address.sun_path, sizeof address.sun_path - 1);
  REQUIRE(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  CHECK(fs::open_regular(dir.fd(), "file", Links::refuse).ok());
  for (const char* name : {"fifo", "directory"}) {
    const auto opened = fs::open_regular(dir.fd(), name, Links::refuse);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().kind == ErrorKind::invalid);
  }
  CHECK_FALSE(fs::open_regular(dir.fd(), "socket", Links::refuse).ok());
}

TEST_CASE("a directory is made with exactly its mode, and a link in its place is refused") {
  const TempDir dir;
  const mode_t before = ::umask(0077);
  CHECK(fs::make_directory(dir.fd(), "a", 02750).ok());
  ::umask(before);
  CHECK(dir.mode("a") == 02750);
  CHECK(fs::make_directory(dir.fd(), "a", 0700).ok());
  CHECK(dir.mode("a") == 02750);
  dir.link("b", "a");
  CHECK_FALSE(fs::make_directory(dir.fd(), "b", 0700).ok());
}

TEST_CASE("a root behind a directory that its owner may not search is entered with the owner's rights") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir dir;
  dir.dir("closed", 0700);
  dir.dir("closed/theirs", 0700);
  dir.dir("closed/ours", 0700);
  REQUIRE(::chown(dir.path("closed/theirs").c_str(), 1234, 1234) == 0);
  CHECK(fs::open_root(dir.path("closed/theirs"), {1234, 1234}).ok());
  const auto refused = fs::open_root(dir.path("closed/ours"), {1234, 1234});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::permission);
}

TEST_CASE("a root behind such a directory is not reached by a link that its owner has made") {
  if (!test::is_root()) {
    WARN("skipped: needs root");
    return;
  }
  const TempDir dir;
  dir.dir("closed", 0700);
  dir.dir("closed/open", 0755);
  dir.link("link", dir.path("closed/open"));
  CHECK(fs::open_root(dir.path("link"), {1234, 1234}).ok());  // root's own
  REQUIRE(::lchown(dir.path("link").c_str(), 1234, 1234) == 0);
  const auto refused = fs::open_root(dir.path("link"), {1234, 1234});
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::permission);
}

TEST_CASE("paths are joined and taken apart") {
  CHECK(fs::join("", "a") == "a");
  CHECK(fs::join("a/b", "c") == "a/b/c");
  CHECK(fs::join("/", "c") == "/c");
  CHECK(fs::parent_of("a/b/c") == "a/b");
  CHECK(fs::parent_of("a").empty());
  CHECK(fs::name_of("a/b") == "b");
  CHECK(fs::name_of("a") == "a");
}

TEST_CASE("a mode that is refused is no failure where nobody else gets in anyway") {
  if (!test::is_root()) return;  // a file of somebody else's, whose mode we may not change
  const TempDir dir;
  dir.file("private", "x", 0600);
  dir.file("shared", "x", 0640);
  dir.file("open", "x", 0644);
  const auto set = [&](const char* name, mode_t mode) {
    const UniqueFd fd(::open(dir.path(name).c_str(), O_RDONLY | O_CLOEXEC));
    const fs::ActAs as({1000, 1000});
    return fs::set_mode(fd.get(), mode, name);
  };
  CHECK(set("private", 0600).ok());
  CHECK(set("private", 0640).ok());
  CHECK(set("shared", 0640).ok());
  const auto refused = set("open", 0600);
  REQUIRE_FALSE(refused.ok());
  CHECK(refused.error().kind == ErrorKind::permission);
  CHECK(refused.error().remedy.find("file_mode=0600,dir_mode=0700") != std::string::npos);
  CHECK_FALSE(set("shared", 0600).ok());
}
