#include "login/json.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <nlohmann/json.hpp>
#include <utility>

using namespace claude_init;
using namespace claude_init::login;

namespace {

/// The text in pieces of `size` bytes, and how often one was asked for.
Pieces in_pieces(std::string_view text, std::size_t size, std::size_t* asked = nullptr) {
  return [=]() mutable {
    if (asked != nullptr) ++*asked;
    const std::string_view piece = text.substr(0, size);
    text.remove_prefix(piece.size());
    return piece;
  };
}

nlohmann::json member(std::string_view text, std::string_view key) {
  const auto found = json_member(whole(text), key, {});
  REQUIRE(found.ok());
  return *found;
}

}  // namespace

TEST_CASE("a member is found, the last of its name, whatever is beside it", "[json]") {
  CHECK(member(R"({"x":[{"a":1}],"a":{"b":[1,-2,2.5,"c",null,true,{"d":{}}]},"y":{"a":3}})", "a").dump() ==
        R"({"b":[1,-2,2.5,"c",null,true,{"d":{}}]})");
  CHECK(member(R"({"a":1,"a":"2"})", "a") == "2");
  CHECK(member(R"({"a":{"b":1,"b":{"c":2}}})", "a").dump() == R"({"b":{"c":2}})");
  CHECK(member(R"({"b":{"a":1}})", "a").is_null());
  CHECK(member("{}", "a").is_null());
}

TEST_CASE("a text in pieces is the same text", "[json]") {
  constexpr std::string_view kText = R"( {"x":"äöü\u00e4","a":{"b":[1.5e3,{}]},"z":null} )";
  for (const std::size_t size : {1U, 2U, 3U, 7U, 64U}) {
    INFO(size);
    CHECK(check_json_object(in_pieces(kText, size), {}).ok());
    CHECK(json_member(in_pieces(kText, size), "a", {})->dump() == R"({"b":[1500.0,{}]})");
    CHECK_FALSE(check_json_object(in_pieces(kText.substr(0, 20), size), {}).ok());
  }
}

TEST_CASE("what follows the member is not read where the first will do", "[json]") {
  const std::string text = R"({"a":{"b":1},)" + std::string(10'000, ' ') + "}";
  std::size_t asked = 0;
  CHECK(json_member(in_pieces(text, 16, &asked), "a", {}, true)->dump() == R"({"b":1})");
  CHECK(asked < 4);
}

TEST_CASE("a text costs no more than its limits allow", "[json]") {
  const auto why = [](const std::string& text, const JsonLimits& limits) {
    const auto checked = check_json_object(whole(text), limits);
    const auto edited = edit_json_object(text, {[](const JsonPath&) { return false; }}, limits);
    REQUIRE_FALSE(checked.ok());
    REQUIRE_FALSE(edited.ok());
    CHECK(checked.error().what == edited.error().what);
    return checked.error().what;
  };
  const auto nested = [](std::size_t depth) {
    return R"({"a":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
  };
  CHECK(check_json_object(whole(nested(64)), {}).ok());
  CHECK(why(nested(65), {}) == "it is nested too deeply");
  CHECK(why(nested(1'000'000), {}) == "it is nested too deeply");
  CHECK(check_json_object(whole(R"({"a":[1,2]})"), {.tokens = 7}).ok());
  CHECK(why(R"({"a":[1,2]})", {.tokens = 6}) == "it has far more in it than any of its kind");
  // Of the member that is asked for, whatever the rest may have.
  std::string many = R"({"a":[0)";
  for (int i = 0; i < 10'000; ++i) many += ",0";
  many += "]}";
  CHECK(json_member(whole(many), "b", {}).ok());
  CHECK_FALSE(json_member(whole(many), "a", {}).ok());
}

TEST_CASE("what is wrong is said without quoting the text", "[json]") {
  const auto why = [](std::string_view text) { return check_json_object(whole(text), {}).error().what; };
  CHECK(why("") == "it is empty");
  CHECK(why(" \n") == "it is empty");
  CHECK(why(std::string_view("\0\0\0\n", 4)) == "it holds nothing but zero bytes, as after a power cut");
  CHECK(why(R"({"FAKE":"FAKE)") == "it is cut off: its end is missing");
  CHECK(why(R"({"FAKE":FAKE})") == "it is not JSON");
  CHECK(why("FAKE") == "it is not JSON");
  for (const char* other : {"[]", "1", "null", R"("FAKE")"})
    CHECK(why(other) == "it is JSON, but not an object");
}

TEST_CASE("an edit drops and adds members, and leaves everything else as it is", "[json]") {
  const auto edited = [](std::string_view text) {
    const JsonEdit edit{
        [](const JsonPath& path) { return path.back() == "x"; },
        [](const JsonPath& path) -> std::string_view { return path == JsonPath{"a"} ? R"("n":0)" : ""; }};
    const auto done = edit_json_object(text, edit, {});
    REQUIRE(done.ok());
    return *done;
  };
  CHECK(edited("{}") == "{}");
  CHECK(edited(R"({"x":1})") == "{}");
  CHECK(edited(R"( { "a" : { } } )") == R"({"a":{"n":0}})");
  CHECK(edited(R"({"x":{"y":[{"x":1}]},"b":[[],{},[1,{"x":[1,2],"c":2}]],"x":[],"a":{"x":"","z":null}})") ==
        R"({"b":[[],{},[1,{"c":2}]],"a":{"z":null,"n":0}})");
  CHECK(edited(R"({"b":1,"b":2,"é\n\u0001\"":18446744073709551615,"f":-1.5})") ==
        R"({"b":1,"b":2,"é\n\u0001\"":18446744073709551615,"f":-1.5})");
  // An array is a step on the way.
  std::vector<JsonPath> paths;
  const JsonEdit look{[&](const JsonPath& path) {
    paths.push_back(path);
    return false;
  }};
  REQUIRE(edit_json_object(R"({"a":[{"b":{"c":1}}],"d":2})", look, {}).ok());
  CHECK(paths == std::vector<JsonPath>{{"a"}, {"a", "", "b"}, {"a", "", "b", "c"}, {"d"}});
}
