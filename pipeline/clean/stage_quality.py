"""Stage ``quality``: every published figure that a rule flags, with the verdict on it."""

from __future__ import annotations

import pandas as pd

from pipeline import specs, stage, store
from pipeline.clean import formats, quality, read, validate
from pipeline.clean.quality import views
from pipeline.clean.quality.series import published
from pipeline.clean.quality.verdicts import reconcile


def main() -> None:
    """Run the rules on the figures as published, join the verdicts; save the flags, coverage and revisions."""
    raw = store.ROOT / "data" / "raw"
    provinces = read.table(raw / "geography" / "provinces.csv", formats.PROVINCES)
    figures = read.figures(raw / "official")
    validate.figures(figures, {k: v for k, v in specs.dictionary().items() if not v.derived}, provinces)
    data = published(figures, specs.dictionary(), specs.identities())
    judged = reconcile(quality.flag(data), specs.verdicts(), specs.corrections())
    store.write_csv("data/panel/quality.csv", judged.assign(score=store.round_significant(judged["score"])))
    names = {p["province_code"]: {"zh": p["name_zh"], "en": p["name_en"]} for p in provinces.to_dict("records")}
    tidy = pd.concat(
        [
            views.coverage(figures),
            views.revisions(figures),
            views.verdict_rows(judged, specs.verdicts(), specs.dictionary(), names),
            views.rule_counts(judged),
        ]
    )
    store.save(store.part("quality", "values"), store.part_frame("values", tidy))


if __name__ == "__main__":
    stage.run(main)
