"""A hint to the processor, for kernels that read whole columns of a frame."""

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numba.np import arrayobj

CHUNK = 64  # rows between two hints: a compiled loop over them has no call in it, and so stays vectorised
AHEAD = 1024  # rows: far enough for memory to answer in time
_LINE_BYTES = 64


def _prefetch(typing_context: Any, array: Any, row: Any) -> Any:
    """Ask for the `CHUNK` rows from `row` on, which may lie behind the end, to be fetched from memory meanwhile.

    A loop that also writes is otherwise kept waiting: what a processor guesses by itself suits loops that only read.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array_type = signature.args[0]
        data = arrayobj.make_array(array_type)(context, builder, args[0]).data  # type: ignore[no-untyped-call]
        row_bytes = context.get_abi_sizeof(context.get_data_type(array_type.dtype))
        row_bytes *= 2 if array_type.ndim == 2 else 1
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], hint)
        start = builder.bitcast(data, byte)
        first = builder.mul(args[1], ir.Constant(args[1].type, row_bytes))
        for line in range(0, CHUNK * row_bytes, _LINE_BYTES):
            address = builder.gep(start, [builder.add(first, ir.Constant(args[1].type, line))])
            builder.call(function, [address, ir.Constant(word, 0), ir.Constant(word, 3), ir.Constant(word, 1)])
        return context.get_dummy_value()

    return types.void(array, row), generate


prefetch: Any = intrinsic(_prefetch)  # prefetch(array, row), in compiled code only
