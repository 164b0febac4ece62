#include "login/secrets.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "login/login.h"

using namespace claude_init::login;

namespace {

std::string bare(std::string_view text) {
  const auto written = without_refresh_token(text);
  REQUIRE(written.ok());
  return std::string(written->reveal());
}

/// Piece by piece, as a file is.
std::string blanked_in_pieces(const std::string& text, std::size_t first, std::size_t later = 97,
                              Withheld withheld = Withheld::refresh_tokens) {
  std::string done;
  std::string piece;
  SecretBlanker blanker(true, withheld);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t n = std::min(at == 0 ? first : later, text.size() - at);
    piece += text.substr(at, n);
    at += n;
    const std::size_t ready = blanker.blank(piece.data(), piece.size(), at < text.size());
    REQUIRE(ready <= piece.size());
    done += piece.substr(0, ready);
    piece.erase(0, ready);
  }
  return done + piece;
}

}  // namespace

TEST_CASE("a copy of a login file has no secret in any login, at any depth, and everything else") {
  CHECK(
      bare(
          R"({"claudeAiOauth":{"accessToken":"a","refreshToken":"FAKE1","refreshTokenExpiresAt":7,)"
          R"("expiresAt":1.5e3,"scopes":["x"]},"mcpOAuth":{"one|1":{"serverName":"one","accessToken":"b",)"
          R"("refreshToken":"FAKE2","clientSecret":"FAKE3","expiresAt":5}},)"
          R"("mcpOAuthClientConfig":{"one":{"client_secret":{"deep":"FAKE4"}}},"pluginSecrets":{"p":"FAKE5"},)"
          R"("new":[[{"Refresh-Tokens":["FAKE6"],"kept":null}],"sk-ant-ort01-FAKE7",{"t":"sk-ant-ort01-FAKE8"}]})") ==
      R"({"claudeAiOauth":{"accessToken":"a","refreshTokenExpiresAt":7,"expiresAt":1.5e3,"scopes":["x"]},)"
      R"("mcpOAuth":{"one|1":{"serverName":"one","accessToken":"b","expiresAt":5}},)"
      R"("mcpOAuthClientConfig":{"one":{}},"new":[[{"kept":null}],{}]})");
}

TEST_CASE("a secret in JSON that somebody has put into a string is found") {
  CHECK(
      bare(
          R"({"a":"{\"b\":[\"{\\\"refreshToken\\\":\\\"FAKE1\\\"}\"],\"clientSecret\":\"FAKE2\"}","c":"{no json"})") ==
      R"({"a":"{\"b\":[\"{}\"]}","c":"{no json"})");
}

TEST_CASE("names of secrets are known in every spelling, and those of access tokens and deadlines are none") {
  for (const char* name :
       {"refreshToken", "RefreshToken", "refresh_token", "REFRESH-TOKEN", "mcpRefreshTokens", "clientSecret",
        "client_secret", "secret", "idToken", "password", "refresh", "registration_access_token"})
    CHECK(names_secret(name));
  for (const char* name :
       {"accessToken", "refreshTokenExpiresAt", "client_secret_expires_at", "clientId", "scopes", ""})
    CHECK_FALSE(names_secret(name));
}

TEST_CASE("names of copies of a login are known") {
  for (const char* name :
       {".credentials.json", ".credentials.json.bak", ".credentials.json~", "old.credentials.json",
        ".credentials.json.old", "credentials.json", "Credentials.JSON.1", "credentials", ".credentials",
        "#.credentials.json#", ".credentials-2.json", "credentials.bak"})
    CHECK(is_credentials_name(name));
  for (const char* name : {"credentials.ts", "credential-helper.md", "settings.json", "json", ""})
    CHECK_FALSE(is_credentials_name(name));
}

TEST_CASE("secrets in other files are overwritten in place") {
  CHECK(
      with_secrets_blanked(R"({"refreshToken": "FAKE\"1", "client_secret":"FAKE2","accessToken":"kept"})") ==
      R"({"refreshToken": "xxxxxxx", "client_secret":"xxxxx","accessToken":"kept"})");
  CHECK(with_secrets_blanked(
            R"({"line":"said {\"refreshToken\": \"FAKE1\"} and \\\"clientSecret\\\":\\\"FAKE2\\\""})") ==
        R"({"line":"said {\"refreshToken\": \"xxxxx\"} and \\\"clientSecret\\\":\\\"xxxxx\\\""})");
  CHECK(with_secrets_blanked("# notes\nsk-ant-ort01-FAKE_1-x, sk-ant-oat01-kept\n") ==
        "# notes\nxxxxxxxxxxxxxxxxxxxxx, sk-ant-oat01-kept\n");
}

TEST_CASE("from jobs that get no token access tokens and keys are withheld too") {
  const auto blanked = [](std::string_view text) { return with_secrets_blanked(text, Withheld::all_tokens); };
  CHECK(
      blanked(
          R"({"refreshToken":"FAKE1","accessToken": "FAKE2","access_token":"FAKE3","key":"sk-ant-api03-F_1"})") ==
      R"({"refreshToken":"xxxxx","accessToken": "xxxxx","access_token":"xxxxx","key":"xxxxxxxxxxxxxxxx"})");
  CHECK(blanked("sk-ant-oat01-FAKE sk-ant-ort01-FAKE\n") == "xxxxxxxxxxxxxxxxx xxxxxxxxxxxxxxxxx\n");
  CHECK(blanked(R"({"accessToken":{"type":"sk-ant-api03-FAKE","title":"kept","value":"FAKE1"},"b":"kept"})") ==
        R"({"accessToken":{"type":"xxxxxxxxxxxxxxxxx","title":"kept","value":"xxxxx"},"b":"kept"})");
}

TEST_CASE("what only speaks of secrets stays as it is") {
  for (const char* text :
       {R"({"properties":{"clientSecret":{"type":"string"}},"refreshTokenExpiresAt":"soon"})",
        R"({"env":{"MY_REFRESH_TOKEN":"a person's variable"}})", "const refreshToken = \"constant\";",
        R"({"refreshToken":null,"clientSecret":7})", "", "{", "{\"refreshToken"})
    CHECK(with_secrets_blanked(text) == text);
}

TEST_CASE("a secret is found wherever a file is cut into pieces") {
  const std::string text =
      R"({"a": "sk-ant-ort01-FAKE1 ", "refreshToken" : "FAKE2-0123456789", "b":"{\"clientSecret\":\"FAKE3\"}",)"
      R"("refreshToken":{"type":"kept", "value": "FAKE4\\\"\n", "b":["\\\\", "FAKE5"]},)"
      R"("c":"{\"clientSecret\":{\"v\":\"FAKE\\\"6\\\\\"}}",)" +
      std::string(300, ' ') + R"("client_secret":"FAKE4", "z": "sk-ant-ort01-FAKE5)";
  const std::string whole = with_secrets_blanked(text);
  CHECK(whole.find("FAKE") == std::string::npos);
  for (std::size_t first = 1; first < 140; ++first) CHECK(blanked_in_pieces(text, first) == whole);
}

TEST_CASE("any token is found wherever a file is cut into pieces") {
  const std::string text =
      R"({"a": "sk-ant-api03-FAKE1 ", "accessToken" : "FAKE2-0123456789", "b":"{\"access_token\":\"FAKE3\"}",)"
      R"("accessTokens":{"type":"kept", "value": "FAKE4\\\"\n", "b":["\\\\", "FAKE5"]},)"
      R"("refreshToken":{"v":"FAKE6"},)" +
      std::string(300, ' ') + R"("client_secret":"FAKE7", "z": "sk-ant-oat01-FAKE8)";
  const std::string whole = with_secrets_blanked(text, Withheld::all_tokens);
  CHECK(whole.find("FAKE") == std::string::npos);
  CHECK(whole.find("kept") != std::string::npos);
  for (std::size_t first = 1; first < 140; ++first)
    CHECK(blanked_in_pieces(text, first, 97, Withheld::all_tokens) == whole);
}

TEST_CASE(
    "of a secret that is an object or an array every string is overwritten, but for what describes it") {
  CHECK(
      with_secrets_blanked(
          R"({"refreshToken": {"value": "FAKE1", "n": 1, "more": [{"a":"FAKE\\\"2"}, "FAKE3"]}, "b":"kept"})") ==
      R"({"refreshToken": {"value": "xxxxx", "n": 1, "more": [{"a":"xxxxxxxxx"}, "xxxxx"]}, "b":"kept"})");
  CHECK(with_secrets_blanked(R"([{"client_secret":["FAKE1","FAKE2"]},{"a":"kept"}])") ==
        R"([{"client_secret":["xxxxx","xxxxx"]},{"a":"kept"}])");
  CHECK(
      with_secrets_blanked(
          R"({"line":"said {\"refreshTokens\":{\n\"v\": \"FAKE\\\"1\",\"w\":[]}} and \"kept\"","b":"kept"})") ==
      R"({"line":"said {\"refreshTokens\":{\n\"v\": \"xxxxxxxxx\",\"w\":[]}} and \"kept\"","b":"kept"})");
  CHECK(with_secrets_blanked(
            R"({"clientSecret":{"type":"object","properties":{"v":{"type":"sk-ant-ort01-FAKE"}}}})") ==
        R"({"clientSecret":{"type":"object","properties":{"v":{"type":"xxxxxxxxxxxxxxxxx"}}}})");
}

TEST_CASE("a secret that was cut off ends with its line, or with the string that it stands in") {
  CHECK(with_secrets_blanked("{\"refreshToken\":\"FAKE\n{\"a\":\"kept\"}\n") ==
        "{\"refreshToken\":\"xxxx\n{\"a\":\"kept\"}\n");
  CHECK(with_secrets_blanked(R"({"line":"{\"refreshToken\":{\"v\":\"FAKE","a":"kept"})") ==
        R"({"line":"{\"refreshToken\":{\"v\":\"xxxx","a":"kept"})");
  CHECK(with_secrets_blanked(R"({"line":"{\"refreshToken\":{","a":"kept"})") ==
        R"({"line":"{\"refreshToken\":{","a":"kept"})");
}

TEST_CASE("a secret of any length is found, and nothing behind it is lost") {
  for (const std::string& text : {R"({"refreshToken":")" + std::string(300'000, 'F') + R"(","a":"kept"})",
                                  R"({"refreshToken":{"v":")" + std::string(200'000, 'F') + R"(","w":[")" +
                                      std::string(200'000, 'F') + R"("]},"a":"kept"})",
                                  "\"sk-ant-ort01-" + std::string(300'000, 'F') + " kept\"}"}) {
    const std::string done = blanked_in_pieces(text, 90);
    CHECK(done.size() == text.size());
    CHECK(done.find('F') == std::string::npos);
    CHECK(done.find("kept\"}") != std::string::npos);
  }
}

TEST_CASE("what never ends takes no more than is given") {
  for (const std::string& part :
       {std::string("["), std::string("\\"), std::string(" "), std::string("{\"a\":")}) {
    std::string text = R"({"refreshToken":)" + part;
    while (text.size() < 400'000) text += part;
    SecretBlanker blanker(true);
    CHECK(blanker.blank(text.data(), text.size(), true) >= text.size() - SecretBlanker::kMostLeft);
  }
}

TEST_CASE("where a file is cut makes no difference, whatever is in it") {
  const std::vector<std::string> parts{"\"refreshToken\"",
                                       ":",
                                       "{",
                                       "}",
                                       "[",
                                       "]",
                                       ",",
                                       "\"",
                                       "\\",
                                       "\\\"",
                                       "\\\\\\\"",
                                       "FAKE",
                                       " ",
                                       "\n",
                                       "\"client_secret\":",
                                       "\\\"clientSecret\\\":{\\\"",
                                       "sk-ant-ort01-",
                                       "\"type\":\"",
                                       "\"a\":",
                                       "s"};
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string text = "{";
    for (std::size_t left = random() % 60; left > 0; --left) text += parts[random() % parts.size()];
    const std::string whole = with_secrets_blanked(text);
    REQUIRE(whole.size() == text.size());
    INFO(text);
    CHECK(blanked_in_pieces(text, 1 + random() % 97, 1 + random() % 40) == whole);
  }
}
