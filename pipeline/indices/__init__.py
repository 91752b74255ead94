"""Composite indices: normalisation, weights, composition."""
