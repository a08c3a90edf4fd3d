"""load: many requests, counted and timed in microseconds."""

from typing import TYPE_CHECKING, Annotated

import typer

from lab.cli.choose import LabName, attached
from lab.cli.exits import FAILED, USAGE, fail
from lab.cli.output import Column, Output, as_json, as_yaml, put, say, show

if TYPE_CHECKING:
    from lab.load.model import LoadResult, LoadSpec, Second

DEFAULT_SECONDS = 10.0
SUFFIXES = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def load(
    target: Annotated[
        str, typer.Argument(help="A URL, a service with or without a path (reviews/health), or a path of the ingress.")
    ] = "/",
    users: Annotated[int, typer.Option("--users", "-u", help="How many at once.", min=1)] = 8,
    rate: Annotated[float | None, typer.Option("--rate", "--rps", "-r", help="Offer so many a second, answered or not.", min=0.1)] = None,
    requests: Annotated[int | None, typer.Option("--requests", "-n", help="End after so many.", min=1)] = None,
    duration: Annotated[str | None, typer.Option("--duration", "-t", help="End after so long: 30, 30s, 2m. Default 10s.")] = None,
    label: Annotated[str, typer.Option("--label", help="Count answers by this: a path into their JSON, or header:NAME.")] = "",
    method: Annotated[str, typer.Option("--method", "-X", help="HTTP method.")] = "GET",
    header: Annotated[list[str] | None, typer.Option("--header", "-H", help='"name: value"; may be given again.')] = None,
    body: Annotated[str, typer.Option("--body", "-d", help="What to send.")] = "",
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds until an answer counts as failed.", min=0.1)] = 30.0,
    new_connections: Annotated[bool, typer.Option("--new-connections", help="A connection for each request.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE,
    lab: LabName = None,
) -> None:
    """Send a load from outside the mesh.

    Exits with 1 when not one request was answered well.
    """
    from lab.load.model import LoadSpec
    from lab.load.run import run_load

    seconds = _seconds(duration) if duration else None if requests else DEFAULT_SECONDS
    spec = LoadSpec(
        url=_url(target, lab),
        method=method.upper(),
        headers=tuple(_header(each) for each in header or ()),
        body=body,
        users=users,
        requests=requests,
        duration_seconds=seconds,
        rps=rate,
        label=label,
        timeout_seconds=timeout,
        new_connection_per_request=new_connections,
    )
    say(f"{spec.method} {spec.url}: {users} users, {_size(spec)}")
    result = run_load(spec, _tell)
    _told(result, output)
    if not result.ok:
        raise typer.Exit(FAILED)


def _size(spec: "LoadSpec") -> str:
    offered = f"{spec.rps:g} requests/s" if spec.rps else "each as fast as it is answered"
    end = f"{spec.requests} requests" if spec.requests else ""
    return ", ".join(part for part in (offered, end, f"{spec.duration_seconds:g} s" if spec.duration_seconds else "") if part)


def _url(target: str, lab: str | None) -> str:
    if "://" in target:
        if not target.startswith("http://"):
            fail(f"cannot load {target}", USAGE, "only http:// URLs")
        return target
    if target.startswith("/"):
        return attached(lab).url() + target
    service, _, path = target.partition("/")
    name, _, port = service.partition(":")
    if port and not port.isdecimal():
        fail(f'"{port}" is not a port', USAGE)
    return f"{attached(lab).url(name, int(port) if port else None)}/{path}"


def _seconds(text: str) -> float:
    number, factor = text, 1.0
    for suffix, seconds in SUFFIXES.items():
        if text.endswith(suffix):
            number, factor = text.removesuffix(suffix), seconds
            break
    try:
        value = float(number) * factor
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        fail(f'"{text}" is not a duration', USAGE, "write 30, 30s, 500ms or 2m")
    return value


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        fail(f'"{text}" is not a header', USAGE, 'write "name: value"')
    return name.strip(), value.strip()


def _tell(second: "Second") -> None:
    labels = "".join(f"  {name or '(none)'} {count}" for name, count in sorted(second.labels.items()))
    say(
        f"{second.at_seconds:6.1f} s  {second.ok + second.failed:6d} requests  {second.failed} failed"
        f"  p50 {second.p50_us / 1000:.1f} ms  p99 {second.p99_us / 1000:.1f} ms{labels}"
    )


def _told(result: "LoadResult", output: Output) -> None:
    import json

    if output in (Output.JSON, Output.YAML):
        data = json.loads(result.to_json())
        put(as_json(data) if output is Output.JSON else as_yaml(data))
        return
    row = {"requests": result.requests, "failed": result.failed, "seconds": f"{result.seconds:.1f}", "rps": f"{result.rps:.0f}"}
    row |= {f"p{p}": f"{result.percentile_ms(p / 100):.2f} ms" for p in (50, 90, 95, 99)}
    show([row], [Column(key.upper(), key, key in ("p90", "p95")) for key in row], output)
    counted = [("STATUS", {str(status or "no answer"): count for status, count in sorted(result.statuses.items())})]
    counted += [("LABEL", dict(result.labels.most_common())), ("ERROR", dict(result.errors.most_common(5)))]
    for title, counts in counted:
        if counts:
            put("")
            show(_shares(counts, result.requests), [Column(title, "value"), Column("COUNT", "count"), Column("SHARE", "share")], output)


def _shares(counts: dict[str, int], total: int) -> list[dict[str, object]]:
    return [{"value": value, "count": count, "share": f"{100 * count / total:.1f} %"} for value, count in counts.items()]
