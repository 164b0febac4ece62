#include "login/shadow.h"

#include <catch2/catch.hpp>
#include <map>

using namespace claude_init::login;

namespace {

using Names = std::vector<std::string>;

Names of(const std::map<std::string, std::string, std::less<>>& variables) {
  return shadowing_variables([&](std::string_view name) -> std::string_view {
    const auto found = variables.find(name);
    return found == variables.end() ? std::string_view() : std::string_view(found->second);
  });
}

}  // namespace

TEST_CASE("variables that hide the stored login are named, empty ones are not") {
  CHECK(of({{"ANTHROPIC_API_KEY", "FAKE"}}) == Names{"ANTHROPIC_API_KEY"});
  CHECK(of({{"ANTHROPIC_API_KEY", ""}}).empty());
  CHECK(of({{"CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR", "3"}}) == Names{"CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR"});
  CHECK(of({{"CLAUDE_CODE_OAUTH_TOKEN_FILE_DESCRIPTOR", "3"}}).size() == 1);
}

TEST_CASE("another service than Anthropic's own is one where the CLI takes the switch for on") {
  for (const char* name :
       {"BEDROCK", "VERTEX", "FOUNDRY", "MANTLE", "ANTHROPIC_AWS", "ANTHROPIC_GOOGLE_CLOUD"}) {
    INFO(name);
    CHECK(of({{std::string("CLAUDE_CODE_USE_") + name, "1"}}).size() == 1);
    CHECK(of({{std::string("CLAUDE_CODE_USE_") + name, "TRUE"}}).size() == 1);
    CHECK(of({{std::string("CLAUDE_CODE_USE_") + name, "0"}}).empty());
  }
  CHECK(of({{"CLAUDE_CODE_SIMPLE", "1"}}).size() == 1);
  CHECK(of({{"CLAUDE_CODE_USE_GATEWAY", "1"}, {"AWS_BEARER_TOKEN_BEDROCK", "FAKE"}}).empty());
}

TEST_CASE("headers of one's own hide the login where they authorize") {
  CHECK(of({{"ANTHROPIC_CUSTOM_HEADERS", "X: 1\nauthorization: Bearer FAKE"}}).size() == 1);
  CHECK(of({{"ANTHROPIC_CUSTOM_HEADERS", "X-Team: 1"}}).empty());
}

TEST_CASE("what in settings hides the stored login is named by its key") {
  const auto user = [](const char* text) { return shadowing_settings(text, Settings::user); };
  CHECK(user(R"({"apiKeyHelper":"/bin/key"})") == Names{"apiKeyHelper"});
  CHECK(user(R"({"env":{"ANTHROPIC_AUTH_TOKEN":"FAKE","X":"1"}})") == Names{"env.ANTHROPIC_AUTH_TOKEN"});
  CHECK(user(R"({"env":{"CLAUDE_CODE_USE_BEDROCK":"1"}})") == Names{"env.CLAUDE_CODE_USE_BEDROCK"});
  for (const char* none : {"", "[]", "{", R"({"apiKeyHelper":""})", R"({"apiKeyHelper":1})", R"({"env":[]})",
                           R"({"env":{"ANTHROPIC_API_KEY":1}})", R"({"permissions":{"deny":["X"]}})"}) {
    INFO(none);
    CHECK(user(none).empty());
  }
}

TEST_CASE("a project's OAuth token is not used, its other credentials are") {
  constexpr const char* kText = R"({"env":{"CLAUDE_CODE_OAUTH_TOKEN":"FAKE","ANTHROPIC_API_KEY":"FAKE"}})";
  CHECK(shadowing_settings(kText, Settings::project) == Names{"env.ANTHROPIC_API_KEY"});
  CHECK(shadowing_settings(kText, Settings::managed).size() == 2);
}
