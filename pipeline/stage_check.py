"""Stage ``check``: the raw figures are the recorded ones, the specifications agree with one another."""

from __future__ import annotations

import hashlib
import json

from pipeline import spec_checks, specs, stage, store
from pipeline.clean.read import verify_manifest


def main() -> None:
    """Verify, and write the two hashes that every table carries."""
    spec_checks.check()
    manifest = verify_manifest(store.ROOT / "data" / "raw")
    judged = specs.canonical([specs.corrections(), specs.verdicts()])
    data = hashlib.sha256(manifest.encode() + judged).hexdigest()
    hashes = {"data_sha256": data, "plan_sha256": specs.plan_sha256()}
    store.write_text(store.HASHES, json.dumps(hashes, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    stage.run(main)
