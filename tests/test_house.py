"""Rules of the house that no linter knows."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "distsim"
MOST_ARGUMENTS, MOST_LINES = 8, 340
# What a contract is for: nobody asks which one it has, but the place that opens them.
FULFILLED = {
    "McCullochPitts", "Boltzmann", "Race", "Relax", "HostChain", "DeviceChain", "DenseColumns",
    "DeviceColumns", "SparseColumns", "Dense", "Sparse", "SparseFile", "Mended", "Gaussian",
    "Hopfield", "Drawn", "Serial", "Mpi",
}  # fmt: skip


def trees() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def test_no_function_takes_more_than_eight_arguments_by_position() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.Lambda):
                names = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
                taken = [name for name in names if name not in ("self", "cls")]
                assert len(taken) <= MOST_ARGUMENTS, f"{path}, line {node.lineno}"


def test_nobody_asks_for_the_kind_of_what_fulfils_a_contract() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "isinstance":
                asked = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
                assert not asked & FULFILLED, f"{path}, line {node.lineno}"


def test_files_are_read_in_one_sitting() -> None:
    for path, _ in trees():
        assert len(path.read_text(encoding="utf-8").splitlines()) <= MOST_LINES, path


def test_no_name_of_one_module_alone_is_used_in_another() -> None:
    for path, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("distsim"):
                private = [a.name for a in node.names if a.name.startswith("_")]
                assert not [n for n in private if n != "__version__"], f"{path}: {private}"
