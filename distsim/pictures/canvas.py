"""A figure that shows itself: notebooks ask an object for its PNG. Imports matplotlib."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """A figure that no pyplot knows of."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=100)
        return buffer.getvalue()
