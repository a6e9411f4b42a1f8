"""Benchmarks: one file a question, each run by ``python -m benchmarks.bench_<question>``."""
