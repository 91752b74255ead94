"""Composite indices: normalisation, weights, composition."""

from pipeline.indices.composition import Composite, compose, indicators
from pipeline.indices.structure import advancement
from pipeline.indices.weighting import entropy, entropy_weights, normalise

__all__ = ["Composite", "advancement", "compose", "entropy", "entropy_weights", "indicators", "normalise"]
