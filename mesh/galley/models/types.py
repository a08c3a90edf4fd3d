"""What the fields of configuration are made of: durations, ranges, and a model that refuses what it does not know.

Istio: field types of networking.istio.io as its custom resource definitions have them (manifests/charts/base/files/crd-all.gen.yaml);
durations as pkg/config/validation ValidateDuration takes them: Go's notation, whole milliseconds.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationInfo, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

FROM_YAML = {"source": "yaml"}
"""The validation context of text written by users: there a duration must be text with a unit. Code hands over seconds."""

_PIECE = re.compile(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_MOST_NANOSECONDS = 2**63 - 1


def _problem(message: str, hint: str) -> PydanticCustomError:
    return PydanticCustomError("seatrial", "{problem}", {"problem": message, "hint": hint})


def nanoseconds(text: str) -> int | None:
    """Go's time.ParseDuration; None when it is none."""
    sign, rest = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if len(rest) > 100 or not rest or not re.fullmatch(f"(?:{_PIECE.pattern})+", rest):
        return None
    return sign * int(sum(Decimal(number) * _NANOSECONDS[unit] for number, unit in _PIECE.findall(rest)))


def _seconds(value: object, info: ValidationInfo, least: int) -> float:
    if isinstance(value, float) and info.context != FROM_YAML:
        return value
    if not isinstance(value, str):
        raise _problem(f"a duration must be text with a unit, not {_named(value)}", _duration_hint(value))
    total = nanoseconds(value)
    if total is None:
        raise _problem(f'"{value}" is not a duration', _duration_hint(value))
    if abs(total) > _MOST_NANOSECONDS:
        raise _problem(f'"{value}" is longer than 292 years', "")
    if total < least or total < 0:
        hint = "leave the field out for none" if total == 0 else ""
        raise _problem(f'a duration must be at least {"1ms" if least else "0s"}, not "{value}"', hint)
    if total % 10**6:
        raise _problem(f'"{value}" is finer than a millisecond', "durations are whole milliseconds")
    return total / 1e9


def _named(value: object) -> str:
    return f"the number {value}" if isinstance(value, int | float) and not isinstance(value, bool) else "this"


def _duration_hint(value: object) -> str:
    word = str(value).strip().lower()
    number = re.match(r"\d+(\.\d+)?", word)
    if number and not isinstance(value, bool):
        units = {"sec": "s", "min": "m", "hour": "h", "mil": "ms", "ms": "ms", "m": "m", "h": "h"}
        rest = word[number.end() :].strip()
        unit = next((short for long, short in units.items() if rest.startswith(long)), "s")
        return f'did you mean "{number[0]}{unit}"?'
    return 'write it as "1.5s", "300ms" or "1h30m"'


def _duration(value: Any, info: ValidationInfo) -> float:
    return _seconds(value, info, 10**6)


def _duration_or_zero(value: Any, info: ValidationInfo) -> float:
    return _seconds(value, info, 0)


Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds; at least a millisecond."""
DurationOrZero = Annotated[float, BeforeValidator(_duration_or_zero)]
"""Seconds; nought often stands for "never"."""
Uint32 = Annotated[int, Strict(), Field(ge=0, le=2**32 - 1)]
Int32 = Annotated[int, Strict(), Field(ge=-(2**31), le=2**31 - 1)]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Words = tuple[str, ...]
Labels = dict[str, str]


class Model(BaseModel):
    """A message of configuration: fields in camelCase, none unknown, never changed.

    ``one_of`` lists groups of fields (YAML names) of which at most one may be given; ``exactly_one`` those that need one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)

    one_of: ClassVar[tuple[tuple[str, ...], ...]] = ()
    exactly_one: ClassVar[bool] = False

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        for group in self.one_of:
            given = [self._yaml_name(name) for name in group if name in self.model_fields_set]
            if len(given) > 1:
                raise PydanticCustomError(
                    "seatrial", "{problem}", {"problem": f"only one of {' and '.join(given)} can be set", "hint": "", "field": given[-1]}
                )
            if self.exactly_one and not given:
                names = ", ".join(self._yaml_name(name) for name in group)
                raise _problem(f"one of {names} must be set", "")
        return self

    @classmethod
    def _yaml_name(cls, name: str) -> str:
        return cls.model_fields[name].alias or name


class Meta(Model):
    """``created`` counts up with every new object: the order of creation, as creationTimestamp is in Kubernetes."""

    name: str
    namespace: str = "default"
    labels: Labels = Field(default_factory=dict)
    annotations: Labels = Field(default_factory=dict)
    created: int = 0


class PortSelector(Model):
    number: Uint32 | None = None


class WorkloadSelector(Model):
    """Istio: networking.v1 WorkloadSelector (``labels``) and type.v1beta1 WorkloadSelector (``matchLabels``)."""

    labels: Labels = Field(default_factory=dict)


class LabelSelector(Model):
    match_labels: Labels = Field(default_factory=dict)


Resolution = Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"]
