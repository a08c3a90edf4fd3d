"""Header fields of one message: looked up as text, kept as the bytes that go on the wire.

Envoy: Http::HeaderMap. Names are lower-case ``str``. Values are UTF-8 text in which any other byte survives as a surrogate escape,
so that nothing is lost between the two connections. Fields that came twice are one entry: ``get`` answers them joined by a comma
(what a matcher must see, or an attacker hides behind the first of two), ``wire`` writes them as they came.
"""

import re
from collections.abc import Iterable, Iterator

Field = tuple[str, bytes]
"""The value as text, and the whole line (or lines) as written: ``("gzip", b"accept-encoding: gzip\\r\\n")``."""

_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f]")


def field(name: str, value: str) -> Field:
    """Build a field, once: a filter that sets the same header on every request keeps what this returns.

    Raises ValueError where the text could break out of its line.
    """
    if not _NAME.fullmatch(name) or _FORBIDDEN.search(value):
        raise ValueError(f"not a header field: {name!r}: {value!r}")
    return value, f"{name}: {value}\r\n".encode("utf-8", "surrogateescape")


def join_fields(first: Field, second: Field) -> Field:
    """One entry for a header that came twice."""
    return f"{first[0]},{second[0]}", first[1] + second[1]


class Headers:
    """The header fields of one request or response, without ``host``, which is ``request.authority``.

    ``fields`` is open on purpose: a filter on the hot path may write ``headers.fields[name] = FIELD`` with a field it built when
    configuration arrived, or ``headers.fields.pop(name, None)``.
    """

    __slots__ = ("fields",)

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.fields: dict[str, Field] = {}
        for name, value in pairs:
            self.add(name, value)

    @classmethod
    def of(cls, fields: dict[str, Field]) -> "Headers":
        """Take over a dict of ready fields."""
        headers = cls.__new__(cls)
        headers.fields = fields
        return headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value, or all values joined by a comma."""
        found = self.fields.get(name)
        return default if found is None else found[0]

    def get_all(self, name: str) -> list[str]:
        """Each value by itself, as they came: for set-cookie, whose values hold commas."""
        found = self.fields.get(name)
        if found is None:
            return []
        lines = found[1].decode("utf-8", "surrogateescape").split("\r\n")
        return [line.partition(":")[2].strip(" \t") for line in lines[:-1]]

    def set(self, name: str, value: str) -> None:
        self.fields[name] = field(name, value)

    def add(self, name: str, value: str) -> None:
        """Append: an existing field of that name stays, beside the new one."""
        new = field(name, value)
        old = self.fields.get(name)
        self.fields[name] = new if old is None else join_fields(old, new)

    def remove(self, name: str) -> None:
        self.fields.pop(name, None)

    def items(self) -> Iterator[tuple[str, str]]:
        """Every field by itself: a name comes as often as it came."""
        for name in self.fields:
            for value in self.get_all(name):
                yield name, value

    def copy(self) -> "Headers":
        return Headers.of(self.fields.copy())

    def wire(self) -> bytes:
        return b"".join([line for _, line in self.fields.values()])

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __repr__(self) -> str:
        return f"Headers({list(self.items())!r})"
