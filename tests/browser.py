"""A real browser, where there is one: Chromium, without a window."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
_ALWAYS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
DARK = "--blink-settings=preferredColorScheme=0"


def opened(page: Path, profile: Path, *how: str) -> tuple[str, list[str]]:
    """What it prints of a page, and what it complains of: on the console, and of loading. profile:
    a folder for what it keeps."""
    done = subprocess.run(
        [str(CHROMIUM), *_ALWAYS, "--enable-logging=stderr", f"--user-data-dir={profile}/profile",
         *how, page.as_uri()],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]
