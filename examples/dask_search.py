"""
A grid search on a Dask cluster
===============================

scikit-learn's searches run on a Dask cluster through a backend of joblib. The estimator need not be
changed. Install ``sklearn-sparsedis[dask]``, and call ::

    python examples/dask_search.py                        # starts two processes on this machine
    python examples/dask_search.py --scheduler HOST:PORT  # uses a cluster that is running
"""

# sphinx_gallery_thumbnail_path = "images/card_search.png"

import argparse

import joblib
from dask.distributed import Client, LocalCluster
from sklearn.model_selection import GridSearchCV

from sklearn_sparsedis import SparseDisentangledRepresentation
from sklearn_sparsedis.datasets import make_sparse_multitask


def search(client, **parameters):
    """Search for the strength of the penalty; the cluster runs each fit by itself."""
    data = make_sparse_multitask(500, 30, random_state=0)
    model = SparseDisentangledRepresentation(
        6, encoder="linear", random_state=0, device="cpu", **parameters
    )
    grid = {"alpha": [0.01, 0.05, 0.2]}
    with joblib.parallel_config("dask", client=client):
        return GridSearchCV(model, grid, cv=2, error_score="raise").fit(data.X, data.Y)


def main():
    """Print what the search found."""
    parser = argparse.ArgumentParser(description="A grid search on a Dask cluster.")
    parser.add_argument("--scheduler", help="address of a scheduler; by default one is started")
    options = parser.parse_args()
    cluster = options.scheduler
    if cluster is None:
        # processes: a fit changes the state of torch's generators while it runs
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with Client(cluster) as client:
        found = search(client)
    print(f"best alpha {found.best_params_['alpha']}, mean R^2 {found.best_score_:.3f}")
    if not isinstance(cluster, str):
        cluster.close()


if __name__ == "__main__":
    main()
