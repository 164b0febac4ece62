#include "log/redact.h"

#include <catch2/catch.hpp>

using claude_init::log::redact;

TEST_CASE("tokens of every variety are redacted, wherever they stand") {
  CHECK(redact("x sk-ant-oat01-FAKEabc_def-123 y") == "x [redacted] y");
  CHECK(redact("sk-ant-ort01-FAKE") == "[redacted]");
  CHECK(redact("SK-ANT-api03-FAKE/x+y==") == "[redacted]");
  CHECK(redact("(sk-ant-sid01-FAKE)") == "([redacted])");
}

TEST_CASE("values of credential keys are redacted in JSON, also escaped, and in assignments") {
  CHECK(redact(R"({"accessToken":"FAKE1","expiresAt":5})") ==
        R"({"accessToken":"[redacted]","expiresAt":5})");
  CHECK(redact(R"({"refreshToken" : "FAKE2"})") == R"({"refreshToken" : "[redacted]"})");
  CHECK(redact(R"({\"refreshToken\":\"FAKE3\"})") == R"({\"refreshToken\":\"[redacted]\"})");
  CHECK(redact("ANTHROPIC_API_KEY=FAKE4 next") == "ANTHROPIC_API_KEY=[redacted] next");
  CHECK(redact(R"(CLAUDE_CODE_OAUTH_TOKEN="FAKE 5" next)") == R"(CLAUDE_CODE_OAUTH_TOKEN="[redacted]" next)");
  CHECK(redact(R"(do="TOKEN=\"FAKE 5\" next")") == R"(do="TOKEN=\"[redacted]\" next")");
  CHECK(redact(R"(do="{\"do\":\"TOKEN=\\\"FAKE 5\\\" next\"}")") ==
        R"(do="{\"do\":\"TOKEN=\\\"[redacted]\\\" next\"}")");
  CHECK(redact("Authorization: Bearer FAKE6") == "Authorization: Bearer [redacted]");
}

TEST_CASE("what is no secret stays readable") {
  for (const char* text : {"store=/claude-auth", R"({"refreshToken":null})", R"("accessToken":"")",
                           "token endpoint", "the refresh token is withheld", "key=value", "sk-and-other"}) {
    CHECK(redact(text) == text);
  }
}

TEST_CASE("our own option that is called like a token is readable with its own words, and with no others") {
  CHECK(redact("(--refresh-token=copy hands it on)") == "(--refresh-token=copy hands it on)");
  CHECK(redact("--refresh-token=withhold") == "--refresh-token=withhold");
  CHECK(redact("--refresh-token=copyFAKE") == "--refresh-token=[redacted]");
  CHECK(redact("--refresh-token=FAKE") == "--refresh-token=[redacted]");
  CHECK(redact("--refresh-token=sk-ant-ort01-FAKE") == "--refresh-token=[redacted]");
  CHECK(redact("refresh-token=copy") == "refresh-token=[redacted]");
  CHECK(redact("x--refresh-token=copy") == "x--refresh-token=[redacted]");
}
