"""Estimators and inference: arrays and frames in, an ``Estimate`` or a ``TestResult`` out."""
