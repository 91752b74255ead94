"""Execute a notebook so that the same results give the same bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipeline.errors import ReportError

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
LANGUAGE = {"file_extension": ".py", "mimetype": "text/x-python", "name": "python"}


def executed(path: Path) -> str:
    """Run a notebook in its own folder and return it as JSON text, outputs included.

    Timing is not recorded, kernel and language are normalised, stored cell ids are kept, keys are sorted.

    Parameters
    ----------
    path : Path
        The notebook; it is read, not written.

    Raises
    ------
    ReportError
        A cell fails; the message names the cell and the error.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    notebook: Any = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)  # type: ignore[no-untyped-call]
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name=KERNEL["name"],
        record_timing=False,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(path.parent)}},
    )
    try:
        client.execute()
    except CellExecutionError as error:
        raise ReportError(f"notebooks/{path.name}: a cell failed: {error.ename}: {error.evalue}") from error
    notebook.metadata = {"kernelspec": KERNEL, "language_info": LANGUAGE}
    for cell in notebook.cells:
        cell.metadata = {}
        _merge_streams(cell)
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _merge_streams(cell: Any) -> None:
    """Join consecutive pieces of one stream: where they were cut depends on timing."""
    merged: list[Any] = []
    for output in cell.get("outputs", []):
        last = merged[-1] if merged else None
        if last and output["output_type"] == last["output_type"] == "stream" and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            merged.append(output)
    if "outputs" in cell:
        cell["outputs"] = merged
