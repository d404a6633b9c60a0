"""Run the notebooks of examples/ and keep their output: ``make notebooks``."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def main(names: list[str]) -> None:
    """Run the named notebooks, or all, each in an empty directory."""
    for path in sorted(EXAMPLES.glob("*.ipynb")):
        if names and path.stem not in names:
            continue
        notebook, began = nbformat.read(path, as_version=4), time.perf_counter()
        with tempfile.TemporaryDirectory() as scratch:
            NotebookClient(notebook, timeout=900, resources={"metadata": {"path": scratch}}).execute()
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # the time of a run is not part of its output
            if cell.cell_type == "code":
                cell.outputs = [one for one in cell.outputs if not _passing(one)]
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, path)
        sys.stdout.write(f"{path.name}: {time.perf_counter() - began:.0f} s\n")


def _passing(output: dict) -> bool:
    """Return whether an output is progress or a warning of this machine, and no result."""
    if output["output_type"] == "stream":
        return output["name"] == "stderr"
    return output["output_type"] == "display_data" and not any(name.startswith("image/") for name in output["data"])


if __name__ == "__main__":
    main(sys.argv[1:])
