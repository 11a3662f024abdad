"""Settings of torch's under which files must decode to the same codes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch

from hqcodec.models import compiled


@contextmanager
def switched(switch: Callable[[Any], Any], value: object, before: object) -> Iterator[None]:
    """A setting of torch's, put back afterwards."""
    switch(value)
    try:
        yield
    finally:
        switch(before)


def threads(count: int) -> AbstractContextManager[None]:
    return switched(torch.set_num_threads, count, torch.get_num_threads())


def without_compiled() -> AbstractContextManager[None]:
    """As if the package had been built without a compiler."""

    def switch(value: bool) -> None:
        compiled.enabled = value

    return switched(switch, False, True)


SETTINGS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "1 thread": lambda: threads(1),
    "2 threads": lambda: threads(2),
    "float64 by default": lambda: switched(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16 by default": lambda: switched(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "float32 autocast": lambda: torch.autocast("cpu", enabled=False),
    "bfloat16 autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "float16 autocast": lambda: torch.autocast("cpu", torch.float16),
    "no mkldnn": lambda: switched(torch.backends.mkldnn.set_flags, False, True),
    "deterministic": lambda: switched(torch.use_deterministic_algorithms, True, False),
    "denormals flushed": lambda: switched(torch.set_flush_denormal, True, False),
    "high precision": lambda: switched(torch.set_float32_matmul_precision, "high", "highest"),
    "medium precision": lambda: switched(torch.set_float32_matmul_precision, "medium", "highest"),
    "inference mode": torch.inference_mode,
    "gradients": torch.enable_grad,
}
