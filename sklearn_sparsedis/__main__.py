"""`python -m sklearn_sparsedis` prints what a bug report needs."""

from sklearn_sparsedis._version import show_versions

__all__: list[str] = []

if __name__ == "__main__":
    show_versions()
