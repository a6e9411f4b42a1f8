"""Run every benchmark with its default settings."""

import runpy
from pathlib import Path

for path in sorted(Path(__file__).parent.glob("bench_*.py")):
    print(f"\n## {path.stem}\n", flush=True)
    runpy.run_module(f"benchmarks.{path.stem}", run_name="__main__")
