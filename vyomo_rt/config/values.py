"""Checks on single values that their type does not make."""

import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from ipaddress import ip_address, ip_network
from pathlib import Path

from yarl import URL

from vyomo_rt.config.feeds import installed_feeds
from vyomo_rt.domain.event import EventKind
from vyomo_rt.domain.moment import to_ms
from vyomo_rt.domain.replay import FASTEST, SLOWEST

SAFE_KEY_BYTES = 32
"""As many as a hash of HS256 has, as RFC 7518 asks for."""

_SHORTEST_KEY = 16
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:.]*:[0-9a-f:.]*")


class NotUsable(ValueError):
    """Why a value of the right form cannot be used; the text says what to write instead."""


def is_loopback(host: str | None) -> bool:
    """Whether only this machine can reach `host`; None is the default, which is loopback."""
    if host is None or host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def hide_password(uri: str) -> str:
    """A URI of MongoDB or NATS with `***` for everything that may be a secret.

    If a badly escaped URI leaves doubt about where the password ends, it hides too much. The user
    of NATS may be a token, and each of several servers may have its own.
    """
    without_password = re.sub(r"(?s)^((?:nats|tls)://).*@", r"\1***@", uri)
    without_password = re.sub(r"(?s)^([^:]*://[^:]*:).*@", r"\1***@", without_password)
    return re.sub(
        r"(?is)([?&;][^=&;]*(?:password|properties)[^=&;]*=)[^&;]*", r"\1***", without_password
    )


def _host(text: str) -> str:
    """A listening address, without the brackets that an IPv6 address has in a URL."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not re.fullmatch(r"[\w.:%-]+", host) or _is_name_with_port(host):
        raise ValueError(host)
    host.encode("idna")  # as the system's look-up does; too long or empty labels are a ValueError
    return host


def _is_name_with_port(host: str) -> bool:
    return host.count(":") == 1


def _mongo_uri(text: str) -> str:
    """Only the beginning is checked here; the driver checks the rest."""
    if not re.match(r"mongodb(\+srv)?://[^/]", text):
        raise ValueError("not a MongoDB URI")
    return text


def _nats_url(text: str) -> str:
    urls = [URL(part.strip()) for part in text.split(",")]
    for url in urls:
        if url.scheme not in {"nats", "tls"} or not url.host or url.path_qs not in {"", "/"}:
            raise ValueError(text)
    if len({(url.user, url.password) for url in urls if url.user is not None}) > 1:
        raise NotUsable("servers of NATS know the same users: write one user and password")
    return ",".join(part.strip() for part in text.split(","))


def _folder(text: str) -> Path:
    return _path(
        text, "a folder has no scheme: write its path, and a MongoDB into VYOMO_RT_MONGO_URI"
    )


def _file(text: str) -> Path:
    return _path(text, "a file has no scheme: write its path")


def _path(text: str, of_a_scheme: str) -> Path:
    if not text:
        raise ValueError(text)
    if text.startswith("~"):
        raise NotUsable("no shell expands ~ here: write the whole path")
    if re.match(r"[a-zA-Z][\w+.-]*:/", text):
        raise NotUsable(of_a_scheme)
    return Path(text)


def _origin(text: str) -> str:
    """An origin the way browsers send it: lower case, without the scheme's own port."""
    if text == "null":
        return text
    if re.fullmatch("file:///?", text, re.IGNORECASE):
        return "file://"  # what web views send for pages from a file
    _refuse_wildcard(text)
    url = URL(text)
    if url.scheme in {"ws", "wss"}:
        raise NotUsable("an origin is a page's: write http:// or https://")
    host = _host_of(url)
    return str(url.origin().with_host(host))


def _host_name(text: str) -> str:
    _refuse_wildcard(text)
    url = URL(f"http://{text}")
    if url.explicit_port is not None:
        raise ValueError(text)
    return _host_of(url)


def _refuse_wildcard(text: str) -> None:
    if "*" in text or text.startswith("."):
        raise NotUsable("no wildcards: name each host")


def _host_of(url: URL) -> str:
    """The host of a URL that holds nothing but a scheme, a host and a port.

    It is without the root's dot, with which any name may end.
    """
    host = (url.raw_host or "").removesuffix(".")
    is_bare = url.raw_user is None and url.raw_password is None and url.raw_path_qs in {"", "/"}
    if not is_bare or url.raw_fragment or not _HOST.fullmatch(host):
        raise ValueError(str(url))
    return host


def _broker_key(text: str) -> str:
    if " " in text:
        raise NotUsable("a key has no spaces: leave them out")
    return text


def _feed(text: str) -> str:
    names = list(installed_feeds())
    name, _, path = text.partition(":")
    if name == "replay" and name in names:
        if not path:
            raise NotUsable("a replay needs its record: write replay:FILE")
        return f"replay:{_file(path)}"
    if text not in names:
        raise NotUsable(f"no such feed is installed: write one of {', '.join(names)}")
    return text


def _speed(text: str) -> str:
    if text != "max" and not SLOWEST <= float(text) <= FASTEST:
        raise ValueError(text)
    return text


def _time_of_day(text: str) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text):
        raise ValueError(text)
    return text


def _base_url(text: str) -> str:
    return _address(text, {"http", "https"})


def _socket_url(text: str) -> str:
    return _address(text, {"ws", "wss", "http", "https"})


def _address(text: str, schemes: Collection[str]) -> str:
    """Where a service is; what is behind its host is kept, as a gateway may need it."""
    url = URL(text)
    if url.scheme not in schemes or not url.host or url.raw_query_string:
        raise ValueError(text)
    if url.raw_user is not None or url.raw_fragment:
        raise NotUsable("leave out the user, the password and what follows a #")
    return text.rstrip("/")


def _key(text: str) -> str:
    if len(text) < _SHORTEST_KEY:
        raise ValueError("too short")
    return text


def _jwks_url(text: str) -> str:
    """Whoever could change what is answered there could sign tokens."""
    url = URL(text)
    if not url.host or url.scheme not in {"http", "https"}:
        raise ValueError(text)
    if url.scheme == "http" and not is_loopback(url.host):
        raise NotUsable("anybody on the way could put in keys: write https://")
    return text


def _notify_url(text: str) -> str:
    url = URL(text)
    if url.scheme not in {"http", "https"} or not url.host or url.raw_fragment:
        raise ValueError(text)
    return text


def _notify_type(text: str) -> str:
    names = [*EventKind, "feed_status"]
    if text not in names:
        raise NotUsable(f"no such message is posted: write one of {', '.join(names)}")
    return text


def _moment_ms(text: str) -> int:
    if re.fullmatch(r"[0-9]{12,14}", text):
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return to_ms(moment)


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        network = ip_network(text, strict=False)
    raise NotUsable(f"an address in a network is not the network: write {network}")


READERS: Mapping[str, Callable[[str], object]] = {
    "host": _host,
    "data_dir": _folder,
    "feed": _feed,
    "yahoo_url": _base_url,
    "nse_url": _base_url,
    "kite_url": _socket_url,
    "kite_api_key": _broker_key,
    "kite_access_token": _broker_key,
    "kite_instruments": _file,
    "openalgo_url": _socket_url,
    "openalgo_api_key": _broker_key,
    "symbol_names": _file,
    "speed": _speed,
    "start_at": _time_of_day,
    "record": _file,
    "calendar": _file,
    "mongo_uri": _mongo_uri,
    "nats_url": _nats_url,
    "nats_credentials_file": _file,
    "nats_ca_file": _file,
    "seed": str,
    "allowed_origins": _origin,
    "allowed_hosts": _host_name,
    "auth_key": _key,
    "auth_public_keys": lambda text: str(_file(text)),
    "auth_jwks_url": _jwks_url,
    "auth_previous_key": _key,
    "auth_previous_key_until": _moment_ms,
    "auth_audience": str,
    "auth_issuer": str,
    "trusted_proxy": _network,
    "notify_url": _notify_url,
    "notify_key": _key,
    "notify_types": _notify_type,
}
