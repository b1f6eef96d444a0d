"""Runs the notebooks; as a program it keeps the last picture of each, for the pages."""

import base64
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
NOTEBOOKS = sorted(HERE.glob("*.ipynb"))
IMAGES = HERE.parent / "docs" / "images"
TIMEOUT = 600  # seconds a cell, where kernels are compiled on a machine that is busy


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def run(path: Path, environment: Mapping[str, str] | None = None) -> Any:
    """The notebook with its outputs, from a process of its own. Raises CellExecutionError."""
    notebook = read(path)
    options = {} if environment is None else {"env": dict(environment)}
    NotebookClient(notebook, timeout=TIMEOUT).execute(**options)
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def printed(notebook: Any) -> str:
    """What its cells have written to standard output."""
    return "".join(part.text for part in outputs(notebook) if part.get("name") == "stdout")


def picture(notebook: Any) -> bytes:
    """The last one, a PNG."""
    drawn = [
        part.data["image/png"] for part in outputs(notebook) if "image/png" in part.get("data", ())
    ]
    return base64.b64decode(drawn[-1])


def image(path: Path) -> Path:
    """Where the picture of a notebook is kept."""
    return IMAGES / f"example-{path.stem}.png"


if __name__ == "__main__":
    for path in NOTEBOOKS:
        notebook = run(path)
        image(path).write_bytes(picture(notebook))
        sys.stdout.write(f"{path.name}\n{printed(notebook)}\n")
