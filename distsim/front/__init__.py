"""The front door from Python: `simulate`, `stream`, `read`, and the `Result` that they give."""
