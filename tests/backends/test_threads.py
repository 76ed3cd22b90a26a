"""Work shared among torch's own threads."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

torch = pytest.importorskip("torch")
threads = pytest.importorskip("padless.backends.torch.threads")


@pytest.fixture(params=[1, 2, 3])
def count(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.fixture(params=["torch's", "own"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "own":
        monkeypatch.setattr(threads, "_openmp", lambda: None)


@pytest.mark.usefixtures("kind")
def test_every_part_is_done_once(count: int) -> None:
    for _ in range(50):
        done: list[Any] = []
        threads.share(lambda part, parts, done=done: done.append((part, parts)))
        assert sorted(done) == [(part, count) for part in range(count)]
        # torch's own threads go on as before.
        assert float(torch.ones(1 << 20).sum()) == 1 << 20


@pytest.mark.usefixtures("kind")
def test_an_error_comes_out(count: int) -> None:
    def work(part: int, parts: int) -> None:
        if part == parts - 1:
            raise ValueError("in a part")

    with pytest.raises(ValueError, match="in a part"):
        threads.share(work)


@pytest.mark.usefixtures("kind")
def test_several_at_once(count: int) -> None:
    done: list[Any] = []

    def caller() -> None:
        for _ in range(50):
            threads.share(lambda part, parts: done.append(part))

    callers = [threading.Thread(target=caller) for _ in range(3)]
    for each in callers:
        each.start()
    for each in callers:
        each.join()
    # A new thread has the number of threads that it found when it began.
    assert len(done) >= 150


FORKS = """
import os, signal, torch
from padless.backends.torch import threads
torch.set_num_threads(2)
before = torch.ones(1 << 20).exp()
{first}
child = os.fork()
if child == 0:
    signal.alarm(60)
    threads.share(lambda part, parts: None)
    {then}
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(
    ("first", "then"),
    [
        # torch's operations alone started the threads; kernels must not wait for them in the child,
        ("", ""),
        # and after kernels did, torch must not, either.
        ("threads.share(lambda part, parts: None)", "assert torch.equal(torch.ones(1 << 20).exp(), before)"),
    ],
)
def test_a_forked_process_waits_for_no_thread_of_its_parent(first: str, then: str) -> None:
    code = FORKS.format(first=first, then=then)
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "0", done.stderr


def test_what_shared_work_holds_is_let_go_at_once() -> None:
    """Not when Python next looks for cycles: these are the arrays of a training step."""

    class Held:
        pass

    held = Held()
    seen = weakref.ref(held)

    def run(held: Any) -> None:
        threads.share(lambda part, parts: held)

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    gc.disable()
    try:
        run(held)
        del held
        assert seen() is None
    finally:
        gc.enable()
        torch.set_num_threads(before)
