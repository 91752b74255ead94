"""Stage ``notebooks``: execute every notebook in place."""

from __future__ import annotations

from tqdm import tqdm

from pipeline import stage, store
from pipeline.report.notebooks import executed


def main() -> None:
    """Execute all notebooks, then write them: a failing one leaves all as they were."""
    paths = sorted((store.ROOT / "notebooks").glob("*.ipynb"))
    texts = {path.name: executed(path) for path in tqdm(paths, desc="notebooks", unit="notebook")}
    for name, text in texts.items():
        store.write_text(f"notebooks/{name}", text)


if __name__ == "__main__":
    stage.run(main)
