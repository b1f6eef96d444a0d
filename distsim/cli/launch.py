"""The ranks of a command, its exit statuses, and its way out when it fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from distsim.errors import InputError

if TYPE_CHECKING:
    from distsim.ranks.communicator import Communicator


# Exit statuses; 128 + its number for a signal that ended the run at once.
FAILED, BAD_INPUT, NOT_WRITTEN, STOPPED, INTERRUPTED = 1, 2, 74, 85, 130


STATUSES = """\b
Exit status:
  0   done
  1   failed: an error, ranks that died or stalled, a check that did not hold
  2   bad input: nothing was touched; or a network at rest: its events so far are kept
  74  a file could not be written; the last checkpoint is good
  85  stopped by SIGTERM, SIGINT, SIGUSR1 or --max-time: `distsim resume` goes on
  A second signal ends all ranks at once: 128 + its number.
"""


class Launch:
    """The ranks of this command: unconnected until it asks for them."""

    communicator: Communicator | None = None

    def connect(self) -> Communicator:
        from distsim.ranks import communicator

        self.communicator = communicator.connect()
        return self.communicator

    @property
    def rank(self) -> int:
        """This rank; before it is connected, what its launcher says."""
        from distsim.ranks import communicator

        if self.communicator is not None:
            return self.communicator.rank
        return communicator.launched_rank()

    def complain(self, show: Callable[[], None]) -> None:
        """Have the root show an error that all ranks met.

        They wait for it: some launchers end all ranks as soon as the first leaves with an error.
        """
        if self.communicator is None:
            with contextlib.suppress(InputError):  # where connecting is what went wrong
                self.connect()
        if self.rank == 0:
            show()
        if self.communicator is not None:
            self.communicator.barrier()

    def over(self) -> None:
        """The process is about to end."""
        if self.communicator is not None:
            from distsim.ranks import signals

            signals.ignore()

    def abort(self, status: int) -> None:
        """End all ranks, if there are others that would wait for this one."""
        if self.communicator is not None and self.communicator.size > 1:
            self.communicator.abort(status)
