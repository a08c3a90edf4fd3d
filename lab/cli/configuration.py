"""apply, get, delete: Istio's YAML goes in, comes back, goes out. kubectl's words.

``apply`` ends when every proxy that the change touches *uses* it.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lab.cli.choose import LabName, attached
from lab.cli.exits import FAILED, USAGE, fail
from lab.cli.output import Output, as_json, as_yaml, complain, put, say, show
from lab.cli.resources import ALIASES, COLUMNS, kinds_of, line_of, row_of

if TYPE_CHECKING:
    from lab.api import Applied, ConfigRefused, Document

STDIN = "-"
Files = Annotated[
    list[str] | None, typer.Option("--filename", "-f", help='A YAML file, a folder of them, or "-" for stdin.', metavar="FILE")
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until every proxy that it touches uses the change.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait for the proxies.", min=0)]
Format = Annotated[Output, typer.Option("--output", "-o", help="How to print it.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of the resource.")]


def apply(
    paths: Annotated[list[str] | None, typer.Argument(help="As -f.", metavar="[FILE]...")] = None,
    files: Files = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check it and say what would change.")] = False,
    wait: Wait = True,
    timeout: Timeout = 10.0,
    output: Format = Output.TABLE,
    lab: LabName = None,
) -> None:
    """Apply Istio YAML, all of it or nothing.

    Ends when every proxy that it touches uses it.

    Refused configuration is shown with file, line, column and caret, and the exit code is 1: what was in force stays in force. A proxy that
    does not take the change within --timeout is named, and the exit code is 124.
    """
    from lab.api import ConfigRefused, DistributionTimeout

    documents = _documents([*(paths or ()), *(files or ())])
    try:
        applied = attached(lab).api.apply(documents, wait=wait, timeout_seconds=timeout, dry_run=dry_run)
    except ConfigRefused as refused:
        _refuse(refused)
    except DistributionTimeout as late:
        _told(late.applied, output)
        raise
    _told(applied, output, dry_run)
    if wait and not dry_run:
        _told_reach(applied)


def _refuse(refused: "ConfigRefused") -> NoReturn:
    complain("\n\n".join(map(str, refused.diagnostics)))
    errors = sum(each.severity == "error" for each in refused.diagnostics)
    say()
    fail(f"{errors} error{'s' * (errors != 1)}: nothing was applied; what was in force stays in force", FAILED)


def _told(applied: "Applied", output: Output, dry_run: bool = False) -> None:
    for warning in applied.warnings:
        complain(str(warning))
    suffix = " (dry run)" if dry_run else ""
    match output:
        case Output.JSON | Output.YAML:
            data = {"version": applied.version, "resources": list(applied.resources), "proxies": dict(applied.proxies)}
            data |= {"touched": applied.touched, "seconds": applied.seconds, "complete": applied.complete}
            put(as_json(data) if output is Output.JSON else as_yaml(data))
        case Output.NAME:
            for resource in applied.resources:
                put(line_of(resource))
        case _:
            for resource in applied.resources:
                put(line_of(resource, resource.get("action", "") + suffix))


def _told_reach(applied: "Applied") -> None:
    proxies = f"{applied.touched} prox{'y' if applied.touched == 1 else 'ies'}"
    if all(resource.get("action") == "unchanged" for resource in applied.resources):
        say("nothing changed")
    elif not applied.touched:
        say("no proxy is touched by it")
    else:
        say(f"applied by {proxies} in {applied.seconds * 1000:.0f} ms")


def _documents(sources: list[str]) -> "list[Document]":
    from lab.api import Document
    from lab.documents import read_documents

    if not sources:
        fail("nothing to read", USAGE, 'name a YAML file, a folder, or "-" for stdin: seatrial apply -f reviews.yaml')
    if sources.count(STDIN) > 1:
        fail('stdin can be read once: "-" is given twice', USAGE)
    documents = []
    for source in sources:
        documents += [Document("<stdin>", sys.stdin.read())] if source == STDIN else read_documents([Path(source)])
    return documents


def delete(
    targets: Annotated[list[str] | None, typer.Argument(help="KIND NAME..., or KIND/NAME...", metavar="[KIND NAME]...")] = None,
    files: Files = None,
    namespace: Namespace = "default",
    wait: Wait = True,
    timeout: Timeout = 10.0,
    output: Format = Output.TABLE,
    lab: LabName = None,
) -> None:
    """Delete what a file names, or by kind and name."""
    from lab.api import ConfigRefused, DistributionTimeout

    resources = _named(targets or [], namespace)
    if bool(resources) == bool(files):
        fail("say what to delete, in one way", USAGE, "seatrial delete -f reviews.yaml, or: seatrial delete virtualservice reviews")
    documents = _documents(files) if files else []
    try:
        deleted = attached(lab).api.delete(documents, resources, wait=wait, timeout_seconds=timeout)
    except ConfigRefused as refused:
        _refuse(refused)
    except DistributionTimeout as late:
        _told(late.applied, output)
        raise
    _told(deleted, output)
    if wait:
        _told_reach(deleted)


def _named(targets: list[str], namespace: str) -> list[dict[str, str]]:
    """``vs reviews ratings`` or ``vs/reviews dr/reviews``."""
    if not targets:
        return []
    pairs = [target.split("/", 1) for target in targets] if all("/" in target for target in targets) else []
    pairs = pairs or [[targets[0], name] for name in targets[1:]]
    if not pairs:
        kind = kinds_of(targets[0])[0]
        fail(f"which {kind}?", USAGE, f"seatrial delete {targets[0]} NAME; names: seatrial get {targets[0]}")
    return [{"kind": kind, "namespace": namespace, "name": name} for said, name in pairs for kind in kinds_of(said)]


def get(
    kind: Annotated[
        str, typer.Argument(help="virtualservice|vs, destinationrule|dr, serviceentry|se, service|svc, or all.", metavar="KIND")
    ],
    name: Annotated[str | None, typer.Argument(help="Only this one.", metavar="[NAME]")] = None,
    namespace: Annotated[str, typer.Option("--namespace", "-n", help="Only of this namespace.")] = "",
    output: Format = Output.TABLE,
    headers: Annotated[bool, typer.Option("--headers/--no-headers", help="Print column titles.")] = True,
    lab: LabName = None,
) -> None:
    """Show configuration as it was applied.

    `-o yaml` prints what `apply` takes.
    """
    word, _, slashed = kind.partition("/")
    kinds = kinds_of(word)
    name = name or slashed
    if name and len(kinds) > 1:
        fail(f'"{word}" and a name do not go together', USAGE, f"kinds: {', '.join(ALIASES)}")
    api = attached(lab).api
    found = {each: api.get(each, name, namespace) for each in kinds}
    resources = [resource for each in found.values() for resource in each]
    match output:
        case Output.JSON:
            put(as_json(resources[0] if name else {"apiVersion": "v1", "kind": "List", "items": resources}))
        case Output.YAML:
            if resources:
                put("\n---\n".join(map(as_yaml, resources)))
        case Output.NAME:
            for resource in resources:
                put(line_of({"kind": resource["kind"], "name": resource["metadata"]["name"]}))
        case _:
            _tables(found, output, headers)


def _tables(found: dict[str, list[dict[str, Any]]], output: Output, headers: bool) -> None:
    shown = {kind: resources for kind, resources in found.items() if resources}
    if not shown:
        say("nothing found" if len(found) > 1 else f"no {next(iter(found))} found")
    for number, (kind, resources) in enumerate(shown.items()):
        if len(found) > 1:
            put(("\n" if number else "") + f"{kind}:")
        show([row_of(resource) for resource in resources], COLUMNS[kind], output, headers)
