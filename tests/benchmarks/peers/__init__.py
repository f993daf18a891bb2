"""Build tools side by side, for `tests/benchmarks/builds.py`: six trivial stages in each, and what can be seen of them."""
