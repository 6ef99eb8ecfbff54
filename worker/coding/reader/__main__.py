"""`python -m worker.coding.reader [--out tonok_reader.py]`: this folder as one file, for wherever NumPy is."""

from __future__ import annotations

import argparse
import ast
from pathlib import Path

FOLDER = Path(__file__).parent
MODULES = ("bits", "fields", "record", "file", "architectures", "classify")
"""In an order in which each needs only those before it."""
HEAD = '''\
"""Reads a compressed network of Tonok's, a `.tonok` file, and says what it sees. It takes Python and NumPy alone.

    python tonok_reader.py network.tonok picture.npy     # bytes, (channels, height, width) or (height, width)

    from tonok_reader import Classifier
    Classifier(open("network.tonok", "rb").read()).classify(picture)

Written by `python -m worker.coding.reader` of Tonok, of one module after the other. MIT licence.
"""

from __future__ import annotations
'''
TAIL = '''

def main() -> None:
    """Prints the class of a picture and its probability."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: python tonok_reader.py network.tonok picture.npy")
    try:
        with open(sys.argv[1], "rb") as file:
            classifier = Classifier(file.read())
        picture = np.load(sys.argv[2], allow_pickle=False)
        name, probability = classifier.classify(picture if picture.ndim == 3 else picture[None])
    except (OSError, ValueError) as error:
        raise SystemExit(f"{error}") from None
    print(f"{name}\\t{probability:.4f}")


if __name__ == "__main__":
    main()
'''


def join_modules() -> str:
    """The file. What modules import of one another is left out; what they import of others stands once, at the top."""
    imports, bodies = {"import sys"}, list[str]()
    for name in MODULES:
        text = (FOLDER / f"{name}.py").read_text("utf-8")
        lines, left_out = text.splitlines(), set[int]()
        body = ast.parse(text).body
        for place, node in enumerate(body):
            is_docstring = place == 0 and isinstance(node, ast.Expr)
            if not is_docstring and not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            left_out |= set(range(node.lineno - 1, node.end_lineno or node.lineno))
            is_own = isinstance(node, ast.ImportFrom) and (node.level > 0 or node.module == "__future__")
            if not is_docstring and not is_own:
                imports.add(ast.unparse(node))
        kept = [line for number, line in enumerate(lines) if number not in left_out]
        bodies.append(f"# ---- {name} ----\n\n" + "\n".join(kept).strip())
    return "\n".join([HEAD, *sorted(imports), "", "\n\n\n".join(bodies)]) + "\n" + TAIL


def main() -> None:
    """Writes the file."""
    parser = argparse.ArgumentParser(prog="python -m worker.coding.reader", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("tonok_reader.py"))
    arguments = parser.parse_args()
    arguments.out.write_text(join_modules(), "utf-8")
    print(arguments.out)


if __name__ == "__main__":
    main()
