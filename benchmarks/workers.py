"""Points measured one after another here, or several at a time in processes of their own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import torch

from hqcodec.benchmarks.point import Bench, Outcome, Task
from hqcodec.errors import HqcodecError

_bench: Bench  # of a worker process, which has one for all its tasks


def begin(make: Callable[[], Bench], threads: int) -> None:
    """Get a worker process ready."""
    global _bench
    torch.set_num_threads(threads)
    _bench = make()


def work(task: Task) -> Outcome:
    """Measure a point in a worker process."""
    return _bench.outcome(task)


def threads_each(jobs: int) -> int:
    """torch's threads for each of `jobs` processes, so that together they are no more than now."""
    return max(1, torch.get_num_threads() // jobs)


def outcomes(
    tasks: Sequence[Task], bench: Bench, jobs: int, make: Callable[[], Bench] | None
) -> Iterator[tuple[int, Outcome | None]]:
    """(index, outcome) of each task in the order they finish; None: its picture failed before.

    make: how other processes come by their own `bench`; it must pickle, and may be None for 1 job.
    """
    if jobs == 1:
        failed = set()
        for index, task in enumerate(tasks):
            found = None if task.path in failed else bench.outcome(task)
            if isinstance(found, str):
                failed.add(task.path)
            yield index, found
        return
    if make is None:
        raise HqcodecError(f"{jobs} jobs, but these codecs cannot be made again elsewhere; take 1")
    yield from in_processes(tasks, jobs, make)


def in_processes(
    tasks: Sequence[Task], jobs: int, make: Callable[[], Bench]
) -> Iterator[tuple[int, Outcome | None]]:
    """`outcomes` of more than one job."""
    # Not forked: torch's threads do not survive that, and other systems have only this.
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), begin, (make, threads_each(jobs)))
    try:
        futures = {pool.submit(work, task): index for index, task in enumerate(tasks)}
        for future in as_completed(futures):
            index = futures[future]
            found = None if future.cancelled() else future.result()
            if isinstance(found, str):
                cancel_after(index, tasks, futures)
            yield index, found
    except BrokenProcessPool as error:
        raise HqcodecError(f"a worker process died ({error}); try fewer --jobs") from error
    finally:
        pool.shutdown(cancel_futures=True)


def cancel_after(index: int, tasks: Sequence[Task], futures: dict["Future[Outcome]", int]) -> None:
    """Cancel what has not begun of the picture of a task."""
    for future, other in futures.items():
        if other > index and tasks[other].path == tasks[index].path:
            future.cancel()
