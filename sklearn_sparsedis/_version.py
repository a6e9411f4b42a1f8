"""The version of this package, which is stated here alone, and of what it runs on."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__", "show_versions"]

__version__ = "0.1.0.dev0"

LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "skorch", "safetensors", "joblib")
OPTIONAL = ("matplotlib", "pandas", "polars", "pillow", "h5py")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_WAIT_POLICY")


def show_versions() -> None:
    """Print versions, devices and threads, for a bug report.

    ``python -m sklearn_sparsedis`` does the same.

    See Also
    --------
    sklearn.show_versions : What scikit-learn says of itself and the libraries below it.

    Examples
    --------
    >>> from sklearn_sparsedis import show_versions
    >>> show_versions()
    sklearn_sparsedis ...
    """
    print(f"sklearn_sparsedis {__version__}")  # noqa: T201  # printing is its purpose
    for title, rows in _sections().items():
        width = max(map(len, rows))
        lines = [f"  {name:<{width}}  {value}" for name, value in rows.items()]
        print(f"\n{title}", *lines, sep="\n")  # noqa: T201


def _sections() -> dict[str, dict[str, str]]:
    return {
        "System": {
            "python": sys.version.replace("\n", " "),
            "executable": sys.executable,
            "platform": platform.platform(),
        },
        "Libraries": {name: _version(name) for name in LIBRARIES},
        "Optional libraries": {name: _version(name) for name in OPTIONAL},
        "Devices": _devices(),
        "Threads": _threads(),
    }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    import torch  # here, because who imports the package may not need it

    built = str(torch.version.cuda or torch.version.hip or "none: a build for the CPU")
    found = {f"cuda:{i}": torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())}
    return {"CUDA of torch": built, **(found or {"accelerators": "none found"})}


def _threads() -> dict[str, str]:
    import torch
    from threadpoolctl import threadpool_info

    pools = {
        f"{pool['prefix']} ({pool['user_api']})": str(pool["num_threads"])
        for pool in threadpool_info()
    }
    variables = {name: os.environ.get(name, "not set") for name in THREAD_VARIABLES}
    cores = {"cores": str(os.cpu_count()), "torch": str(torch.get_num_threads())}
    return {**cores, **pools, **variables}
