"""`distsim report`: one page that holds a run, read back as a browser reads it."""

import os
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import browser
import drawn_runs
import numpy as np
import pytest
from browser import DARK
from drawn_runs import NEURONS, SAMPLES, W

import distsim
from distsim.cli.launch import Launch
from distsim.cli.main import main
from distsim.errors import InputError, OutputError
from distsim.files import events
from distsim.pictures import kinds
from distsim.pictures.kinds import KINDS
from distsim.reports import report

matplotlib = pytest.importorskip("matplotlib")

EMPTY = {"meta", "link"}  # elements without an end
HOSTILE = 'W <img src=x onerror=alert(1)> & "it\'s" $x$; rm -r x.npy'
NAMES = tuple(f"<b>n{i}</b> & $\"'" for i in range(NEURONS))
POPULATION = ("</svg><script>", "--><i>", "$x", "MBON") * 3


class Page(HTMLParser):
    """Elements with their attributes, and the text in each, as one finds them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.raw = text
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if data.strip():
            self.texts.append((tuple(self._open), data))

    def inside(self, tag: str) -> list[str]:
        """The texts that are anywhere in elements of a name."""
        return [text for path, text in self.texts if tag in path]

    def facts(self) -> dict[str, str]:
        return dict(zip(self.inside("dt"), self.inside("dd"), strict=True))

    def rows(self) -> dict[str, list[str]]:
        """The first cell of each row -> the others; rows of which the first is the same: the
        first of them."""
        found: dict[str, list[str]] = {}
        for path, text in self.texts:
            if "tbody" in path and path[-1] == "th":
                last = found.setdefault(text, []) if text not in found else []
            elif "tbody" in path:
                last.append(text)
        return found

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def made(source: str, target: Path) -> Page:
    assert main(["report", source, "--output", str(target)], Launch()) == 0
    return Page(target.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures: tests of other parts need not wait for them."""

    def refuse(*_: object, **__: object) -> None:
        raise InputError("not now")

    monkeypatch.setattr(kinds, "draw", refuse)


@pytest.fixture(scope="module")
def drawn(folder: Path) -> Page:
    """Of a file that has all there is, with names that mean harm."""
    found = drawn_runs.events(names=NAMES, population=POPULATION)
    found.observables.update(drawn_runs.observables(found))
    found.observables["best/time"] = np.array(12.5)
    network = folder / HOSTILE
    np.save(network, W)
    found.config.update(network=str(network), neurons=None, observe="energy,activity")
    return made(drawn_runs.write(folder / "run.h5", found), folder / "run.html")


def test_the_page_asks_for_nothing_and_no_name_is_more_than_a_text(drawn: Page) -> None:
    tags = {tag for tag, _ in drawn.elements}
    assert not tags & {"script", "img", "b", "i", "iframe", "object", "base", "form"}
    for tag, attributes in drawn.elements:
        assert not {name for name in attributes if name == "src" or name.startswith("on")}, tag
        for name in ("href", "xlink:href"):
            assert attributes.get(name, "#")[:1] == "#" or attributes[name].startswith("data:")
    foreign = re.sub(r'xmlns(:xlink)?="http://www\.w3\.org/[\w/]+"', "", drawn.raw)
    assert "http://" not in foreign
    assert "https://" not in foreign
    assert all("#" in one for one in re.findall(r"url\(.", foreign))
    (policy,) = [m for m in drawn.named("meta") if "http-equiv" in m]
    assert policy["content"].startswith("default-src 'none'")
    ids = [attributes["id"] for _, attributes in drawn.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    whole = "".join(text for _, text in drawn.texts)
    assert all(text in whole for text in (HOSTILE, ", ".join(NAMES), *POPULATION))
    assert len(drawn.raw) < 2e6


def test_every_picture_that_can_be_drawn_is_there_and_says_what_it_shows(drawn: Page) -> None:
    assert [figure["id"] for figure in drawn.named("figure")] == list(KINDS)
    pictures = drawn.named("svg")
    assert len(pictures) == len(KINDS)
    assert {picture["role"] for picture in pictures} == {"img"}
    labels = dict(zip(KINDS, (picture["aria-label"] for picture in pictures), strict=True))
    assert labels["energy"].startswith(f"the energy: {SAMPLES} samples, mean -")
    assert labels["samples"] == f"the states: {SAMPLES} samples; dark: state 1"
    commands = drawn.inside("code")
    for kind, sort in (("overview", "population"), ("raster", "rate"), ("rates", "population")):
        assert f"--kind {kind} --sort {sort}" in commands
    assert [text for text in drawn.inside("summary") if "not" in text] == []


def test_numbers_are_those_of_the_file(drawn: Page) -> None:
    known, rows = drawn.facts(), drawn.rows()
    found = drawn_runs.observables(drawn_runs.events())
    assert known["digest"] == "00"
    assert (known["lowest energy"], known["reached at"]) == ("-77.5", "12.5")
    assert known["samples"] == "120, every 0.5 of model time"
    assert known["weights that are not 0"] == str(np.count_nonzero(W))
    assert known["above and below 0"] == f"{np.sum(W > 0)} and {np.sum(W < 0)}"
    assert known["populations"] == "4"
    assert rows["MBON"] == ["3"]
    for name, of in (("energy", "energy"), ("share refractory, at samples", "activity")):
        x = found[of]
        values = [float(text) for text in rows[name][1:]]
        assert values == pytest.approx([x.mean(), x.std(), x.min(), x.max(), x[-1]], rel=1e-5)
    rates = found["rates"].mean(axis=0)
    values = [float(text) for text in rows["rate, a unit of time"][1:]]
    assert values == pytest.approx([rates.mean(), rates.std(), 0, rates.max()], rel=1e-5)
    assert rows["--time"][0] == "60"
    assert rows["--tau"][0] == "1"
    order = list(rows)
    assert order.index("--time") < order.index("--tau")  # what was chosen comes first


@pytest.mark.parametrize("model", ["mpm", "bm"])
def test_its_command_gives_the_same_digests(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undrawn: None
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(HOSTILE, (W + W.T) * (1 - np.eye(NEURONS)))
    lengths = ["--time", "0.5"] if model == "mpm" else ["--sweeps", "7"]
    options = ["--network", HOSTILE, "--model", model, *lengths, "--seed", "7"]
    if model == "mpm":
        options += ["--tau", "2.5"]
    else:
        Path("s t.csv").write_text("start,stop,neuron,bias\n0.5,3,4,2.5\n", encoding="utf-8")
        options += ["--tau", "3:0.5", "--clamp", "2=1,5=0", "--stimulus", "s t.csv"]
    options += ["--observe", "energy,samples", "--every", "0.25", "--device", "cpu", "--initial"]
    options += ["ones", "--weight-bits", "16", "--window", "20", "--checkpoint", "it"]
    assert main(["run", *options, "--output", "run.h5"], Launch()) == 0
    page = made("run.h5", Path("run.html"))
    known, rows = page.facts(), page.rows()
    first = events.read("run.h5")
    assert known["digest"] == first.digest
    assert known["digest of observables"] == first.observables_digest
    assert rows["1"][1:6] == ["0", distsim.__version__, "1", "walk", "cpu"]
    assert rows["--checkpoint"][0] == "it"
    (command,) = page.inside("pre")
    said = " ".join(page.inside("p"))
    assert ("CPU or GPU" in said, "was prolonged" in said) == (model == "mpm", model == "bm")
    assert ("s t.csv, as named where" in said) == (model == "bm")
    for other in ("--output", "--checkpoint", "--device"):
        assert other not in command
    words = shlex.split(command)
    assert words[:2] == ["distsim", "run"]
    assert main([*words[1:], "--output", "again.h5"], Launch()) == 0
    second = events.read("again.h5")
    assert (second.digest, second.observables_digest) == (first.digest, first.observables_digest)


def test_a_run_of_arrays_says_what_it_needs(tmp_path: Path, undrawn: None) -> None:
    states = np.arange(NEURONS) % 2
    held: dict[str, Any] = {
        "tau": [(0, 5.0), (0.1, 2.0)], "clamp": {1: 0}, "stimulus": [(0, 1, 2, 3.0)]
    }  # fmt: skip
    result = distsim.simulate(
        W, initial=states, transitions=20, device="cpu", show_progress=False, **held
    )
    result.report(str(tmp_path / "it.html"))
    page = Page((tmp_path / "it.html").read_text(encoding="utf-8"))
    (call,) = page.inside("pre")
    again = eval(call, {"distsim": distsim, "W": W, "initial": states, **held})
    assert page.facts()["digest"] == again.digest == result.digest
    needed = "W (and bias, if it was given) and initial and tau and clamp and stimulus."
    assert needed in "".join(page.inside("p"))
    assert "was an array of a Python program" in page.facts()["weights"]
    with pytest.raises(InputError, match=r"it\.html: exists"):
        result.report(str(tmp_path / "it.html"))


def test_a_partial_file_says_so_and_why_pictures_are_missing(tmp_path: Path) -> None:
    drawn_runs.write(tmp_path / "run.h5.partial", drawn_runs.events(partial=True))
    page = made(str(tmp_path / "run.h5"), tmp_path / "it.html")
    assert "Partial: the run has not come to its end." in " ".join(page.inside("header"))
    known = page.facts()
    assert "digest" not in known
    assert known["energy"] == "no energy observed; allowed: of a run with --observe energy"
    shown = [figure["id"] for figure in page.named("figure")]
    assert shown == ["overview", "raster", "rates", "activity", "weights"]
    assert "whose first events are those of this page" in "".join(page.inside("p"))


def test_files_without_events_and_of_other_versions(tmp_path: Path) -> None:
    nothing: dict[str, Any] = {
        "time": np.empty(0),
        "neuron": np.empty(0, int),
        "state": np.empty(0, np.uint8),
    }
    found = drawn_runs.events(**nothing)
    found.config["events"] = False
    page = made(drawn_runs.write(tmp_path / "run.h5", found), tmp_path / "it.html")
    assert page.facts()["transitions"] == "not kept"
    assert "No events and no observables." in page.inside("p")
    assert "Not recorded. Written by distsim 1." in page.inside("p")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("run.h5", "it.png", "report it.png: allowed: a name that ends with .html or .htm"),
        ("run.h5", "there.html", "report there.html: exists; allowed: a new file"),
        ("run.h5", "no/it.html", "report no/it.html: no folder no"),
        ("no.h5", "it.html", "no.h5: No such file or directory"),
        ("there.html", "it.html", "there.html: not an HDF5 file"),
    ],
)
def test_bad_input_is_one_message_and_no_file(
    source: str, target: str, message: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    drawn_runs.write(tmp_path / "run.h5", drawn_runs.events())
    Path("there.html").write_text("mine")
    before = set(os.listdir())
    assert main(["report", source, "--output", target], Launch()) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert set(os.listdir()) == before
    assert Path("there.html").read_text() == "mine"


def test_what_cannot_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    source = drawn_runs.write(tmp_path / "run.h5", drawn_runs.events(partial=True))
    monkeypatch.setattr(report, "page", lambda *_: "text")
    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OutputError, match=r"report .*it\.html: No space left on device"):
        report.of(source, str(tmp_path / "it.html"), lambda _: drawn_runs.Given(),
                  overwrite=False, tell=print)  # fmt: skip
    assert os.listdir(tmp_path) == ["run.h5"]


# ----------------------------------------------------------------------------------- a browser
def pixels(path: Path) -> Any:
    from matplotlib.image import imread

    return imread(path)[..., :3]


@browser.needs_chromium
def test_a_browser_shows_it_light_dark_and_narrow_and_prints_it(
    drawn: Page, folder: Path, tmp_path: Path
) -> None:
    page, picture, paper = folder / "run.html", tmp_path / "it.png", tmp_path / "it.pdf"
    ground = {}
    for name, how in (("light", ("--dump-dom", f"--print-to-pdf={paper}")), ("dark", (DARK,))):
        size = ("--window-size=1200,2400", f"--screenshot={picture}")
        dom, complaints = browser.opened(page, tmp_path, *size, *how)
        assert complaints == []
        assert dom.count("<svg") == (len(KINDS) if name == "light" else 0)
        shown = pixels(picture)
        assert shown.shape[1] == 1200
        ground[name] = shown[5, 5].mean()
        assert np.abs(shown - shown[5, 5]).max(axis=2).mean() > 0.01  # something is written on it
        assert (shown[:, :, 0] > 0.95).mean() > 0.3  # pictures have a white ground in both
    assert ground["light"] > 0.95
    assert ground["dark"] < 0.2
    sheets = len(re.findall(rb"/Type\s*/Page\b", paper.read_bytes()))
    assert 2 <= sheets <= 8


@browser.needs_chromium
def test_nothing_sticks_out_on_a_telephone_and_the_browser_would_complain(
    drawn: Page, tmp_path: Path
) -> None:
    """The page has no scripts; a copy of it tells its width to one that asks for a picture, too."""
    told = "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script></body>"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", drawn.raw)
    (tmp_path / "narrow.html").write_text(text.replace("</body>", told), encoding="utf-8")
    frame = tmp_path / "frame.html"
    frame.write_text(
        "<meta http-equiv='Content-Security-Policy' content='img-src data:'>"
        "<script>onmessage = e => document.title = 'wide ' + e.data</script>"
        "<iframe src='narrow.html' style='border:0; width:390px; height:900px'></iframe>"
        "<img src='http://127.0.0.1:9/x.png'>"
    )
    dom, complaints = browser.opened(frame, tmp_path, "--dump-dom", "--virtual-time-budget=5000")
    assert "<title>wide 390</title>" in dom
    (complaint,) = complaints
    assert "Content Security Policy" in complaint
