"""Sweeps: what each is called, and that Hydra takes its name as it is."""

from __future__ import annotations

from hydra.core.override_parser.overrides_parser import OverridesParser

from ftbuild.sweep import KEY, named


def test_a_sweep_without_a_name_is_called_by_a_word_and_never_by_what_reads_as_a_number() -> None:
    names = [named([f"train.epochs={n},2"]) for n in range(400)]  # seven of their digests read as numbers
    parsed = OverridesParser.create().parse_overrides([f"++{KEY}={name}" for name in names])
    assert [override.value() for override in parsed] == names


def test_a_sweep_is_called_the_same_whatever_the_order_of_its_words() -> None:
    assert named(["a=1,2", "+b=3"]) == named(["b=3", "a=1,2"]) != named(["b=3", "a=1"])


def test_a_sweep_from_a_file_is_called_as_the_file() -> None:
    assert named(["recipe=x", "+sweep=epochs"]) == "epochs"
