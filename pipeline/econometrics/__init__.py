"""Estimators and inference: arrays and frames in, an :class:`Estimate` or :class:`TestResult` out."""

from pipeline.econometrics.bacon import bacon_decomposition
from pipeline.econometrics.balance import entropy_balance
from pipeline.econometrics.callaway import callaway_santanna
from pipeline.econometrics.conley import conley_covariance
from pipeline.econometrics.contiguity import connected_assignments
from pipeline.econometrics.detectable import minimum_detectable_effect, power
from pipeline.econometrics.doubly_robust import doubly_robust_did
from pipeline.econometrics.driscoll_kraay import driscoll_kraay
from pipeline.econometrics.event import event_study
from pipeline.econometrics.exposures import permute_exposures
from pipeline.econometrics.extended_twfe import extended_twfe
from pipeline.econometrics.ferman_pinto import ferman_pinto
from pipeline.econometrics.honest import breakdown_value, honest_did
from pipeline.econometrics.hypotheses import wald
from pipeline.econometrics.imputation import imputation
from pipeline.econometrics.instrumental import two_stage_least_squares
from pipeline.econometrics.local_projections import local_projections
from pipeline.econometrics.long_difference import long_difference
from pipeline.econometrics.lstsq import least_squares
from pipeline.econometrics.pretrends import pretrend_power
from pipeline.econometrics.randomization import randomization_test
from pipeline.econometrics.results import Estimate, TestResult
from pipeline.econometrics.romano_wolf import romano_wolf
from pipeline.econometrics.spatial_durbin import spatial_durbin
from pipeline.econometrics.specification_curve import Specification, SpecificationCurve, specification_curve
from pipeline.econometrics.spillovers import distance_rings, distances, neighbour_exposure
from pipeline.econometrics.stacked import stacked
from pipeline.econometrics.sun_abraham import sun_abraham
from pipeline.econometrics.synthetic_control import synthetic_control
from pipeline.econometrics.synthetic_did import synthetic_did
from pipeline.econometrics.triple import triple_difference, triple_event_study
from pipeline.econometrics.twfe import two_way_fe
from pipeline.econometrics.twfe_weights import twfe_weights
from pipeline.econometrics.two_stage import two_stage
from pipeline.econometrics.weak_instruments import anderson_rubin, effective_f
from pipeline.econometrics.wild import wild_cluster_bootstrap

__all__ = [
    "Estimate",
    "Specification",
    "SpecificationCurve",
    "TestResult",
    "anderson_rubin",
    "bacon_decomposition",
    "breakdown_value",
    "callaway_santanna",
    "conley_covariance",
    "connected_assignments",
    "distance_rings",
    "distances",
    "doubly_robust_did",
    "driscoll_kraay",
    "effective_f",
    "entropy_balance",
    "event_study",
    "extended_twfe",
    "ferman_pinto",
    "honest_did",
    "imputation",
    "least_squares",
    "local_projections",
    "long_difference",
    "minimum_detectable_effect",
    "neighbour_exposure",
    "permute_exposures",
    "power",
    "pretrend_power",
    "randomization_test",
    "romano_wolf",
    "spatial_durbin",
    "specification_curve",
    "stacked",
    "sun_abraham",
    "synthetic_control",
    "synthetic_did",
    "triple_difference",
    "triple_event_study",
    "twfe_weights",
    "two_stage",
    "two_stage_least_squares",
    "two_way_fe",
    "wald",
    "wild_cluster_bootstrap",
]
