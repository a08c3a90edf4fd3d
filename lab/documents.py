"""Configuration as it is handed in: a file, a folder of YAML files, or a text."""

from collections.abc import Iterable
from pathlib import Path

from lab.api import Document
from lab.runtimes.runtime import LabError

INLINE = "<text>"


def read_documents(sources: Iterable[str | Path]) -> list[Document]:
    """A string with a line break in it is a text; anything else names a file or a folder. Raises ``LabError``."""
    return [document for source in sources for document in _read(source)]


def _read(source: str | Path) -> list[Document]:
    if isinstance(source, str) and "\n" in source:
        return [Document(INLINE, source)]
    path = Path(source)
    if not path.is_dir():
        return [_document(path)]
    files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml"))
    if not files:
        raise LabError(f"no YAML files in {path}")
    return [_document(file) for file in files]


def _document(file: Path) -> Document:
    try:
        return Document(str(file), file.read_text(encoding="utf-8"))
    except OSError as error:
        raise LabError(f"cannot read {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LabError(f"cannot read {file}: not UTF-8 text (byte {error.start})") from error
