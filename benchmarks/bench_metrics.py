"""Do the metrics agree with an independent implementation, and how long do they take?

Peer: the functions on arrays of disent (MIG, SAP and DCI, themselves after disentanglement_lib), of
which only these files are loaded, without its image stack. Five kinds of codes of discrete factors
with 4 to 10 values each. Ours are called with the peer's choices where they are options: 20 bins;
boosted trees for DCI, of another implementation. SAP of discrete factors differs by definition (the
peer's is a linear SVM with C = 0.01, ours the best threshold), that of continuous ones does not.
Seconds: 100,000 rows, 10 factors, 10 codes.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np

from benchmarks._common import Skip, command, seconds
from sklearn_sparsedis.metrics import (
    beta_vae_score,
    dci_scores,
    explicitness_score,
    factor_vae_score,
    irs_score,
    mig_score,
    modularity_score,
    sap_score,
)

CODES = ["perfect", "noisy", "rotated", "redundant", "random"]
PEERS = ("disent",)
SETTINGS = {
    "full": {"rows": 2000, "codes": CODES, "timed_rows": 100_000},
    "short": {"timed_rows": 20_000},
    "quick": {"rows": 100, "codes": ["noisy"], "timed_rows": 300},
}


def load_peer():
    """Modules mig, sap and dci of disent; what they import of its image stack is left empty."""
    found = importlib.util.find_spec("disent")
    if found is None:
        raise Skip("disent is not installed")
    folder = Path(found.submodule_search_locations[0], "metrics")
    for stub in ("disent", "disent.dataset", "disent.util", "disent.util.function"):
        module = sys.modules[stub] = ModuleType(stub)
        module.DisentDataset = module.to_numpy = module.wrapped_partial = lambda f, **_: f
    package = sys.modules["disent.metrics"] = ModuleType("disent.metrics")
    for part in ("utils", "_mig", "_sap", "_dci"):
        spec = importlib.util.spec_from_file_location(
            f"disent.metrics.{part}", folder / f"{part}.py"
        )
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        setattr(package, part, module)
        spec.loader.exec_module(module)
    return package._mig, package._sap, package._dci


def codes(n, random):
    """Factors, and codes of them by name."""
    factors = np.column_stack([random.integers(k, size=n) for k in (4, 6, 8, 10, 5)])
    unit = (factors - factors.mean(0)) / factors.std(0)
    rotation, _ = np.linalg.qr(random.standard_normal((5, 5)))
    return factors, {
        "perfect": unit[:, ::-1].copy(),
        "noisy": unit + 0.5 * random.standard_normal(unit.shape),
        "rotated": unit @ rotation,
        "redundant": np.hstack([unit, unit[:, :2] + 0.1 * random.standard_normal((n, 2))]),
        "random": random.standard_normal((n, 5)),
    }


def agreement_rows(n, chosen):
    """Ours and the peer's value of each score on each code."""
    mig, sap, dci = load_peer()
    random = np.random.default_rng(0)
    factors, kinds = codes(n, random)
    half = n // 2
    for kind in chosen:
        Z = kinds[kind]
        peer = {
            "MIG": mig._compute_mig(Z.T, factors.T)["mig.discrete_score"],
            "SAP, continuous": sap._compute_sap(Z.T, factors.T, None, None, True)["sap.score"],
            "SAP, discrete": sap._compute_sap(
                Z[:half].T, factors[:half].T, Z[half:].T, factors[half:].T, False
            )["sap.score"],
        }
        trees = dci._compute_dci(Z[:half].T, factors[:half].T, Z[half:].T, factors[half:].T)
        peer["DCI, disentanglement"] = trees["dci.disentanglement"]
        peer["DCI, completeness"] = trees["dci.completeness"]
        found = dci_scores(factors, Z, predictor="boosting", random_state=0)
        ours = {
            "MIG": mig_score(factors, Z),
            "SAP, continuous": sap_score(factors, Z, discrete_factors=False),
            "SAP, discrete": sap_score(factors, Z),
            "DCI, disentanglement": found.disentanglement,
            "DCI, completeness": found.completeness,
        }
        yield (kind, *(f"{ours[key]:.4f} / {peer[key]:.4f}" for key in ours))


def timing_rows(n):
    """Seconds of every score on a large table."""
    random = np.random.default_rng(0)
    factors = random.integers(8, size=(n, 10))
    Z = factors + 0.5 * random.standard_normal(factors.shape)
    scores = {
        "MIG": mig_score,
        "SAP": sap_score,
        "modularity": modularity_score,
        "explicitness": explicitness_score,
        "IRS": irs_score,
        "beta-VAE": beta_vae_score,
        "FactorVAE": factor_vae_score,
        "DCI, Lasso": lambda a, b: dci_scores(a, b, predictor="lasso"),
        "DCI, forest": lambda a, b: dci_scores(a, b, predictor="forest"),
    }
    for name, score in scores.items():
        yield name, f"{seconds(score, factors, Z):.1f}"


def add_options(parser):
    """Of the command line."""
    parser.add_argument("--rows", type=int, help="of the comparison")
    parser.add_argument("--timed-rows", type=int)


def tables(options):
    """Agreement and time."""
    header = ("code", "MIG", "SAP, continuous", "SAP, discrete", "DCI, disent.", "DCI, compl.")
    yield "Ours / peer's", header, agreement_rows(options.rows, options.codes)
    yield f"{options.timed_rows} rows", ("score", "s"), timing_rows(options.timed_rows)


if __name__ == "__main__":
    command(__spec__.name)
