"""Stage ``exposures``: how much of the digital inputs each industry uses, from the national input–output table."""

from __future__ import annotations

import pandas as pd

from pipeline import specs, stage, store
from pipeline.indices.exposures import blocks, by_industry, input_coefficients, relative_to_input, standardised
from pipeline.indices.input_output import downstreamness, upstreamness


def main() -> None:
    """Compute coefficients by sector; save them by industry, raw and standardised, and as views."""
    declared = specs.industries()
    domestic, imported, output = blocks(store.load("input_output"))
    of = {key: input_coefficients(domestic, imported, output, own.sectors) for key, own in declared.inputs.items()}
    measures = {f"{kind}_{key}": of[key][kind] for kind in declared.coefficients for key in declared.inputs}
    places = {"upstreamness": upstreamness(domestic, output), "downstreamness": downstreamness(domestic, output)}
    sectors = {key: own.sectors for key, own in declared.industries.items()}
    raw = by_industry(pd.DataFrame(measures | places), output, sectors)
    frames = {"exposures": pd.concat([raw, standardised(raw[list(measures)]).add_suffix("_z")], axis=1)}
    first = next(iter(declared.inputs))
    groups = {key: own.sectors for key, own in declared.employment.items()}
    relative = relative_to_input(of[first]["complete"], output, groups, declared.inputs[first].sectors)
    frames["exposures_employment"] = relative.to_frame()
    for name, frame in frames.items():
        store.save(name, frame.rename_axis("industry").reset_index())
    views = [
        frame.rename_axis("row").reset_index().melt("row", var_name="column").assign(view_id=name)
        for name, frame in frames.items()
    ]
    store.save(store.part("exposures", "values"), store.part_frame("values", pd.concat(views)))


if __name__ == "__main__":
    stage.run(main)
