"""Locks between processes and threads: one at a time, none left behind, and a limit to how long one waits."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ftbuild.errors import FtbuildError, LockTimeout
from ftbuild.locks import Locks

HOLD = """
import sys
from pathlib import Path
from ftbuild.locks import Locks
locks = Locks(Path(sys.argv[1]))
with locks.share("key", patience=5) if sys.argv[2] == "share" else locks.hold("key", patience=5):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def locks(tmp_path: Path) -> Locks:
    """Return the locks of an empty folder."""
    return Locks(tmp_path / "deep" / "store")


@pytest.fixture(params=["hold", "share"])
def holder(request: pytest.FixtureRequest, locks: Locks) -> Iterator[subprocess.Popen[str]]:
    """Run another process that has the lock, alone or together with others who share it."""
    command = [sys.executable, "-c", HOLD, str(locks._file.parent), request.param]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_what_another_process_holds_is_waited_for_and_not_for_ever(locks: Locks, holder: subprocess.Popen[str]) -> None:
    assert not locks.take("key")
    told: list[str] = []
    with (
        pytest.raises(LockTimeout, match="another process has been at key for more than 0 s") as caught,
        locks.hold("key", patience=0, waiting=lambda: told.append("waiting")),
    ):
        pass
    assert told == ["waiting"]
    assert "lock_timeout=SECONDS" in caught.value.hint
    assert caught.value.exit_code == 5
    assert holder.poll() is None


def test_another_key_is_free_meanwhile(locks: Locks, holder: subprocess.Popen[str]) -> None:
    with locks.hold("another key", patience=0) as waited:
        assert not waited
    assert holder.poll() is None


def test_a_lock_falls_with_the_process_that_held_it(locks: Locks, holder: subprocess.Popen[str]) -> None:
    def waiting() -> None:
        holder.kill()
        holder.wait(30)

    with locks.hold("key", patience=30, waiting=waiting) as waited:
        assert waited
    assert locks._file.stat().st_size == 0


def test_a_lock_that_is_shared_is_shared(locks: Locks) -> None:
    with locks.share("key", patience=0), locks.share("key", patience=0):
        command = [sys.executable, "-c", HOLD, str(locks._file.parent), "share"]
        done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
        assert done.stdout == "held\n"
    alone = subprocess.run([*command[:-1], "hold"], input="", capture_output=True, text=True, check=True)
    assert alone.stdout == "held\n", "and given back when the last of them is done"


def test_one_of_two_who_share_keeps_it_when_the_other_is_done(locks: Locks) -> None:
    with locks.share("key", patience=0):
        with locks.share("key", patience=0):
            pass
        command = [sys.executable, "-c", HOLD.replace("patience=5", "patience=0"), str(locks._file.parent), "hold"]
        done = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert "LockTimeout" in done.stderr


def test_what_is_shared_in_one_folder_says_nothing_of_another(locks: Locks, tmp_path: Path) -> None:
    with locks.share("key", patience=0):
        other = tmp_path / "another store"
        with Locks(other).share("key", patience=0):
            pass
        command = [sys.executable, "-c", HOLD, str(other), "hold"]
        done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
        assert done.stdout == "held\n"


def test_threads_exclude_each_other_and_two_objects_of_one_folder_are_one(locks: Locks) -> None:
    counts, inside, lock = [0, 0], 0, threading.Lock()

    def work() -> None:
        nonlocal inside
        for _ in range(5):
            with Locks(locks._file.parent).hold("key", patience=60):
                with lock:
                    inside += 1
                    counts[1] = max(counts[1], inside)
                counts[0] += 1
                with lock:
                    inside -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [20, 1]


def test_a_lock_is_given_back_after_an_error(locks: Locks) -> None:
    with pytest.raises(KeyboardInterrupt), locks.hold("key", patience=0):
        raise KeyboardInterrupt
    assert locks.take("key")
    locks.release("key")


def test_tasks_exclude_each_other_and_go_on_meanwhile(locks: Locks) -> None:
    order: list[str] = []

    async def one(name: str, free: asyncio.Event, done: asyncio.Event) -> None:
        async with locks.hold_async("key", patience=30) as waited:
            order.append(f"{name} {waited}")
            done.set()
            await free.wait()

    async def both() -> None:
        free, first, second = asyncio.Event(), asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(one("first", free, first))]
        await first.wait()
        tasks.append(asyncio.create_task(one("second", free, second)))
        async with locks.hold_async("another key", patience=0):
            order.append("meanwhile")
        free.set()
        await asyncio.gather(*tasks)

    asyncio.run(both())
    assert order == ["first False", "meanwhile", "second True"]


def test_a_folder_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(FtbuildError, match="cannot write to the store"), Locks(tmp_path / "file").hold("key", patience=0):
        pass
