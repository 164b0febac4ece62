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
    refresh_token: str = ""
    previous_refresh_token: str = ""
    rotated_at: float = 0.0
    revoked: bool = False


@dataclass
class AccessToken:
    family: str
    expires_at: float


@dataclass
class Logins:
    """Thread-safe. Times are seconds since the epoch, lifetimes are seconds."""

    access_lifetime: float
    reuse_revokes_family: bool  # a replayed refresh token ends the whole login, not just the request
    reuse_grace: float  # how long the previous refresh token still works

    families: dict[str, Family] = field(default_factory=dict)
    family_of_refresh_token: dict[str, str] = field(default_factory=dict)
    access_tokens: dict[str, AccessToken] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def mint(self, access_lifetime):
        """A new login; a lifetime below zero makes its access token expired from the start."""
        with self.lock:
            family = secrets.token_hex(4)
            self.families[family] = Family()
            return self._issue(family, access_lifetime)

    def refresh(self, refresh_token):
        """The next token pair, or RefreshRefused."""
        with self.lock:
            name = self.family_of_refresh_token.get(refresh_token)
            if name is None:
                raise RefreshRefused("unknown")
            family = self.families[name]
            if family.revoked:
                raise RefreshRefused("family revoked")
            if refresh_token != family.refresh_token and not self._within_grace(family, refresh_token):
                family.revoked = self.reuse_revokes_family
                raise RefreshRefused("reuse")
            return self._issue(name, self.access_lifetime)

    def accepts(self, access_token):
        with self.lock:
            token = self.access_tokens.get(access_token)
            return bool(token) and token.expires_at > time.time() and not self.families[token.family].revoked

    def revoke(self, family=None, token=None):
        """Ends a login, named by its family or by any token that ever belonged to it. False if there is none."""
        with self.lock:
            if token in self.access_tokens:
                family = self.access_tokens[token].family
            family = self.family_of_refresh_token.get(token, family)
            if family not in self.families:
                return False
            self.families[family].revoked = True
            return True

    def revoked_by_family(self):
        with self.lock:
            return {name: family.revoked for name, family in self.families.items()}

    def _within_grace(self, family, refresh_token):
        return (refresh_token == family.previous_refresh_token
                and time.time() - family.rotated_at < self.reuse_grace)

    def _issue(self, name, access_lifetime):
        now = time.time()
        family = self.families[name]
        family.previous_refresh_token, family.rotated_at = family.refresh_token, now
        family.refresh_token = f"sk-ant-ort01-FAKE{secrets.token_hex(16)}"
        access_token = f"sk-ant-oat01-FAKE{secrets.token_hex(16)}"
        self.family_of_refresh_token[family.refresh_token] = name
        self.access_tokens[access_token] = AccessToken(name, now + access_lifetime)
        return access_token, family.refresh_token
