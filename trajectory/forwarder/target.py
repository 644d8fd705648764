"""Where traces are forwarded to: a URL, what is spoken there, and the headers that open the door.

Invariant: what is said of a target holds no secret: neither headers nor user, password and query of its URL. Pure.
"""

from collections.abc import Mapping, Sequence
from urllib.parse import unquote, urlsplit

import msgspec

from trajectory.errors import ConfigError

PATH = "/v1/traces"
VARIABLE = "TRAJECTORY_FORWARD_HEADERS"
_PORTS = {"http": 4318, "https": 4318, "grpc": 4317, "grpcs": 4317}
_HIDDEN = "[secret]"
_SECRET_CHARS = 4  # fewer are found in any sentence


class Target(msgspec.Struct, frozen=True):
    """One backend. `scheme` is http, https, grpc or grpcs; `path` is empty for gRPC, and has the query behind it."""

    scheme: str
    host: str
    port: int
    path: str = ""
    headers: dict[str, str] = {}

    @property
    def authority(self) -> str:
        return f"{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def name(self) -> str:
        """What may be said of it to anybody."""
        return f"{self.scheme}://{self.authority}{self.path.partition('?')[0]}"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def without_secrets(self, text: str) -> str:
        """A text from elsewhere, such as a backend's answer, without what this target's headers say."""
        for value in self.headers.values():
            for secret in (value, value.rpartition(" ")[2]):
                text = text.replace(secret, _HIDDEN) if len(secret) >= _SECRET_CHARS else text
        return text


def target_of(url: str, headers: Mapping[str, str] | None = None) -> Target:
    """The target that a URL names: `http(s)://host[:port][/path]`, `grpc(s)://host[:port]`. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), parts.hostname or "", parts.port
    except ValueError as fault:
        raise ConfigError(f"a URL to forward to cannot be read: {fault}", "forward") from None
    if scheme not in _PORTS or not host:
        raise ConfigError(
            f"{f'cannot forward to {scheme[:20]!r}' if scheme else 'this is no URL to forward to'}: "
            "give http://HOST:4318, https://…, grpc://HOST:4317 or grpcs://…",
            "forward",
        )
    if parts.username is not None or parts.password is not None:
        raise ConfigError(
            f"a URL to forward to holds a user or a password: put an Authorization header into {VARIABLE}", "forward"
        )
    if port == 0 or any(c.isspace() or not c.isprintable() for c in url):
        raise ConfigError("a URL to forward to has no such port, or blanks in it", "forward")
    if scheme.startswith("grpc"):
        if parts.path.strip("/") or parts.query:
            raise ConfigError(f"gRPC has no path: give {scheme}://{host}:{port or _PORTS[scheme]}", "forward")
        return Target(scheme, host, port or _PORTS[scheme], "", {k.lower(): v for k, v in (headers or {}).items()})
    path = parts.path.rstrip("/")
    path = path if path.endswith(PATH) else path + PATH
    default = 443 if scheme == "https" and parts.path.strip("/") else _PORTS[scheme]
    return Target(scheme, host, port or default, f"{path}?{parts.query}" if parts.query else path, dict(headers or {}))


def targets_of(urls: Sequence[str], headers: Sequence[Sequence[str]], environment: Mapping[str, str]) -> list[Target]:
    """The targets of a command: its URLs, each with the headers that were said behind it, and those of the environment.

    TRAJECTORY_FORWARD_HEADERS (`name=value,name=value`, percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS) is the only target's;
    of several, each has its own: TRAJECTORY_FORWARD_HEADERS_1 for the first. Raises ConfigError.
    """
    if len(urls) > 1 and environment.get(VARIABLE):
        raise ConfigError(
            f"{VARIABLE} would go to {len(urls)} backends: name {VARIABLE}_1 for the first, _2 for the second",
            "forward",
        )
    targets = []
    for number, url in enumerate(urls, 1):
        said = environment.get(f"{VARIABLE}_{number}") or environment.get(VARIABLE) or ""
        given = dict(_header(line, ":") for line in headers[number - 1])
        targets.append(target_of(url, {**_listed(said), **given}))
    names = [target.url for target in targets]
    if len(set(names)) < len(names):
        raise ConfigError("one URL to forward to is named twice", "forward")
    return targets


def _listed(said: str) -> dict[str, str]:
    pairs = (_header(pair, "=") for pair in said.split(",") if pair.strip())
    return {name: unquote(value) for name, value in pairs}


def _header(said: str, mark: str) -> tuple[str, str]:
    """A header's name and value. Raises ConfigError, which names neither: they may hold a secret in the wrong place."""
    name, found, value = said.partition(mark)
    name, value = name.strip(), value.strip()
    if not found or not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
        raise ConfigError(f"a header to forward with is no {'Name: value' if mark == ':' else 'name=value'}", "forward")
    if not value.isprintable() or not value.isascii():
        raise ConfigError(f"the value of header {name[:40]!r} has characters that no header has", "forward")
    return name, value
