"""Envoy's own constraints on its messages (``validate.rules``), checked as Envoy checks them, in its words.

Envoy: MessageUtil::validate over protoc-gen-validate. The rules stand as options in the descriptors, so they are Envoy's by construction.
For each message type they are compiled once into functions; the kinds of rules that Envoy's resources use are covered.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from validate import validate_pb2

Check = Callable[[Any], str | None]
"""What is wrong with a value; None: nothing."""
Visit = Callable[[Any], None]
"""Raises Violation."""

_NUMBERS = ("float", "double", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64")
_NANOS = 1_000_000_000
_KNOWN = {
    (1, False): re.compile(r"[^\x00\r\n]*"),
    (1, True): re.compile(r":?[0-9a-zA-Z!#$%&'*+\-.^_|~`]+"),
    (2, False): re.compile(r"[^\x00\r\n]*"),
    (2, True): re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*"),
}
"""By well_known_regex (1: header name, 2: header value) and whether it is strict."""


class Violation(ValueError):
    """Of one message; ``within`` makes it its parent's."""

    def within(self, message: str, field: str) -> "Violation":
        return Violation(f"{message}ValidationError.{field}: embedded message failed validation | caused by {self}")


def check(message: Any) -> None:
    """Raises ``ValueError`` in Envoy's words."""
    try:
        _visit(message)
    except Violation as violation:
        raise ValueError(f"Proto constraint validation failed ({violation})") from None


def _visit(message: Any) -> None:
    for visit in _visits(message.DESCRIPTOR):
        visit(message)


@cache
def _visits(descriptor: Any) -> tuple[Visit, ...]:
    oneofs = (_oneof(descriptor, one) for one in descriptor.oneofs if one.GetOptions().Extensions[validate_pb2.required])
    return (*oneofs, *(visit for field in descriptor.fields for visit in _field(descriptor, field)))


def _oneof(descriptor: Any, oneof: Any) -> Visit:
    def visit(message: Any) -> None:
        if message.WhichOneof(oneof.name) is None:
            raise Violation(f"{descriptor.name}ValidationError.{_camel(oneof.name)}: is required")

    return visit


def _field(descriptor: Any, field: Any) -> Iterator[Visit]:
    rules = field.GetOptions().Extensions[validate_pb2.rules]
    complain = _complainer(descriptor, field)
    if field.is_repeated:
        yield from _repeated(field, rules, complain)
        return
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        yield from _embedded(descriptor, field, rules, complain)
        return
    checks = tuple(_scalar(rules))
    if checks:
        yield _only_if_set(field, _checked(field, checks, complain))


def _complainer(descriptor: Any, field: Any) -> Callable[[str, str], Violation]:
    return lambda reason, index: Violation(f"{descriptor.name}ValidationError.{_camel(field.name)}{index}: {reason}")


def _checked(field: Any, checks: tuple[Check, ...], complain: Callable[[str, str], Violation]) -> Visit:
    def visit(message: Any) -> None:
        value = getattr(message, field.name)
        for one in checks:
            reason = one(value)
            if reason is not None:
                raise complain(reason, "")

    return visit


def _only_if_set(field: Any, visit: Visit) -> Visit:
    if field.containing_oneof is None:
        return visit
    return lambda message: visit(message) if message.HasField(field.name) else None


def _embedded(descriptor: Any, field: Any, rules: Any, complain: Callable[[str, str], Violation]) -> Iterator[Visit]:
    if (rules.message.required or rules.duration.required or rules.any.required) and field.containing_oneof is None:
        yield _required(field.name, complain)
    if not rules.message.skip:
        checks = tuple(_of_message(field.message_type, rules))
        inside = _inside(descriptor.name, field.name)
        yield _if_there(field.name, _checked(field, checks, complain), inside)


def _required(name: str, complain: Callable[[str, str], Violation]) -> Visit:
    def visit(message: Any) -> None:
        if not message.HasField(name):
            raise complain("value is required", "")

    return visit


def _inside(message_name: str, name: str) -> Visit:
    def visit(message: Any) -> None:
        try:
            _visit(getattr(message, name))
        except Violation as violation:
            raise violation.within(message_name, _camel(name)) from None

    return visit


def _if_there(name: str, *visits: Visit) -> Visit:
    def visit(message: Any) -> None:
        if message.HasField(name):
            for one in visits:
                one(message)

    return visit


def _of_message(descriptor: Any, rules: Any) -> Iterator[Check]:
    if descriptor.full_name == "google.protobuf.Duration":
        yield _valid_duration
        yield from _range(rules.duration, _duration_nanos, lambda limit: f"{limit.ToJsonString()}")
    elif descriptor.full_name.startswith("google.protobuf.") and descriptor.full_name.endswith("Value"):
        for one in _scalar(rules):
            yield lambda wrapper, one=one: one(wrapper.value)  # type: ignore[misc]


def _valid_duration(value: Any) -> str | None:
    return None if _duration_nanos(value) >= 0 else f"Expected positive duration: seconds: {value.seconds}"


def _duration_nanos(value: Any) -> int:
    return int(value.seconds) * _NANOS + int(value.nanos)


def _repeated(field: Any, rules: Any, complain: Callable[[str, str], Violation]) -> Iterator[Visit]:
    name, limits = field.name, rules.repeated
    is_map = field.message_type is not None and field.message_type.GetOptions().map_entry
    checks = tuple(_scalar(limits.items)) if limits.HasField("items") and not is_map else ()
    of_messages = field.message_type is not None and not is_map

    def visit(message: Any) -> None:
        values = getattr(message, name)
        if limits.min_items and len(values) < limits.min_items:
            raise complain(f"value must contain at least {limits.min_items} item(s)", "")
        if limits.HasField("max_items") and len(values) > limits.max_items:
            raise complain(f"value must contain no more than {limits.max_items} item(s)", "")
        if is_map:
            return
        for index, value in enumerate(values):
            reason = next((reason for one in checks if (reason := one(value)) is not None), None)
            if reason is not None:
                raise complain(reason, f"[{index}]")
            if of_messages:
                try:
                    _visit(value)
                except Violation as violation:
                    raise violation.within(message.DESCRIPTOR.name, f"{_camel(name)}[{index}]") from None

    yield visit


def _scalar(rules: Any) -> Iterator[Check]:
    kind = rules.WhichOneof("type")
    if kind == "string":
        yield from _string(rules.string)
    elif kind == "enum":
        yield from _enum(rules.enum)
    elif kind in _NUMBERS:
        yield from _range(getattr(rules, kind), lambda value: value, str)


def _string(rules: Any) -> Iterator[Check]:
    if rules.ignore_empty:
        yield from (_unless_empty(one) for one in _texts(rules))
    else:
        yield from _texts(rules)


def _unless_empty(one: Check) -> Check:
    return lambda value: one(value) if value else None


def _texts(rules: Any) -> Iterator[Check]:
    least, most = rules.min_len or rules.min_bytes, rules.max_len or rules.max_bytes
    if least:
        yield lambda value: None if len(value) >= least else f"value length must be at least {least} characters"
    if most:
        yield lambda value: None if len(value) <= most else f"value length must be at most {most} characters"
    if rules.pattern:
        pattern = re.compile(rules.pattern)
        yield lambda value: None if pattern.search(value) else f'value does not match regex pattern "{rules.pattern}"'
    if rules.prefix:
        yield lambda value: None if value.startswith(rules.prefix) else f'value does not have prefix "{rules.prefix}"'
    if rules.well_known_regex:
        strict = rules.strict if rules.HasField("strict") else True
        known = _KNOWN[rules.well_known_regex, strict]
        yield lambda value: None if known.fullmatch(value) else f'value does not match regex pattern "{known.pattern}"'
    yield from _members(getattr(rules, "in"), rules.not_in)


def _enum(rules: Any) -> Iterator[Check]:
    yield from _members(getattr(rules, "in"), rules.not_in)


def _members(wanted: Iterable[Any], unwanted: Iterable[Any]) -> Iterator[Check]:
    only, never = frozenset(wanted), frozenset(unwanted)
    if only:
        yield lambda value: None if value in only else f"value must be in list {sorted(only)}"
    if never:
        yield lambda value: f"value must not be in list {sorted(never)}" if value in never else None


def _range(rules: Any, number: Callable[[Any], Any], text: Callable[[Any], str]) -> Iterator[Check]:
    """Both ends together make one check, as PGV has it."""
    has = rules.HasField
    low = next((name for name in ("gt", "gte") if has(name)), "")
    high = next((name for name in ("lt", "lte") if has(name)), "")
    if not low and not high:
        return
    least, most = (number(getattr(rules, name)) if name else None for name in (low, high))
    words = _words(rules, low, high, text)

    def holds(value: Any) -> str | None:
        given = number(value)
        fits = (least is None or given > least or (low == "gte" and given == least)) and (
            most is None or given < most or (high == "lte" and given == most)
        )
        return None if fits else words

    yield holds


def _words(rules: Any, low: str, high: str, text: Callable[[Any], str]) -> str:
    if low and high:
        opening, closing = "(["[low == "gte"], ")]"[high == "lte"]
        return f"value must be inside range {opening}{text(getattr(rules, low))}, {text(getattr(rules, high))}{closing}"
    name = low or high
    compared = {"gt": "greater than", "gte": "greater than or equal to", "lt": "less than", "lte": "less than or equal to"}[name]
    return f"value must be {compared} {text(getattr(rules, name))}"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
