"""Callaway–Sant'Anna: published R and Stata values, second engine, hand, identities, refusals, bootstrap, coverage."""

from __future__ import annotations

import warnings
from pathlib import Path

import causaldata
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from pipeline.econometrics import event_study, two_way_fe
from pipeline.econometrics.callaway import callaway_santanna
from pipeline.errors import CollinearityError, EstimationError

MPDTA = Path(__file__).with_name("data") / "mpdta.csv"
COUNTY = {"unit": "countyreal", "time": "year", "cohort": "g"}
KEYS = {"unit": "unit", "time": "year", "cohort": "g"}
R_FILES = "R did (d2cml-ai/csdid, csdid/test_csdid/r_ref/"
FIXTURES = "R did 2.5.1 (pedrohcgs/csdid-stata, tests/fixtures/parity/"


@pytest.fixture(scope="module")
def counties():
    """Minimum wages and teen employment, 500 counties, 2003–2007 (data of the R package did)."""
    data = pd.read_csv(MPDTA)
    data["g"] = data["first.treat"].where(data["first.treat"] > 0)
    data["wt"] = 1 + data["countyreal"] % 13 / 10
    data["state"] = data["countyreal"] // 1000
    return data


@pytest.fixture(scope="module")
def castle():
    """Fifty states 2000–2010; the cohort is the year before the first with post = 1."""
    data = causaldata.castle.load_pandas().data
    data = data.loc[:, ~data.columns.duplicated()]
    first = data[data["post"] == 1].groupby("sid")["year"].min()
    return data.assign(g=data["sid"].map(first) - 1)


def simulated(seed=0, n=60, periods=6, effect=1.0, cohorts=(3.0, 4.0, 5.0, np.inf)):
    """Cohorts of different sizes, a covariate that moves the trend, parallel trends given it."""
    rng = np.random.default_rng(seed)
    g = rng.choice(cohorts, size=n, p=np.array([2, 3, 2, 5])[: len(cohorts)] / sum([2, 3, 2, 5][: len(cohorts)]))
    g[: 2 * len(cohorts)] = np.repeat(cohorts, 2)
    x = rng.normal(size=n) + 0.3 * np.isfinite(g)
    t = np.arange(1, periods + 1)
    y = rng.normal(size=(n, 1)) + 0.3 * t + 0.2 * np.outer(x, t) + rng.normal(size=(n, periods))
    y += effect * (t >= g[:, None])
    return pd.DataFrame(
        {
            "unit": np.repeat([f"u{i:03d}" for i in range(n)], periods),
            "year": np.tile(t, n),
            "g": np.repeat(g, periods),
            "x": np.repeat(x, periods),
            "group": np.repeat([f"c{i % 12}" for i in range(n)], periods),
            "w": np.repeat(rng.uniform(0.5, 2, size=n), periods),
            "y": y.ravel(),
        }
    )


def formula_panel(units, x1, x2, y0, effect):
    """Panels of the fixtures' generate.R: units × 4 periods, equal thirds first treated in 3, in 4 and never."""
    i, t = np.repeat(np.arange(1, units + 1), 4), np.tile(np.arange(1, 5), units)
    g = np.select([i <= units / 3, i <= 2 * units / 3], [3.0, 4.0], np.inf)
    frame = pd.DataFrame({"unit": i, "year": t, "g": g, "x1": x1(i, t), "x2": x2(i, t)})
    return frame.assign(y=y0(i, t, frame["x1"], frame["x2"]) + np.where(t >= g, effect(i, t, g), 0.0))


def f011():
    def f(i):
        return (i - 1) % 3 + 1

    panel = formula_panel(
        36,
        lambda i, t: 0.4 * t + 0.2 * (f(i) == 2) - 0.15 * (f(i) == 3) + 0.15 * np.sin(1.7 * i),
        lambda i, t: 0.25 * t + 0.3 * np.cos(1.1 * i) + 0.05 * (i % 4 == 0),
        lambda i, t, a, b: (
            1.5
            + 0.7 * t
            + 0.45 * a
            - 0.25 * b
            + 0.3 * (f(i) == 2)
            - 0.2 * (f(i) == 3)
            + 0.08 * np.cos(1.7 * i + 0.4 * t)
        ),
        lambda i, t, g: 1.1 + 0.15 * (t - g) + 0.05 * (f(i) == 3),
    )
    kind = f(panel["unit"])
    return panel.assign(f2=(kind == 2) * 1.0, f3=(kind == 3) * 1.0, x1x2=panel["x1"] * panel["x2"])


def f012():
    panel = formula_panel(
        48,
        lambda i, t: np.sin(i % 6 * 0.5) + 0.12 * t,
        lambda i, t: np.cos(i % 5 * 0.7) - 0.08 * t,
        lambda i, t, a, b: 0.4 * t + 0.32 * a - 0.18 * b + 0.03 * (i % 4) + 0.04 * np.sin(0.8 * i + 0.3 * t),
        lambda i, t, g: 0.75 + 0.1 * (t - g) + 0.04 * (g == 4),
    )
    return panel.assign(w=1 + 0.02 * panel["unit"] + 0.04 * (panel["g"] == 4))


def f015():
    def cl(i):
        return (i - 1) % 8 + 1

    panel = formula_panel(
        48,
        lambda i, t: 0.3 * t + 0.2 * np.sin(0.4 * i) + 0.08 * (cl(i) % 2 == 0),
        lambda i, t: 0.15 * t + 0.25 * np.cos(0.6 * i) - 0.05 * (cl(i) % 3 == 0),
        lambda i, t, a, b: 1.2 + 0.45 * t + 0.3 * a - 0.18 * b + 0.12 * np.sin(cl(i)) + 0.04 * np.cos(i + t),
        lambda i, t, g: 0.8 + 0.1 * (t - g),
    )
    return panel.assign(cl=cl(panel["unit"]))


def pairs(result, headline=True):
    """Estimates and standard errors by row of the table, then of the headline."""
    rows = result.table[["estimate", "std_error"]].to_numpy().tolist()
    return [*rows, [result.att, result.std_error]] if headline else rows


AGGREGATES = {
    "never_treated": {
        "simple": [[-0.0399512751551763, 0.0120340127701854]] * 2,
        "group": [
            [-0.0797491265747291, 0.0263677994350273],
            [-0.0229095392495403, 0.0167033302551619],
            [-0.0260544107191966, 0.0166554353492522],
            [-0.0310182822287484, 0.0124460593209979],
        ],
        "dynamic": [
            [0.0305066555832928, 0.01503356028013],
            [-0.000563084626385429, 0.01329164473655],
            [-0.0244587449711696, 0.0142364022105193],
            [-0.0199318167892593, 0.0118263640580582],
            [-0.0509573670651939, 0.016893476268678],
            [-0.137258738889403, 0.0364356642876865],
            [-0.100811363085404, 0.0343592258346733],
            [-0.0772398214573151, 0.0199649890618494],
        ],
        "calendar": [
            [-0.0105032462209624, 0.0232510363681664],
            [-0.0704231581031467, 0.0309847667572767],
            [-0.0488159842650431, 0.0201258612605003],
            [-0.0370593399359766, 0.0137470791411185],
            [-0.0417004321312822, 0.01597185188456],
        ],
    },
    "not_yet_treated": {
        "simple": [[-0.0397636256230437, 0.0120524247873419]] * 2,
        "group": [
            [-0.0836942930380162, 0.0257015997680069],
            [-0.0182817976131207, 0.0159222358245001],
            [-0.0260544107191966, 0.0166554353492522],
            [-0.030462228112565, 0.0125751201316818],
        ],
        "dynamic": [
            [0.0297593647610311, 0.0145335416386514],
            [-0.00244615388606511, 0.0131203504342708],
            [-0.0242689034145076, 0.0144636816758019],
            [-0.0189221990834249, 0.0120445686892691],
            [-0.0535893473848319, 0.016946385539125],
            [-0.136274346328678, 0.03540338496891],
            [-0.100811363085404, 0.0343592258346733],
            [-0.0773993139705847, 0.0195601769463944],
        ],
        "calendar": [
            [-0.0193723636759221, 0.0223101128836806],
            [-0.0783190990620607, 0.0303902285433972],
            [-0.0423175312295752, 0.0190562576431668],
            [-0.0370593399359766, 0.0137470791411185],
            [-0.0442670834758837, 0.0155709044211449],
        ],
    },
}


@pytest.mark.parametrize("control_group", AGGREGATES)
@pytest.mark.parametrize("aggregate", ["simple", "group", "dynamic", "calendar"])
@pytest.mark.parametrize("method", ["dr", "ipw", "regression"])
def test_aggregates_of_the_minimum_wage_panel(counties, evidence, control_group, aggregate, method):
    result = callaway_santanna(
        counties, "lemp", **COUNTY, method=method, control_group=control_group, aggregate=aggregate, bands=False
    )
    expected = AGGREGATES[control_group][aggregate]
    source = f"{R_FILES}ref_aggte.csv), {control_group}, {aggregate}"
    evidence(callaway_santanna, source, f"mpdta, {method}", pairs(result), expected, "external", 11)
    assert (result.n_units, result.n_treated, result.n_obs) == (500, 191, 2500)


def test_covariate_by_regression(counties, evidence):
    expected = [
        [0.0263658317469803, 0.0140189493226751],
        [-0.00412971201229991, 0.0129174707430671],
        [-0.0234649547538384, 0.0144416499564523],
        [-0.0211467366918448, 0.0114810443929097],
        [-0.0533558653415673, 0.0162930738253423],
        [-0.141080104628588, 0.0348362869536185],
        [-0.107544274673046, 0.032737692643412],
        [-0.0807817453337615, 0.0187458547114755],
    ]
    result = callaway_santanna(counties, "lemp", **COUNTY, covariates=["lpop"], method="regression", bands=False)
    source = f"{R_FILES}ref_aggte.csv), mpdta_nev_reg_cov, dynamic"
    evidence(callaway_santanna, source, "mpdta, covariate lpop", pairs(result), expected, "external", 11)
    assert result.table["event_time"].tolist() == list(range(-3, 4))


CELLS = {
    "universal": (
        {"base_period": "universal"},
        [
            [-0.0105032462209624, 0.0232510363681663],
            [-0.0704231581031467, 0.0309847667572767],
            [-0.137258738889403, 0.0364356642876865],
            [-0.100811363085404, 0.0343592258346732],
            [-0.0037692936737142, 0.0313420276018159],
            [0.00275081875051881, 0.0195585610358817],
            [-0.00459460695286304, 0.0177551966592763],
            [-0.0412244715462174, 0.0202291807041068],
            [0.00330635669251235, 0.0244518729439318],
            [0.0338130122758051, 0.0211291749243127],
            [0.0310871193896889, 0.0178775113133435],
            [-0.0260544107191966, 0.0166554353492522],
        ],
    ),
    "anticipation1": (
        {"anticipation": 1},
        [
            [0.006520112424233, 0.0233268051418047],
            [-0.00275081875051881, 0.0195585610358817],
            [-0.00734542570338184, 0.022942862267559],
            [-0.0439752902967363, 0.0265787670169677],
            [0.0305066555832928, 0.01503356028013],
            [-0.00272589288611625, 0.0163958328955344],
            [-0.0310871193896889, 0.0178775113133435],
            [-0.0571415301088855, 0.020210163218686],
        ],
    ),
    "weighted": (
        {"weights": "wt"},
        [
            [-0.0112023683983655, 0.0237047100745367],
            [-0.0672661394034408, 0.0312816812873772],
            [-0.133247074791206, 0.0358950180082136],
            [-0.0965071689983754, 0.0365898065927514],
            [0.0028524738894203, 0.0251164898413303],
            [-0.00417523759917802, 0.0207810172240196],
            [-0.00440735178637496, 0.0181219293571615],
            [-0.0417673608046344, 0.0218750024989927],
            [0.0337637915058407, 0.0154129549861383],
            [-0.00188524061438625, 0.0157138980013814],
            [-0.0313304297703654, 0.0171168141174496],
            [-0.0225149551514012, 0.0151334240183074],
        ],
    ),
}


@pytest.mark.parametrize("scenario", CELLS)
def test_cells_of_the_minimum_wage_panel(counties, evidence, scenario):
    keywords, expected = CELLS[scenario]
    result = callaway_santanna(
        counties, "lemp", **COUNTY, method="regression", aggregate="cells", bands=False, **keywords
    )
    got = [pair for pair in pairs(result, headline=False) if pair[0] != 0]
    source = f"{R_FILES}sim/ref_gaps.csv), {scenario}"
    evidence(callaway_santanna, source, "mpdta, every ATT(g, t)", got, expected, "external", 11)


def test_clusters_above_the_unit_on_the_minimum_wage_panel(counties, evidence):
    """States as clusters; the cohort of 2004 is one state, so that R's value for it has no variance of the treated."""
    result = callaway_santanna(counties, "lemp", **COUNTY, cluster="state", aggregate="cells", bands=False)
    expected = [
        0.0358483168279247,
        0.0208364837504074,
        0.0202838930271974,
        0.0271837236080214,
        0.0165491903382581,
        0.0159728414781747,
        0.0266230339586743,
        0.0143442032201854,
    ]
    source = f"{R_FILES}sim/ref_gaps.csv), clustered"
    evidence(
        callaway_santanna, source, "mpdta, 29 states", result.table["std_error"].iloc[4:], expected, "external", 11
    )
    assert result.table["std_error"].iloc[:4].isna().all()
    assert result.meta["no_variance"].startswith("cohort 2004 at event time 0, cohort 2004 at event time 1")
    assert result.meta["variance_omits"] == "cohorts of one cluster, averaged with others: 2004"
    assert np.isfinite(result.std_error)
    treated = counties.loc[counties["g"].notna(), "state"].nunique()
    assert (result.n_clusters, result.n_treated_clusters) == (29, treated)


def test_wald_test_of_the_pre_periods(counties, evidence):
    """The p-value that summary(att_gt) prints uses the whole covariance matrix."""
    result = callaway_santanna(counties, "lemp", **COUNTY, aggregate="cells", bands=False)
    pre = np.flatnonzero(result.table["event_time"] < 0)
    b = result.table["estimate"].to_numpy()[pre]
    w = b @ np.linalg.solve(result.vcov[np.ix_(pre, pre)], b)
    source = "R did, README.md of bcallaway11/did: P-value for pre-test of parallel trends assumption"
    evidence(callaway_santanna, source, "mpdta", chi2.sf(w, len(pre)), 0.16812, "external", 4)


def test_castle_doctrine(castle, evidence):
    result = callaway_santanna(castle, "l_homicide", unit="sid", time="year", cohort="g", aggregate="simple")
    source = "Stata 18 csdid, agg(simple): brycewang-stanford/StatsPAI, castle loader, stata_csdid_simple_gvar_effyear"
    expected = [0.110383035, 0.038724240]
    got = [result.att, result.std_error]
    evidence(callaway_santanna, source, "causaldata castle, l_homicide, 50 states", got, expected, "external", 7)
    later = castle.assign(g=castle["g"] + 1)
    result = callaway_santanna(later, "l_homicide", unit="sid", time="year", cohort="g", aggregate="simple")
    source = source.replace("effyear", "effyear_plus1")
    expected = [0.019402808, 0.038388647]
    got = [result.att, result.std_error]
    evidence(callaway_santanna, source, "castle, cohort one year later", got, expected, "external", 7)


def test_cohorts_of_one_unit(castle):
    """The cohorts of 2005 and 2009 have one state each."""
    keys = {"unit": "sid", "time": "year", "cohort": "g"}
    dynamic = callaway_santanna(castle, "l_homicide", **keys)
    rows = dynamic.table.set_index("event_time")
    assert rows.index[rows["std_error"].isna()].tolist() == [-8, 5]
    assert rows["estimate"].notna().all()
    assert rows.loc[5, ["ci_low", "band_high", "p_value"]].isna().all()
    assert dynamic.meta["no_variance"] == "event time -8, event time 5: only cohorts or controls of one cluster"
    assert dynamic.meta["variance_omits"] == "cohorts of one cluster, averaged with others: 2005, 2009"
    assert np.isnan(dynamic.vcov[0]).all()
    group = callaway_santanna(castle, "l_homicide", **keys, aggregate="group").table.set_index("cohort")
    assert group.index[group["std_error"].isna()].tolist() == [2005, 2009]
    simple = callaway_santanna(castle, "l_homicide", **keys, aggregate="simple")
    assert "no_variance" not in simple.meta
    assert simple.meta["variance_omits"].endswith("2005, 2009")


F011 = {
    "dr": [
        [8.67233797687771e-05, 0.0054141647160978],
        [1.11679590810921, 0.0124678864130885],
        [1.2669472632325, 0.0211849904420851],
        [0.00140517699871527, 0.00522001064107315],
        [0.0020940962266424, 0.0077792367769304],
        [1.11911907037205, 0.0120142468400537],
    ],
    "regression": [
        [8.62944804315147e-05, 0.0054626966460486],
        [1.11679526893244, 0.0125789162723913],
        [1.26694587551351, 0.0213967841636301],
        [0.00140749653994843, 0.00522973372675096],
        [0.00209755297447445, 0.00779372682127912],
        [1.119123118582, 0.0120606266360626],
    ],
    "ipw": [
        [6.93864422457446e-05, 0.0057426612281389],
        [1.11679283690132, 0.0128180849680356],
        [1.26695587142256, 0.0214174238423821],
        [0.00169193662404254, 0.00572771215812064],
        [0.0023593678924938, 0.00798382194577417],
        [1.11932097351518, 0.0121537226824619],
    ],
}
F011_INTERACTION = [
    [-0.00334760682184129, 0.00840179446474398],
    [1.11398964048207, 0.0120421175743256],
    [1.2624058385068, 0.0204980715958439],
    [-0.000205140448776221, 0.00866205090672898],
    [0.000802758554946199, 0.00926385053636815],
    [1.11835058630057, 0.0116563779064513],
]


@pytest.mark.parametrize("method", F011)
def test_time_varying_covariates_of_the_earlier_period(evidence, method):
    keywords = {"covariates": ["f2", "f3", "x1"], "method": method, "aggregate": "cells", "bands": False}
    got = pairs(callaway_santanna(f011(), "y", **KEYS, **keywords), headline=False)
    source = f"{FIXTURES}f011/expected/r/covariate-grid.csv), factor {method}"
    evidence(callaway_santanna, source, "formula panel, 36 units × 4", got, F011[method], "external", 9)
    if method == "dr":
        keywords["covariates"] = ["x1", "x2", "x1x2"]
        got = pairs(callaway_santanna(f011(), "y", **KEYS, **keywords), headline=False)
        source = f"{FIXTURES}f011/expected/r/covariate-grid.csv), interaction_dr"
        evidence(callaway_santanna, source, "formula panel, 36 units × 4", got, F011_INTERACTION, "external", 9)


F012 = {
    "dr": [
        [-0.000406142461014613, 0.00285325772395995],
        [0.749604841001346, 0.00295536672559832],
        [0.84925596384152, 0.00595385510175304],
        [0.000327162160141649, 0.00313076243706346],
        [0.000328385032267641, 0.00305135155103385],
        [0.790300274247475, 0.00297457291653507],
    ],
    "regression": [
        [-0.000362045008637846, 0.00284766078683165],
        [0.749638050781011, 0.00294399104509974],
        [0.849308529197428, 0.00593150802253682],
        [0.000315486409307564, 0.0031327175049511],
        [0.000318816615882012, 0.00305508578826678],
        [0.790293667883676, 0.00297813122068917],
    ],
    "ipw": [
        [-0.000448491552237029, 0.00286181928386315],
        [0.749558101500095, 0.00297368364032851],
        [0.849162269529432, 0.0059986863766622],
        [0.00036830109693281, 0.00315378541287096],
        [0.000367382404208694, 0.00306176008753493],
        [0.790333646535474, 0.00297315460053798],
    ],
}


@pytest.mark.parametrize("method", F012)
def test_weights_with_covariates(evidence, method):
    keywords = {"covariates": ["x1", "x2"], "method": method, "weights": "w", "aggregate": "cells", "bands": False}
    got = pairs(callaway_santanna(f012(), "y", **KEYS, **keywords), headline=False)
    source = f"{FIXTURES}f012/expected/r/time-invariant-fixweights.csv), numeric {method}"
    evidence(callaway_santanna, source, "formula panel, 48 units × 4, weights", got, F012[method], "external", 9)


F015 = {
    "simple": [[0.834650552412943, 0.00551127656772878]] * 2,
    "group": [
        [0.851917433118133, 0.00446692484238109],
        [0.800116791002564, 0.0106626333908544],
        [0.826017112060348, 0.0065874164168015],
    ],
    "calendar": [
        [0.800492273387622, 0.00318992491521517],
        [0.851729691925604, 0.00678789133178179],
        [0.826110982656613, 0.00489121927736992],
    ],
    "dynamic": [
        [-0.0106130217244461, 0.00981662385778493],
        [-0.00601583048317665, 0.00767557795493777],
        [0.800304532195093, 0.00649656526450562],
        [0.903342592848643, 0.00597512256072815],
        [0.851823562521868, 0.0052992793589993],
    ],
}


@pytest.mark.parametrize("aggregate", F015)
def test_clusters_above_the_unit(evidence, aggregate):
    result = callaway_santanna(
        f015(), "y", **KEYS, covariates=["x1", "x2"], cluster="cl", aggregate=aggregate, bands=False
    )
    source = f"{FIXTURES}f015/expected/r/cluster-aggte.csv), panel_cov_dr_cluster, {aggregate}"
    evidence(callaway_santanna, source, "formula panel, 8 clusters", pairs(result), F015[aggregate], "external", 9)


@pytest.mark.parametrize("control_group", ["never_treated", "not_yet_treated"])
@pytest.mark.parametrize("base_period", ["varying", "universal"])
@pytest.mark.parametrize("anticipation", [0, 1])
def test_second_engine(evidence, control_group, base_period, anticipation):
    from diff_diff import CallawaySantAnna

    panel = simulated(1, periods=7)
    options = {"control_group": control_group, "base_period": base_period, "anticipation": anticipation}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = CallawaySantAnna(estimation_method="reg", **options).fit(
            panel.assign(g=panel["g"].replace(np.inf, 0)), "y", "unit", "year", "g", covariates=["x"]
        )
    result = callaway_santanna(
        panel, "y", **KEYS, covariates=["x"], method="regression", aggregate="cells", bands=False, **options
    )
    table = result.table.dropna(subset="std_error")
    cells = [
        (other.group_time_effects[(g, g + e)]["effect"], other.group_time_effects[(g, g + e)]["se"])
        for g, e in zip(table["cohort"], table["event_time"], strict=True)
    ]
    name = f"diff-diff 3.13 CallawaySantAnna, {control_group}, {base_period}, anticipation {anticipation}"
    got = table[["estimate", "std_error"]]
    evidence(callaway_santanna, name, "simulated 60 × 7, covariate, regression", got, cells, "identity", 9)
    if not anticipation:  # diff-diff then averages the cells of the anticipation window too; did does not
        evidence(callaway_santanna, name + ", simple", "simulated 60 × 7", result.att, other.overall_att, "identity", 9)


def test_cells_by_hand():
    y = {
        "a": [1, 2, 7, 9],
        "b": [0, 1, 4, 8],
        "c": [2, 2, 3, 9],
        "d": [1, 3, 3, 6],
        "e": [0, 1, 1, 2],
        "f": [5, 6, 8, 7],
    }
    g = {"a": 3.0, "b": 3.0, "c": 4.0, "d": 4.0, "e": np.nan, "f": np.nan}
    rows = [(u, t + 1, g[u], float(v)) for u, values in y.items() for t, v in enumerate(values)]
    panel = pd.DataFrame(rows, columns=["unit", "year", "g", "y"])
    never = callaway_santanna(panel, "y", **KEYS, aggregate="cells").table
    # cohort 3: 2–1, 3–2, 4–2; cohort 4: 2–1, 3–2, 4–3; controls e, f change by 1, 1, 0
    assert never["estimate"].tolist() == pytest.approx([1 - 1, 4 - 1, 7 - 1, 1 - 1, 0.5 - 1, 4.5 - 0])
    assert never["event_time"].tolist() == [-1, 0, 1, -2, -1, 0]
    assert never["cohort"].tolist() == [3, 3, 3, 4, 4, 4]
    later = callaway_santanna(panel, "y", **KEYS, aggregate="cells", control_group="not_yet_treated").table
    # until 3 the units of cohort 4 are controls of cohort 3, and those of cohort 3 are of cohort 4 until 2
    expected = [1 - 1, 4 - 0.75, 7 - 1, 1 - 1, 0.5 - 1, 4.5 - 0]
    assert later["estimate"].tolist() == pytest.approx(expected)
    dynamic = callaway_santanna(panel, "y", **KEYS)
    assert dynamic.table.set_index("event_time")["estimate"].to_dict() == pytest.approx(
        {-2: 0, -1: -0.25, 0: 3.75, 1: 6}
    )
    assert dynamic.att == pytest.approx((3.75 + 6) / 2)
    simple = callaway_santanna(panel, "y", **KEYS, aggregate="simple")
    assert simple.att == pytest.approx((3 + 6 + 4.5) / 3)
    assert simple.weights.to_dict("list") == {
        "cohort": [3, 3, 4],
        "period": [3, 4, 4],
        "weight": [pytest.approx(1 / 3)] * 3,
    }


@pytest.mark.parametrize("method", ["dr", "regression", "ipw"])
def test_one_cohort_without_covariates_is_the_event_study(evidence, method):
    panel = simulated(2, cohorts=(4.0, np.inf))
    result = callaway_santanna(panel, "y", **KEYS, method=method, base_period="universal", bands=False)
    other = event_study(panel, "y", **KEYS, bands=False)
    got, expected = result.table["estimate"], other.table["estimate"]
    evidence(
        callaway_santanna, f"event study by TWFE, {method}", "simulated, one cohort", got, expected, "identity", 10
    )
    two = panel[panel["year"].isin([3, 4])]
    twfe = two_way_fe(two.assign(d=(two["g"] <= two["year"]) * 1.0), "y", "d", unit="unit", time="year")
    cs = callaway_santanna(two, "y", **KEYS, method=method)
    assert cs.att == pytest.approx(twfe.att, abs=1e-12)
    assert cs.table["event_time"].tolist() == [0]


def test_universal_base_row():
    result = callaway_santanna(simulated(3), "y", **KEYS, base_period="universal")
    at = result.table.index[result.table["event_time"] == -1][0]
    row = result.table.loc[at]
    assert row["estimate"] == 0
    assert row[["std_error", "ci_low", "ci_high", "band_low", "p_value"]].isna().all()
    assert not result.vcov[at].any()
    assert result.meta["reference"] == "-1"
    shifted = callaway_santanna(simulated(3), "y", **KEYS, base_period="universal", anticipation=1)
    assert shifted.meta["reference"] == "-2"


def test_event_time_is_the_mean_of_its_cells_by_cohort_size():
    panel = simulated(4)
    dynamic = callaway_santanna(panel, "y", **KEYS, covariates=["x"], bands=False).table.set_index("event_time")
    cells = callaway_santanna(panel, "y", **KEYS, covariates=["x"], aggregate="cells", bands=False).table
    size = panel.groupby("g")["unit"].nunique()
    for e, rows in cells.groupby("event_time"):
        expected = np.average(rows["estimate"], weights=size[rows["cohort"]])
        assert dynamic.loc[e, "estimate"] == pytest.approx(expected, abs=1e-12)
    single = cells[cells["event_time"] == cells["event_time"].max()].iloc[0]
    assert dynamic["std_error"].iloc[-1] == pytest.approx(single["std_error"], rel=1e-12)


def test_estimated_cohort_sizes_enter_the_standard_error():
    """A jackknife over units, which re-estimates the sizes, agrees; without that part it would not."""
    panel = simulated(5, n=80, effect=0.0)
    panel["y"] += np.select([panel["g"] == 3, panel["g"] == 4], [6.0, -6.0], 0.0) * (panel["year"] >= panel["g"])
    result = callaway_santanna(panel, "y", **KEYS, aggregate="simple", bands=False)
    units = panel["unit"].unique()
    left = np.array(
        [callaway_santanna(panel[panel["unit"] != u], "y", **KEYS, aggregate="simple", bands=False).att for u in units]
    )
    n = len(units)
    jackknife = np.sqrt((n - 1) / n * ((left - left.mean()) ** 2).sum())
    assert result.std_error == pytest.approx(jackknife, rel=0.03)
    cells = callaway_santanna(panel, "y", **KEYS, aggregate="cells", bands=False)
    post = np.flatnonzero(cells.table["event_time"] >= 0)
    w = result.weights["weight"].to_numpy()
    fixed = np.sqrt(w @ cells.vcov[np.ix_(post, post)] @ w)
    assert fixed < 0.6 * jackknife


def test_always_treated_units_are_named_and_change_nothing():
    panel = simulated(6)
    extra = panel[panel["unit"] == "u000"].assign(unit="zz", g=1.0, y=99.0)
    old = panel[panel["unit"] == "u001"].assign(unit="zy", g=-4.0, y=-99.0)
    a, b = (callaway_santanna(p, "y", **KEYS, bands=False) for p in (panel, pd.concat([extra, panel, old])))
    pd.testing.assert_frame_equal(a.table, b.table)
    assert (a.att, a.std_error, a.n_units) == (b.att, b.std_error, b.n_units)
    assert b.meta["always_treated"] == "zy, zz"
    assert "always_treated" not in a.meta


def test_treated_after_the_panel_is_never_treated():
    panel = simulated(7)
    late = panel.assign(g=panel["g"].replace(np.inf, 7.0))
    a, b = (callaway_santanna(p, "y", **KEYS, bands=False) for p in (panel, late))
    pd.testing.assert_frame_equal(a.table, b.table)
    assert b.meta["treated_after_the_panel"].startswith("u0")
    with pytest.raises(EstimationError, match="use control_group='not_yet_treated'"):
        callaway_santanna(late, "y", **KEYS, anticipation=1)


def test_without_a_never_treated_unit():
    panel = simulated(8, cohorts=(3.0, 4.0, 6.0))
    with pytest.raises(EstimationError, match=r"no unit is never treated according to 'g' .*'not_yet_treated'"):
        callaway_santanna(panel, "y", **KEYS)
    result = callaway_santanna(panel, "y", **KEYS, control_group="not_yet_treated", aggregate="cells", bands=False)
    assert set(result.table["cohort"]) == {3, 4}
    assert (result.table["cohort"] + result.table["event_time"]).max() == 5
    assert result.meta["control_only"] == "cohort 6, the last to be treated"
    assert result.meta["periods_left_out"] == "6: every unit is treated"
    as_never = panel[panel["year"] < 6].assign(g=panel["g"].replace(6.0, np.inf))
    same = callaway_santanna(as_never, "y", **KEYS, control_group="not_yet_treated", aggregate="cells", bands=False)
    pd.testing.assert_frame_equal(result.table, same.table)


def test_gaps_in_the_calendar():
    """The base of 2010 is 2005, the period before it in the panel; event times count calendar years."""
    panel = simulated(9, periods=5, cohorts=(3.0, 4.0, np.inf))
    years = {1: 2000, 2: 2004, 3: 2005, 4: 2010, 5: 2011}
    gaps = panel.assign(year=panel["year"].map(years), g=panel["g"].map({3.0: 2005.0, 4.0: 2007.0, np.inf: np.nan}))
    result = callaway_santanna(gaps, "y", **KEYS, aggregate="cells", bands=False)
    assert result.table[["cohort", "event_time"]].to_numpy().tolist() == [
        *[[2005, e] for e in (-1, 0, 5, 6)],
        *[[2007, e] for e in (-3, -2, 3, 4)],
    ]
    plain = callaway_santanna(panel, "y", **KEYS, aggregate="cells", bands=False)
    np.testing.assert_allclose(result.table["estimate"], plain.table["estimate"], atol=1e-12)


def test_bands_are_simultaneous_and_cover_the_pointwise_interval():
    result = callaway_santanna(simulated(10), "y", **KEYS)
    table, critical = result.table, float(result.meta["band_critical_value"])
    assert 1.96 < critical < 3.2
    np.testing.assert_allclose((table["band_high"] - table["estimate"]) / table["std_error"], critical, rtol=1e-6)
    draws = np.random.default_rng(1).multivariate_normal(np.zeros(len(table)), result.vcov, 100_000, method="eigh")
    inside = (np.abs(draws) <= critical * table["std_error"].to_numpy()).all(axis=1).mean()
    assert inside == pytest.approx(0.95, abs=0.005)


@pytest.mark.parametrize("multiplier", ["rademacher", "mammen"])
@pytest.mark.parametrize("cluster", [None, "group"])
def test_multiplier_bootstrap(evidence, multiplier, cluster):
    panel = simulated(11, n=300)
    panel["group"] = panel["unit"].str[1:].astype(int) % 60
    options = {"covariates": ["x"], "cluster": cluster}
    analytic = callaway_santanna(panel, "y", **KEYS, **options)
    drawn = callaway_santanna(panel, "y", **KEYS, **options, draws=9999, seed=3, multiplier=multiplier)
    again = callaway_santanna(panel, "y", **KEYS, **options, draws=9999, seed=3, multiplier=multiplier)
    pd.testing.assert_frame_equal(drawn.table, again.table)
    np.testing.assert_array_equal(drawn.table["estimate"], analytic.table["estimate"])
    if cluster is None:
        np.testing.assert_allclose(drawn.table["std_error"], analytic.table["std_error"], rtol=0.05)
        label = f"analytic standard errors, {multiplier}"
        got, expected = pairs(drawn), pairs(analytic)
        evidence(callaway_santanna, label, "simulated 300 × 6, 9,999 draws", got, expected, "simulation", 1)
        critical = [float(r.meta["band_critical_value"]) for r in (drawn, analytic)]
        assert critical[0] == pytest.approx(critical[1], rel=0.06)
    else:
        np.testing.assert_allclose(drawn.table["std_error"], analytic.table["std_error"], rtol=0.1)
    assert drawn.meta["draws"] == f"9999 ({multiplier}, seed 3)"
    np.testing.assert_array_equal(drawn.vcov, analytic.vcov)


def test_coverage(evidence):
    """Event time 0 and the mean over all post cells cover their effects under parallel trends given a covariate."""
    hits, draws = np.zeros(2), 300
    for seed in range(draws):
        panel = simulated(1000 + seed, n=200, periods=5)
        dynamic = callaway_santanna(panel, "y", **KEYS, covariates=["x"], bands=False)
        row = dynamic.table[dynamic.table["event_time"] == 0].iloc[0]
        hits += [row["ci_low"] <= 1 <= row["ci_high"], dynamic.ci[0] <= 1 <= dynamic.ci[1]]
    for name, share in zip(("event time 0", "average of event times"), hits / draws, strict=True):
        label = f"coverage of the 95 % interval, {name}"
        evidence(callaway_santanna, label, f"simulated 200 × 5, {draws} draws", share, 0.95, "simulation", 1)
        assert 0.915 <= share <= 0.98


@pytest.mark.parametrize(
    ("change", "keywords", "message"),
    [
        (lambda f: f[(f["unit"] != "u004") | (f["year"] != 2)], {}, r"every unit in every period.* u004 \(lacks 2\)"),
        (lambda f: f.assign(y=f["y"].mask((f["unit"] == "u009") & (f["year"] > 4))), {}, r"u009 \(lacks 5, 6\)"),
        (lambda f: f.assign(g=1.0), {}, "every unit is treated in the first period"),
        (lambda f: f.assign(g=f["g"].where(f["g"] < 4, 3.0)), {"control_group": "not_yet_treated"}, "no cohort of 'g'"),
        (lambda f: f.assign(g=f["g"].replace(np.inf, 0.0)), {}, "0 is a period"),
        (lambda f: f.assign(w=f["w"] * f["year"]), {"weights": "w"}, "weights 'w' must be constant within units"),
        (lambda f: f, {"cluster": "year"}, "cluster 'year' must be constant within units"),
        (lambda f: f, {"cluster": ["unit", "group"]}, "one cluster dimension"),
        (lambda f: f.assign(one=1), {"cluster": "one"}, "cluster 'one' has 1 group"),
        (lambda f: f, {"method": "improved"}, "method 'improved' is not one of dr, regression, ipw"),
        (lambda f: f, {"control_group": "nevertreated"}, "control_group 'nevertreated' is not one of"),
        (lambda f: f, {"base_period": "fixed"}, "base_period 'fixed'"),
        (lambda f: f, {"aggregate": "event"}, "aggregate 'event'"),
        (lambda f: f, {"anticipation": -1}, "anticipation must be a whole number from 0 on, not -1"),
        (lambda f: f, {"draws": 99, "multiplier": "webb"}, "multiplier 'webb'"),
    ],
)
def test_refusals(change, keywords, message):
    with pytest.raises(EstimationError, match=message):
        callaway_santanna(change(simulated(12)), "y", **{**KEYS, **keywords})


def test_a_cell_that_cannot_be_estimated_is_named():
    panel = simulated(13)
    apart = panel.assign(x=panel["x"] + 30 * (panel["g"] == 4))
    with pytest.raises(EstimationError, match=r"cohort 4 in period 2: no overlap: .*\('x' alone\)"):
        callaway_santanna(apart, "y", **KEYS, covariates=["x"])
    flat = panel.assign(x=np.where(panel["g"] == 5, panel["x"], 0.0))
    with pytest.raises(CollinearityError, match=r"cohort 3 in period 2: covariate 'x' does not vary"):
        callaway_santanna(flat, "y", **KEYS, covariates=["x"], method="regression")


def test_no_variation_has_no_standard_error():
    panel = simulated(14)
    exact = panel.assign(y=panel["year"] * 1.0 + (panel["year"] >= panel["g"]))
    result = callaway_santanna(exact, "y", **KEYS)
    assert result.att == pytest.approx(1)
    assert result.table["std_error"].isna().all()
    assert np.isnan([result.std_error, result.p_value]).all()
    assert result.meta["no_variance"].endswith("att: no variation in the changes")


@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(["dr", "regression", "ipw"]),
    st.sampled_from(["simple", "group", "dynamic", "calendar", "cells"]),
    st.integers(0, 30),
    st.floats(1e-3, 1e4),
    st.floats(-1e3, 1e3),
)
def test_invariances(method, aggregate, seed, scale, shift):
    panel = simulated(seed)
    before = panel.copy()
    options = {"covariates": ["x"], "method": method, "aggregate": aggregate, "bands": False}
    base = callaway_santanna(panel, "y", **KEYS, **options)
    pd.testing.assert_frame_equal(panel, before)
    names = np.random.default_rng(seed).permutation(panel["unit"].unique())
    other = panel.assign(
        y=scale * (panel["y"] + shift * panel["unit"].str[1:].astype(int) + np.sqrt(abs(shift)) * panel["year"] ** 2),
        unit=panel["unit"].map(dict(zip(panel["unit"].unique(), names, strict=True))),
        year=panel["year"] + 1990,
        g=panel["g"] + 1990,
    ).sample(frac=1, random_state=seed)
    moved = callaway_santanna(other, "y", **KEYS, **options)
    np.testing.assert_allclose(moved.table["estimate"] / scale, base.table["estimate"], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(moved.table["std_error"] / scale, base.table["std_error"], rtol=1e-6)
    assert moved.att / scale == pytest.approx(base.att, rel=1e-6, abs=1e-7)
    assert moved.std_error / scale == pytest.approx(base.std_error, rel=1e-6)
