"""Running a function over items on several cores or machines, with results in the order of the items.

The engine is joblib. What a job computes never depends on how many jobs there are: items are given out in
fixed chunks by the caller, results come back in order, and BLAS runs with one thread inside every job.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Literal, TypeVar

from asrkit.core.errors import ConfigError

T = TypeVar("T")
R = TypeVar("R")

Kind = Literal["threads", "processes"]


def map_in_order(
    function: Callable[[T], R], items: Sequence[T], num_jobs: int = 1, kind: Kind = "processes"
) -> Iterator[R]:
    """Yield ``function(item)`` for each item, in order, computed by ``num_jobs`` workers.

    Parameters
    ----------
    function : callable
        Must live in a module (no lambda, no closure; `functools.partial` is fine), so that processes and
        cluster workers find it.
    items : sequence
        The pieces of work. For statistics give fixed chunks (see :func:`chunks`), not one item a job.
    num_jobs : int
        Number of workers, >= 1.
    kind : {'threads', 'processes'}
        ``threads`` for work that spends its time in BLAS or in ``nogil`` kernels, else ``processes``.
        When the environment variable ``ASRKIT_DASK`` holds the address of a Dask scheduler
        (extra ``asrkit[cluster]``), both run there.

    Raises
    ------
    ConfigError
        ``num_jobs`` < 1, or a Dask address without Dask installed.
    """
    from threadpoolctl import ThreadpoolController, threadpool_limits

    if num_jobs < 1:
        raise ConfigError(f"num_jobs is {num_jobs}, expected 1 or more")
    address = os.environ.get("ASRKIT_DASK")
    if (num_jobs == 1 or len(items) <= 1) and not address:
        libraries = ThreadpoolController()  # looking them up takes as long as a small item
        for item in items:
            with libraries.limit(limits=1):
                result = function(item)
            yield result
        return
    import joblib

    num_jobs = min(num_jobs, len(items))  # joblib starts all workers at once, needed or not
    tasks = (joblib.delayed(function)(item) for item in items)
    if address:
        with _dask(address):
            yield from _as_they_come(joblib.Parallel(n_jobs=-1, return_as="generator")(tasks))
    elif kind == "threads":
        with threadpool_limits(limits=1):
            yield from _as_they_come(
                joblib.Parallel(n_jobs=num_jobs, backend="threading", return_as="generator")(tasks)
            )
    else:
        with joblib.parallel_config(backend="loky", n_jobs=num_jobs, inner_max_num_threads=1):
            yield from _as_they_come(joblib.Parallel(return_as="generator")(tasks))


def _as_they_come(results: Generator[R, None, None]) -> Iterator[R]:
    """Yield results; where nobody wants the rest any more, give it up without a warning."""
    try:
        # Not `yield from`, which would give up the rest before this function can.
        for result in results:  # noqa: UP028
            yield result
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            results.close()


def chunks(items: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut ``items`` into consecutive pieces of ``size`` (the last may be shorter)."""
    return [items[start : start + size] for start in range(0, len(items), size)]


def _dask(address: str):  # type: ignore[no-untyped-def]
    try:
        from distributed import Client
    except ImportError:
        raise ConfigError(
            f"ASRKIT_DASK={address} asks for a Dask cluster, and Dask is not installed",
            remedy="pip install 'asrkit[cluster]'",
        ) from None
    import joblib

    Client(address)
    return joblib.parallel_config(backend="dask")
