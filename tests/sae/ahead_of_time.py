"""Run by test_triton.py with a compute capability times ten: compiles every loop for that card and prints its usage."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.backends.nvidia import compiler
from triton.compiler import ASTSource

from msae.sae.kernels import triton_loops

CUOBJDUMP = Path(compiler.__file__).parent / "bin" / "cuobjdump"
ARGUMENTS = {
    "*fp32": "A B out source weight bias row_slack column_slack floor gradient parameter along square mean factor",
    "*i64": "row column index offsets ends found",
    "*i32": "words counts valid",
    "*bf16": "x W",
    "fp32": "step rate1 rate2 epsilon smallest",
    "i32": "m n d room n_rows n_columns first first_word n_words d_sae",
}
TYPES = {name: kind for kind, names in ARGUMENTS.items() for name in names.split()}


@dataclass(frozen=True)
class Loop:
    """A loop as it is launched."""

    name: str
    constants: dict[str, Any]
    options: dict[str, int] = field(default_factory=dict)


SMALL_LOOPS = [
    Loop("_count_bits", {"N": triton_loops.WORDS}),
    Loop("_unpack", {"N": triton_loops.WORDS_UNPACKED}),
    Loop("_sampled_product", {"D": 128, "N": triton_loops.ENTRIES}),
    Loop("_gathered_sums", {"D": 256}),
    Loop("_row_moments", {"D": 1024}),
    *(
        Loop("_adam_rows", {"UNIT": unit, "D": size}, {"num_warps": triton_loops.warps_for(size)})
        for unit in (True, False)
        for size in (64, 1024, 2048, 4096, 8192, 16384)
    ),
]


def loops_for(capability: int) -> list[Loop]:
    """Every loop as it is launched on a card of that compute capability (times ten), `_pick` with each of its tiles."""
    sizes = {"DEPTH": triton_loops.DEPTH, "GROUP": 8}
    tiles = triton_loops.tiles_for(divmod(capability, 10))
    return SMALL_LOOPS + [
        Loop("_pick", {"ROWS": rows, "COLUMNS": columns, **sizes}, {"num_warps": warps, "num_stages": stages})
        for rows, columns, warps, stages in tiles
    ]


def usage(loop: Loop, capability: int) -> dict[str, int]:
    """Compile `loop` for a card of compute capability `capability` / 10 and read what one thread takes.

    As in a launch, pointers are known to be aligned to 16 bytes, and so is the length of the rows that `_pick` reads.
    """
    function = triton.jit(getattr(triton_loops, loop.name))
    signature = {name: "constexpr" if name in loop.constants else TYPES[name] for name in function.arg_names}
    aligned = [name.startswith("*") for name in signature.values()]
    if loop.name == "_pick":
        aligned[function.arg_names.index("d")] = True
    attributes = {(at,): [["tt.divisibility", 16]] for at, known in enumerate(aligned) if known}
    source = ASTSource(fn=function, signature=signature, constexprs=loop.constants, attrs=attributes)
    compiled = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=loop.options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        command = [CUOBJDUMP, "--dump-resource-usage", file.name]
        report = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"REG:(\d+) STACK:(\d+)", report)
    assert found is not None, report
    return {"registers": int(found[1]), "stack": int(found[2])}


if __name__ == "__main__":
    for each in loops_for(int(sys.argv[1])):
        said = {"loop": each.name, **each.constants, **each.options}
        print(json.dumps({**said, **usage(each, int(sys.argv[1]))}), flush=True)
