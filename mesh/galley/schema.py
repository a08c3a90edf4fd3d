"""What the models refuse, told in the words of the file: which field, what is wrong with it, and what was probably meant.

Istio: the same refusals as its custom resource definitions with strict field validation, which is kubectl's default.
"""

import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import AliasChoices, BaseModel, ValidationError

from mesh.galley.diagnostics import did_you_mean
from mesh.galley.models.types import FROM_YAML
from mesh.galley.parse import Path, named


@dataclass(frozen=True, slots=True)
class Problem:
    """``path`` is where; ``key``: the name there is what is wrong, not the value. A ``code`` other than "" makes it a warning."""

    path: Path
    message: str
    hint: str = ""
    key: bool = False
    code: str = ""


def dotted(path: Path) -> str:
    """spec.http[0].timeout"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def check(model: type[BaseModel], data: Any, at: Path) -> tuple[BaseModel | None, list[Problem]]:
    """The model made from YAML data, or all that is wrong with the data."""
    try:
        return model.model_validate(data, by_alias=True, by_name=False, context=FROM_YAML), []
    except ValidationError as error:
        details = error.errors(include_url=False)
        return None, [_problem(model, dict(detail), at) for detail in details]


def nulls(data: Any, at: Path) -> Iterator[Problem]:
    """Keys without a value. Kubernetes refuses null where the schema wants an object, a list or text."""
    if data is None:
        yield Problem(
            at, f"{dotted(at)}: there is no value", "give it one, or leave the key out; is the next line indented too little?", key=True
        )
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from nulls(value, (*at, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from nulls(value, (*at, index))


def _problem(model: type[BaseModel], detail: dict[str, Any], at: Path) -> Problem:
    inner: Path = tuple(part for part in detail["loc"] if part != "[key]")
    context: Mapping[str, Any] = detail.get("ctx") or {}
    path, kind = at + inner, detail["type"]
    if "field" in context:
        path = (*path, context["field"])
    where = dotted(path)
    if kind == "extra_forbidden":
        return _unknown_field(model, inner, path)
    if kind == "missing":
        return Problem(path, f"{where}: Required value")
    if kind == "seatrial":
        return Problem(path, f"{where}: {context['problem']}", context["hint"], key="field" in context)
    if kind == "literal_error":
        return _not_one_of(str(context["expected"]), detail["input"], path)
    return Problem(path, f"{where}: {_wanted(kind, context)}, not {named(detail['input'])}", _quote(kind, detail["input"]))


def _unknown_field(model: type[BaseModel], inner: Path, path: Path) -> Problem:
    known = field_names(model, inner[:-1])
    hint = did_you_mean(str(path[-1]), known)
    if not hint:
        homes = [home for home in _homes(model, str(path[-1])) if home]
        hint = f'"{path[-1]}" belongs in {" or ".join(homes)}: look at the indentation' if homes else f"there are {', '.join(known)}"
    return Problem(path, f'unknown field "{dotted(path)}"', hint, key=True)


def _not_one_of(expected: str, given: object, path: Path) -> Problem:
    words = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    guess = did_you_mean(given, words) if isinstance(given, str) else ""
    return Problem(path, f"{dotted(path)}: {named(given)} is not one of {', '.join(words)}", guess)


_WANTED = {
    "string_type": "must be text",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be a set of keys and values",
    "model_type": "must be a set of keys and values",
    "model_attributes_type": "must be a set of keys and values",
    "tuple_type": "must be a list",
    "finite_number": "must be a finite number",
}


def _wanted(kind: str, context: Mapping[str, Any]) -> str:
    match kind:
        case "greater_than_equal":
            return f"Invalid value: must be at least {context['ge']}"
        case "less_than_equal":
            return f"Invalid value: must be at most {context['le']}"
        case "too_short":
            return "Required value: must have at least one item"
        case "too_long" | "string_too_long":
            return f"Too long: must be at most {context['max_length']} long"
        case _:
            return _WANTED.get(kind, f"Invalid value ({kind})")


def _quote(kind: str, given: object) -> str:
    if kind == "string_type" and isinstance(given, bool):
        return "quote it to make it text: unquoted, YAML takes true, yes, on and y for a boolean, and their opposites"
    if kind == "string_type" and isinstance(given, int | float):
        return f'quote it to make it text: "{given}"'
    if kind in ("int_type", "float_type", "bool_type") and isinstance(given, str):
        return "leave the quotes out" if given.replace(".", "", 1).isdigit() or given in ("true", "false") else ""
    if kind == "tuple_type":
        return 'begin each item with "- "'
    if kind.startswith("model") and isinstance(given, list):
        return 'leave the "- " out'
    return ""


# --- the models, asked for their fields


def field_names(model: type[BaseModel], inner: Path) -> list[str]:
    """The YAML names of the fields of the model that is found at ``inner`` below ``model``."""
    here = _model_at(model, inner)
    return sorted(_fields(here)) if here else []


def _fields(model: type[BaseModel]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, info in model.model_fields.items():
        choices = info.validation_alias
        fields[str(choices.choices[0]) if isinstance(choices, AliasChoices) else info.alias or name] = info.annotation
    return fields


def _model_at(annotation: Any, inner: Path) -> type[BaseModel] | None:
    here = _unwrapped(annotation)
    for part in inner:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = _unwrapped(_fields(here).get(str(part)))
        else:  # tuple[X, ...] or dict[str, X]
            arguments = get_args(here)
            here = _unwrapped(arguments[1] if get_origin(here) is dict else arguments[0]) if arguments else None
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _unwrapped(annotation: Any) -> Any:
    """Without Annotated and without None."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _unwrapped(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return _unwrapped(next(one for one in get_args(annotation) if one is not type(None)))
    return annotation


def _homes(model: type[BaseModel], name: str, at: str = "spec", depth: int = 4) -> Iterator[str]:
    """Where else, not too deep, there is a field of that name."""
    fields = _fields(model)
    if name in fields:
        yield at
        return
    for field, annotation in fields.items() if depth else ():
        inner = _unwrapped(annotation)
        suffix = "[]" if get_origin(inner) is tuple else ""
        below = _unwrapped(get_args(inner)[0]) if suffix else inner
        if isinstance(below, type) and issubclass(below, BaseModel):
            yield from _homes(below, name, f"{at}.{field}{suffix}", depth - 1)
