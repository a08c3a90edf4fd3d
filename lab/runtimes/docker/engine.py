"""The Docker engine: reaching it, and what its errors mean to a lab."""

from collections.abc import Iterator
from contextlib import contextmanager

import docker
import requests
from docker.errors import APIError, DockerException

from lab.runtimes.runtime import LabError

TIMEOUT_SECONDS = 180  # an engine that builds images on a slow disk lets others wait for minutes
CONNECTIONS = 32
HOW_TO_GET_ONE = "start Docker (systemctl start docker, or Docker Desktop), set DOCKER_HOST, or use --runtime local"


def connect(timeout_seconds: float = TIMEOUT_SECONDS) -> docker.DockerClient:
    """Raises ``LabError`` when no engine answers. The API version is negotiated: engines from 20.10 (1.41) on do."""
    try:
        client = docker.from_env(version="auto", timeout=int(timeout_seconds), max_pool_size=CONNECTIONS)
        client.ping()
    except (DockerException, requests.RequestException) as error:
        raise LabError("no Docker engine answers", why=_reason(error), how=HOW_TO_GET_ONE) from error
    return client


@contextmanager
def explained(what: str, how: str = "") -> Iterator[None]:
    """What the engine refuses becomes a ``LabError`` that says what was wanted."""
    try:
        yield
    except APIError as error:
        raise LabError(what, why=said(error), how=how) from error
    except requests.RequestException as error:
        raise LabError(what, why=f"the Docker engine does not answer: {_reason(error)}", how=how or HOW_TO_GET_ONE) from error


def said(error: APIError) -> str:
    return str(error.explanation or error)


def _reason(error: BaseException) -> str:
    """The innermost cause: the outer ones only say that something went wrong."""
    while error.__context__ is not None:
        error = error.__context__
    return str(error)
