"""How far a command has come, shown on stderr if someone is there to see it."""

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress


class Bar:
    """A bar of so many files that appears with the second file, or within a long one."""

    def __init__(self, files: int, wanted: bool) -> None:
        """wanted: whether to show it on a terminal."""
        self.files, self.done = files, 0
        self.wanted = wanted and sys.stderr.isatty()
        self._bar: Progress | None = None

    def tell(self, share: float) -> None:
        """What share of the present file is done: 0 to 1."""
        if not self.wanted:
            return
        if self._bar is None:
            from rich.console import Console
            from rich.progress import Progress

            console = Console(stderr=True)
            self._bar = Progress(
                console=console, transient=True, redirect_stdout=sys.stdout.isatty()
            )
            self._bar.add_task("", total=self.files)
            self._bar.start()
        self._bar.update(self._bar.task_ids[0], completed=self.done + share)

    def advance(self) -> None:
        """The present file is done."""
        self.done += 1
        if self.done < self.files or self._bar is not None:
            self.tell(0)

    def __enter__(self) -> Self:
        """Itself; nothing is shown yet."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wipe the bar away."""
        if self._bar is not None:
            self._bar.stop()
