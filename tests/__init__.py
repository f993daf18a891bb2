"""The tests mirror the modules: what `ftbuild/rows.py` does is shown in `tests/test_rows.py`."""
