"""The notebooks of examples/: each runs in a process of its own and says what its text says."""

from pathlib import Path

import launchers
import pytest
from pictures import IMAGES, NOTEBOOKS, image, outputs, picture, printed, read, run

ROOT = Path(__file__).parents[2]
MOST_BYTES = 150_000  # of a picture
SAYS = {  # the same everywhere; what the RBM learns follows from sums in floating point
    "connectome": ["AVAL          1.000", "nearly silent 64%"],
    "fly": ["T4a to d             +0.07, far away -0.00", "T5a to d             -0.09"],
    "maxcut": ["counted from its state"],
    "rbm": ["30 pictures of 65,536"],
}


def test_there_are_four() -> None:
    assert [path.stem for path in NOTEBOOKS] == sorted(SAYS)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_and_ends_with_a_picture(path: Path) -> None:
    notebook = run(path, launchers.ENVIRONMENT)
    for words in SAYS[path.stem]:
        assert words in printed(notebook)
    assert len(picture(notebook)) < MOST_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path: Path) -> None:
    notebook = read(path)
    assert outputs(notebook) == []
    assert [
        cell.execution_count
        for cell in notebook.cells
        if cell.cell_type == "code"
        if cell.execution_count is not None
    ] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_pages_show_a_picture_of_each(path: Path) -> None:
    assert image(path).stat().st_size < MOST_BYTES
    for page, folder in (
        (ROOT / "README.md", "docs/images"),
        (IMAGES.parent / "examples.md", "images"),
    ):
        text = page.read_text(encoding="utf-8")
        assert f"({folder}/{image(path).name})" in text
        assert f"examples/{path.name})" in text
