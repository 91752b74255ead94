"""Composite indices: normalisation, weights, composition."""

from pipeline.indices.composition import Composite, compose, indicators
from pipeline.indices.input_output import downstreamness, leontief_inverse, upstreamness
from pipeline.indices.structure import advancement
from pipeline.indices.weighting import entropy, entropy_weights, normalise

__all__ = [
    "Composite",
    "advancement",
    "compose",
    "downstreamness",
    "entropy",
    "entropy_weights",
    "indicators",
    "leontief_inverse",
    "normalise",
    "upstreamness",
]
