#include <catch2/catch.hpp>
#include <cerrno>

#include "base/result.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"

using namespace claude_init;

TEST_CASE("a duration is shown with two units at the most") {
  CHECK(format_duration(0) == "0 s");
  CHECK(format_duration(999) == "0 s");
  CHECK(format_duration(12'000) == "12 s");
  CHECK(format_duration(250'000) == "4 min 10 s");
  CHECK(format_duration(28'740'000) == "7 h 59 min");
  CHECK(format_duration(2'343'600'000) == "27 d 3 h");
  CHECK(format_duration(-60'000) == "1 min");
  CHECK_FALSE(format_duration(INT64_MIN).empty());
}

TEST_CASE("a duration is read with its unit, and nothing else is accepted") {
  CHECK((*parse_duration("500ms")).count() == 500);
  CHECK((*parse_duration("5s")).count() == 5000);
  CHECK((*parse_duration("5")).count() == 5000);
  CHECK((*parse_duration("1.5s")).count() == 1500);
  CHECK((*parse_duration("2m")).count() == 120'000);
  CHECK((*parse_duration("7d")).count() == 604'800'000);
  for (const char* bad : {"", "s", "-1s", "5 s", "5x", "1e99d", "nan", "inf", "0x5s"}) {
    INFO(bad);
    const auto parsed = parse_duration(bad);
    REQUIRE_FALSE(parsed.ok());
    CHECK(parsed.error().kind == ErrorKind::usage);
    CHECK_FALSE(parsed.error().remedy.empty());
  }
}

TEST_CASE("times are shown in UTC") {
  CHECK(format_utc(1'795'468'330'000) == "2026-11-23 21:12 UTC");
  CHECK(format_iso8601(1'795'468'330'999) == "2026-11-23T21:12:10Z");
  CHECK(format_iso8601(-1) == "1969-12-31T23:59:59Z");
}

TEST_CASE("foreign text is made harmless on a terminal and stays readable otherwise") {
  CHECK(printable("plain name.txt") == "plain name.txt");
  CHECK(printable("schön") == "schön");
  CHECK(printable("a\nb\x1b[31m") == "a\\x0ab\\x1b[31m");
  CHECK(printable("\xff\xfe") == "\\xff\\xfe");
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");         // C1 control sequence introducer
  CHECK(printable("a\u202eb") == "a\\xe2\\x80\\xaeb");  // right-to-left override
  for (const char* hidden :
       {"\u00ad", "\u061c", "\u200b", "\u200d", "\u200e", "\u2028", "\u2029", "\u202a", "\u2066", "\u2069",
        "\u3164", "\ufe0f", "\ufeff", "\ufffe", "\ufff9", "\U000e0041", "\U0010ffff", "\u007f"}) {
    INFO(hidden);
    CHECK(printable(hidden).starts_with("\\x"));
  }
  for (const char* shown : {"a", "é", "日本", "עברית", "😀", "€", "\u00a0", "\ufffd", "\U0001f600"}) {
    CHECK(printable(shown) == shown);
  }
  CHECK(printable("\xe0\x80\x80") == "\\xe0\\x80\\x80");  // overlong
  CHECK(printable("\xe2\x82") == "\\xe2\\x82");           // cut off
}

TEST_CASE("a word is quoted for the shell only where it must be") {
  CHECK(shell_quote("/a/b-c_d.e") == "/a/b-c_d.e");
  CHECK(shell_quote("") == "''");
  CHECK(shell_quote("a b") == "'a b'");
  CHECK(shell_quote("it's") == "'it'\\''s'");
  CHECK(shell_quote("$(x)") == "'$(x)'");
}

TEST_CASE("sizes are shown in binary units") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes(67'108'864) == "64.0 MiB");
}

TEST_CASE("an error tells what was being done and what the system said") {
  const Error e = system_error(ENOSPC, "write /store/x");
  CHECK(e.kind == ErrorKind::no_space);
  CHECK(e.message() == "write /store/x: No space left on device");
  const Result<int> r = e;
  CHECK_FALSE(r.ok());
  CHECK(r.error_with("capture").message() == "capture: write /store/x: No space left on device");
}

TEST_CASE("a secret wipes what it gives away") {
  Secret a(std::string("FAKE-short"));
  const char* where = a.reveal().data();
  Secret b = std::move(a);
  CHECK(b.reveal() == "FAKE-short");
  CHECK(a.empty());  // NOLINT: looks at the moved-from value on purpose
  CHECK(std::string_view(where, 10).find("FAKE") == std::string_view::npos);
}
