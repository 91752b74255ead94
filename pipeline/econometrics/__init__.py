"""Estimators and inference: arrays and frames in, an :class:`Estimate` or :class:`TestResult` out."""

from pipeline.econometrics.detectable import minimum_detectable_effect, power
from pipeline.econometrics.event import event_study
from pipeline.econometrics.hypotheses import wald
from pipeline.econometrics.lstsq import least_squares
from pipeline.econometrics.randomization import randomization_test
from pipeline.econometrics.results import Estimate, TestResult
from pipeline.econometrics.twfe import two_way_fe
from pipeline.econometrics.wild import wild_cluster_bootstrap

__all__ = [
    "Estimate",
    "TestResult",
    "event_study",
    "least_squares",
    "minimum_detectable_effect",
    "power",
    "randomization_test",
    "two_way_fe",
    "wald",
    "wild_cluster_bootstrap",
]
