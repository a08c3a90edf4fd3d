"""version: what runs here, for reports of bugs and for scripts."""

from typing import Annotated

import typer

from lab.cli.output import Output, as_json, as_yaml, put


def version(output: Annotated[Output, typer.Option("--output", "-o", help="How to print it.")] = Output.TABLE) -> None:
    """Show versions; -o json for all of them."""
    import platform
    from importlib import metadata

    packages = ("grpcio", "xds-protos", "uvloop", "httptools", "locust", "docker")
    data = {"seatrial": metadata.version("seatrial"), "python": platform.python_version(), "platform": platform.platform()}
    data |= {package: _version_of(package) for package in packages}
    match output:
        case Output.JSON:
            put(as_json(data))
        case Output.YAML:
            put(as_yaml(data))
        case Output.WIDE:
            put("\n".join(f"{name} {number}" for name, number in data.items()))
        case _:
            put(f"seatrial {data['seatrial']} (Python {data['python']}, {data['platform']})")


def _version_of(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
