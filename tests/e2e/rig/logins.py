"""The logins that the stand-in has given out, and the rules by which it renews them.

A login is a family of tokens. Every refresh spends the refresh token and issues a new pair. Nothing here is
real: every token says FAKE.
"""

import secrets
import threading
import time
from dataclasses import dataclass, field

SCOPES = ["user:profile", "user:inference", "user:sessions:claude_code", "user:mcp_servers", "user:file_upload"]


class RefreshRefused(Exception):
    """The reason, as the request log tells it."""


@dataclass
class Family:
    access_lifetime: float
    access_token: str = ""
    refresh_token: str = ""
    previous_refresh_token: str = ""
    rotated_at: float = 0.0
    revoked: bool = False


@dataclass
class AccessToken:
    family: str
    expires_at: float
    replaced_at: float = 0.0  # when its successor was issued


@dataclass
class Logins:
    """Thread-safe. Times are seconds since the epoch, lifetimes are seconds."""

    access_lifetime: float  # unless a login was minted with another
    reuse_revokes_family: bool  # a replayed refresh token ends the whole login, not just the request
    reuse_grace: float  # how long the previous refresh token still works
    late: float = 0  # how long an access token works past its end, see `accepts`

    families: dict[str, Family] = field(default_factory=dict)
    family_of_refresh_token: dict[str, str] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def mint(self, access_left, access_lifetime=None):
        """A new login's token pair; `access_left` below zero makes its access token expired from the start."""
        with self.lock:
            family = secrets.token_hex(4)
            self.families[family] = Family(access_lifetime or self.access_lifetime)
            return self._issue(family, access_left)

    def refresh(self, refresh_token):
        """The next token pair and the lifetime of the first, or RefreshRefused."""
        with self.lock:
            name = self.family_of_refresh_token.get(refresh_token)
            if name is None:
                raise RefreshRefused("unknown")
            family = self.families[name]
            if refresh_token != family.refresh_token and not self._within_grace(family, refresh_token):
                family.revoked = family.revoked or self.reuse_revokes_family
                raise RefreshRefused("reuse")
            if family.revoked:
                raise RefreshRefused("revoked")
            return *self._issue(name, family.access_lifetime), family.access_lifetime

    def accepts(self, access_token):
        """"yes", "late" or "no". With `late` a token is taken past its end until its successor has been out for so long:
        real tokens live for hours, and no machine is so busy that it renews them too late."""
        with self.lock:
            token = self.access_tokens.get(access_token)
            now = time.time()
            if not token or self.families[token.family].revoked:
                return "no"
            if token.expires_at > now:
                return "yes"
            return "late" if self.late and now < (token.replaced_at or now) + self.late else "no"

    def replaced_since(self, access_token):
        """For how many seconds its successor has been out; None without one."""
        with self.lock:
            replaced_at = self.access_tokens[access_token].replaced_at
            return round(time.time() - replaced_at, 1) if replaced_at else None

    def revoke(self, family=None, token=None):
        """Ends a login, named by its family or by any token that ever belonged to it. False if there is none."""
        with self.lock:
            family = self._family_of(token) or family
            if family not in self.families:
                return False
            self.families[family].revoked = True
            return True

    def newest(self, token):
        """The pair that a login, named by any token that ever belonged to it, has now."""
        with self.lock:
            family = self.families.get(self._family_of(token))
            return family and {"accessToken": family.access_token, "refreshToken": family.refresh_token}

    def revoked_by_family(self):
        with self.lock:
            return {name: family.revoked for name, family in self.families.items()}

    def _family_of(self, token):
        access_token = self.access_tokens.get(token)
        return access_token.family if access_token else self.family_of_refresh_token.get(token)

    def _within_grace(self, family, refresh_token):
        return (refresh_token == family.previous_refresh_token
                and time.time() - family.rotated_at < self.reuse_grace)

    def _issue(self, name, access_left):
        now = time.time()
        family = self.families[name]
        family.previous_refresh_token, family.rotated_at = family.refresh_token, now
        family.refresh_token = f"sk-ant-ort01-FAKE{secrets.token_hex(16)}"
        if family.access_token:
            self.access_tokens[family.access_token].replaced_at = now
        access_token = family.access_token = f"sk-ant-oat01-FAKE{secrets.token_hex(16)}"
        self.family_of_refresh_token[family.refresh_token] = name
        self.access_tokens[access_token] = AccessToken(name, now + access_left)
        return access_token, family.refresh_token
