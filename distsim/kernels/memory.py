"""Memory as the processor wants it: aligned arrays, and a hint of what is read next.

It has no twin: on GPUs the compiler and the driver do these.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

LINE = 64  # bytes that come into a cache together
# Options of what is called once an event or more. Counting the references to its arrays would cost
# as much as a short column does; so it can make none.
UNCOUNTED: Any = {"cache": True, "error_model": "numpy", "_nrt": False}


@intrinsic
def prefetch(typing, arrays, index):
    """Ask for the memory of array[index] of each of a tuple of arrays, which is soon used."""

    def generate(context, builder, signature, arguments):
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        read, every_cache, data_not_code = word(0), word(3), word(1)
        for k, array in enumerate(signature.args[0]):
            value = builder.extract_value(arguments[0], k)
            data = context.make_array(array)(context, builder, value).data
            place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
            builder.call(function, [place, read, every_cache, data_not_code])
        return context.get_dummy_value()

    return types.void(arrays, index), generate


def aligned(shape: tuple[int, ...], kind: Any) -> Any:
    """As np.empty, but from the start of a cache line: vectors that lie in two take longer."""
    size = math.prod(shape) * np.dtype(kind).itemsize
    memory = np.empty(size + LINE, np.uint8)
    start = -memory.ctypes.data % LINE
    return memory[start : start + size].view(kind).reshape(shape)
