"""Host and kernels agree about the structs that they share."""

import ctypes
import re

import numpy as np
import pytest
from host_code import call, library, needs_compiler

from distsim.gpu.layout import CONTEXT_BYTES, STAGES, STATE, STATE_BYTES, Context, Halt, StateBit

SOURCE = """
#include <cstddef>
#include <type_traits>
#include "layout.cuh"
template <typename T>
constexpr i64 kind() { return sizeof(T) == 8 ? std::is_floating_point<T>::value : -1; }
#define TOLD(type, member) \\
    offsetof(type, member), kind<std::remove_reference_t<decltype(((type*)0)->member)>>()
extern "C" void layout(i64* found) {
    const i64 all[] = {%s};
    for (i64 value : all) *found++ = value;
}
"""
CHAIN = {"WEIGHT_BITS": 8, "Z_BITS": 32}
assert STATE.fields is not None
# Name, place and whether it is a double, of each member of 8 bytes.
MEMBERS = {
    "Context": [(field[0], getattr(Context, field[0]).offset, field[1] is ctypes.c_double)
                for field in Context._fields_],
    "State": [(f"{name}{k}" if name == "spent" else name, field[1] + 8 * k, field[0].kind == "f")
              for name, field in STATE.fields.items() for k in range(field[0].itemsize // 8)],
}  # fmt: skip


def _found(values: list[str], each: int = 1) -> list[int]:
    """What C++ says, `each` numbers a value."""
    found = np.zeros(each * len(values), np.int64)
    call(library(SOURCE % ", ".join(values), **CHAIN).layout, found)
    return found.tolist()


def _member(name: str) -> str:
    """The C++ of a member of layout.py."""
    if name in ("weights", "stride"):
        return f"columns.{name}"
    name = re.sub(r"^peer(\d)$", r"peers\1", name)
    return re.sub(r"^(z|events|peers|spent)(\d)$", r"\1[\2]", name)


@needs_compiler
@pytest.mark.parametrize("struct", ["Context", "State"])
def test_members_are_those_of_the_kernels(struct: str) -> None:
    """By name, place and kind; all have 8 bytes, so that none is left out."""
    told = [(_member(name), place, real) for name, place, real in MEMBERS[struct]]
    size = {"Context": CONTEXT_BYTES, "State": STATE_BYTES}[struct]
    found = _found([f"TOLD({struct}, {name})" for name, _, _ in told], each=2)
    assert found == [value for _, place, real in told for value in (place, int(real))]
    assert [place for _, place, _ in told] == list(range(0, size, 8))
    assert _found([f"sizeof({struct})"]) == [size]


@needs_compiler
def test_stages_and_halts_are_those_of_the_kernels() -> None:
    names = [stage.upper() for stage in STAGES] + [str(halt.name) for halt in Halt]
    assert _found(names) == [*range(len(STAGES)), *Halt]


def test_bits_of_a_state_are_in_one_byte_apart() -> None:
    assert sum(StateBit) == sum({int(bit) for bit in StateBit}) < 256
