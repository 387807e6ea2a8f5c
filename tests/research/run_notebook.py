"""Run a notebook's cells in order, as a kernel would: `python -m tests.research.run_notebook FILE FOLDER`.

What the last line of a cell is worth is shown as Jupyter would show it; figures are left in the folder.
"""

import ast
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt


def run(notebook: Path, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] != "code":
            continue
        place = f"{notebook.name}, cell {cell['id']}"
        tree = ast.parse("".join(cell["source"]), place)
        last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, place, "exec"), names)
        if last:
            value = eval(compile(ast.Expression(last.value), place, "eval"), names)
            html = getattr(value, "_repr_html_", value.__repr__)()
            assert html, place
        for number in plt.get_fignums():
            plt.figure(number).savefig(folder / f"{cell['id']}-{number}.png")
        plt.close("all")


if __name__ == "__main__":
    run(Path(sys.argv[1]), Path(sys.argv[2]))
