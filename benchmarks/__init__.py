"""Benchmarks against peers; run each with ``python -m benchmarks.bench_<question>``."""
