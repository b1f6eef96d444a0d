"""Where the time goes: one stamp after each phase of a window."""

from time import perf_counter


class Timer:
    """Seconds by phase; a stamp charges the time since the last one to the phase it names."""

    def __init__(self) -> None:
        self.phases: dict[str, float] = {}
        self.stamps = 0  # how many so far, and
        self.phase = "start"  # the last one: what a watchdog looks at
        self._last = perf_counter()

    def start(self) -> None:
        """Forget the time since the last stamp."""
        self._last = perf_counter()

    def stamp(self, phase: str) -> None:
        now = perf_counter()
        self.phases[phase] = self.phases.get(phase, 0.0) + now - self._last
        self.stamps += 1
        self.phase = phase
        self._last = now
