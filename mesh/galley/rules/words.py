"""Rules for single values: hosts, ports, header names and values, regular expressions. Istio: pkg/config/validation, agent/validation."""

import ipaddress
import re
from collections.abc import Iterator

import re2

from mesh.galley import diagnostics
from mesh.galley.parse import Path
from mesh.galley.schema import Problem, dotted

_LABEL = r"[a-zA-Z0-9](?:[-a-zA-Z0-9_]{0,61}[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?:\*|\*?{_LABEL}|\*[-a-zA-Z0-9]{{1,62}})(?:\.{_LABEL})*\.?")
_HEADER = re.compile(r"[-_A-Za-z0-9]+")
_FORMAT = re.compile(r"%(?:%|[A-Z][A-Z0-9_]*(?:\([^%]*\))?(?::\d+)?%)")


def bad(path: Path, message: str, hint: str = "", *, key: bool = False) -> Problem:
    return Problem(path, f"{dotted(path)}: {message}", hint, key)


def odd(path: Path, message: str, hint: str = "", *, key: bool = False) -> Problem:
    return Problem(path, f"{dotted(path)}: {message}", hint, key, diagnostics.ODD)


def without_effect(path: Path, message: str) -> Problem:
    return Problem(path, f"{dotted(path)}: {message}", "", True, diagnostics.WITHOUT_EFFECT)


def host_problems(host: str, path: Path, *, wildcard: bool = True) -> Iterator[Problem]:
    """A DNS name, an IP address, or with ``wildcard`` a name whose first label begins with ``*``."""
    if not host:
        yield bad(path, "a host cannot be empty")
    elif _is_address(host):
        return
    elif "*" in host and not wildcard:
        yield bad(path, f'a destination cannot be a wildcard, "{host}"')
    elif len(host) > 255 or not _HOST.fullmatch(host):
        yield bad(path, f'"{host}" is not a host', _host_hint(host))


def _host_hint(host: str) -> str:
    if "://" in host:
        return "a host only, without scheme and path"
    if re.fullmatch(r".+:\d+", host):
        return "the port has its own field"
    return "a wildcard stands only at the beginning" if "*" in host[1:] else ""


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def is_subset_name(name: str) -> bool:
    return bool(re.fullmatch(r"[a-zA-Z0-9]([-a-zA-Z0-9._]{0,61}[a-zA-Z0-9])?", name))


def port_problems(port: int | None, path: Path) -> Iterator[Problem]:
    if port is not None and not 0 < port <= 65535:
        yield bad(path, f"port must be between 1-65535, not {port}")


def regex_problems(pattern: str, path: Path) -> Iterator[Problem]:
    """RE2, as Envoy has it: no look-around, no back-references."""
    if not pattern:
        yield bad(path, "a regular expression cannot be empty")
        return
    if len(pattern) > 1024:
        yield bad(path, f"a regular expression has at most 1024 characters, not {len(pattern)}")
        return
    options = re2.Options()
    options.log_errors = False
    try:
        re2.compile(pattern, options)
    except (re2.error, UnicodeError) as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        hint = "RE2 has no look-around and no back-references" if re.search(r"\(\?[=!<]|\\[1-9]", pattern) else ""
        yield bad(path, f"not a regular expression of RE2: {reason}", hint)


def header_name_problems(name: str, path: Path) -> Iterator[Problem]:
    if not _HEADER.fullmatch(name):
        yield bad(path, f'"{name}" is not a header name' if name else "a header name cannot be empty", key=True)


def header_value_problems(value: str, path: Path) -> Iterator[Problem]:
    if re.search(r"[\x00\r\n]", value):
        yield bad(path, "a header value cannot have line ends")
    if "%" in _FORMAT.sub("", value):
        yield bad(path, f'"{value}" has a % that begins none of Envoy\'s operators', 'a plain per cent sign is written "%%"')


def export_to_problems(export_to: tuple[str, ...], path: Path) -> Iterator[Problem]:
    for index, target in enumerate(export_to):
        if target not in ("*", ".", "~") and not re.fullmatch(_LABEL, target):
            yield bad((*path, index), f'"{target}" is not a namespace', 'a namespace, "." (this one), "*" (all) or "~" (none)')
        if target in export_to[:index]:
            yield bad((*path, index), f'duplicate entry "{target}"')
    if set(export_to) - {"*"}:
        yield without_effect(path, "not supported yet: it is seen everywhere")
    if "*" in export_to and len(export_to) > 1:
        yield bad(path, '"*" cannot stand beside others')
