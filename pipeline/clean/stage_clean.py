"""Stage ``clean``: raw figures, validated and corrected as declared, become the panel and the registry."""

from __future__ import annotations

from pipeline import specs, stage, store
from pipeline.clean import (
    corrections,
    derive,
    formats,
    input_output,
    panel,
    read,
    registry,
    units,
    validate,
    validate_registry,
)


def main() -> None:
    """Read, validate, correct, derive; save panel, industries, units, links, input–output table and registry views."""
    raw = store.ROOT / "data" / "raw"
    geography, policy = raw / "geography", raw / "policy"
    provinces = read.table(geography / "provinces.csv", formats.PROVINCES)
    adjacency = read.table(geography / "adjacency.csv", formats.ADJACENCY)
    prefectures = read.table(geography / "prefectures.csv", formats.PREFECTURES)
    hubs = read.table(policy / "hubs.csv", formats.HUBS)
    clusters = read.table(policy / "clusters.csv", formats.CLUSTERS)
    timeline = read.table(policy / "timeline.csv", formats.TIMELINE)
    published = read.table(policy / "published_numbers.csv", formats.PUBLISHED_NUMBERS)
    programmes = read.table(policy / "programmes.csv", formats.PROGRAMMES)
    broadband = read.table(policy / "broadband_china.csv", formats.BROADBAND)
    facts = read.table(policy / "compute_facts.csv", formats.COMPUTE_FACTS)
    flows = input_output.national(
        read.table(raw / "io" / "national_2017.csv", formats.NATIONAL_TABLE, called=input_output.CALLED),
        read.table(raw / "io" / "national_sectors.csv", formats.NATIONAL_CODES),
    )
    validate_registry.geography(provinces, adjacency, prefectures)
    validate_registry.policy(provinces, prefectures, hubs, clusters, programmes, broadband, facts)

    dictionary = specs.dictionary()
    published_variables = {k: v for k, v in dictionary.items() if not v.derived}
    derived = {k: v for k, v in dictionary.items() if v.derived}
    figures = read.figures(raw / "official")
    validate.figures(figures, published_variables, provinces)
    corrected = corrections.apply(figures, specs.corrections())
    codes, names = provinces["province_code"].tolist(), tuple(published_variables)
    frame = panel.wide(corrected, list(names), codes)
    store.save("panel", derive.add(frame, derived), raw=names)
    for variant in ("census4", "first_release"):
        older = frame.assign(gdp=frame[f"gdp_{variant}"])
        store.save(f"panel_{variant}", derive.add(older, derived), raw=names)
    store.save("panel_uncorrected", derive.add(panel.wide(figures, list(names), codes), derived), raw=names)
    store.save("industries", panel.industries(frame), raw=("value_added",))
    store.save("units", units.units(provinces, hubs, clusters, prefectures, programmes), raw=("longitude", "latitude"))
    store.save("links", units.links(adjacency, hubs, clusters))
    store.save("input_output", flows, raw=("value",))
    views = registry.views(hubs, clusters, provinces, timeline, published)
    store.save(store.part("clean", "values"), views)


if __name__ == "__main__":
    stage.run(main)
