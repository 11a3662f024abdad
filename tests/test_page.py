"""The HTML report without a browser: what is in it, and what cannot get into it."""

import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks import baselines
from hqcodec.benchmarks.page import METRICS, page, write_page
from hqcodec.benchmarks.published import KODAK, published, read_published
from hqcodec.benchmarks.results import Result, write_result
from hqcodec.benchmarks.sweep import sweep
from hqcodec.benchmarks.views import ORIGINAL, Album, Ladder, spread
from hqcodec.cli.bench import bench
from hqcodec.errors import FormatError, HqcodecError
from reports import JUDGE, codecs, save_pictures, write_report
from toycodec import codec

NASTY = "<script>alert(1)</script>&\"'.png"


class Elements(HTMLParser):
    """All elements with their attributes, and the text of the page's data."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.data = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.found and self.found[-1][1].get("id") == "data":
            self.data += data


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Result]:
    """The page of two pictures and what it was made of."""
    folder = tmp_path_factory.mktemp("report")
    result = write_report(folder / "out.html", save_pictures(folder / "pictures"))
    return (folder / "out.html").read_text(encoding="utf-8"), result


def data_of(html: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Elements(html).data)
    return found


def test_the_page_loads_nothing(report: tuple[str, Result]) -> None:
    html, _ = report
    elements = Elements(html).found
    links = [a.get(key) for _, a in elements for key in ("src", "href", "action") if key in a]
    assert links == ["data:,"]  # an empty icon, so that the browser asks for none
    assert not {tag for tag, _ in elements} & {"iframe", "object", "embed", "base"}
    policy = next(a["content"] for _, a in elements if "http-equiv" in a)
    assert policy is not None and policy.startswith("default-src 'none'; img-src data:;")
    assert not re.search(r"@import|url\(|fetch\(|XMLHttpRequest|innerHTML", html)


def test_curves_have_every_point_that_was_measured(report: tuple[str, Result]) -> None:
    html, result = report
    data = data_of(html)
    assert [metric["key"] for metric in data["metrics"]] == ["psnr", "rmse"]
    points = {c["name"]: [p["bpp"] for p in c["points"]] for c in data["codecs"]}
    assert list(points) == ["hqcodec", "hqcodec (dark)", "JPEG"]
    for shown, name in zip(points.values(), result["codecs"], strict=True):
        assert shown == [row["bpp"] for row in result["means"] if row["codec"] == name]
    assert [c["ours"] for c in data["codecs"]] == [True, True, False]
    assert len({c["colour"] for c in data["codecs"]}) == 3


def test_every_metric_of_a_result_can_be_chosen(report: tuple[str, Result]) -> None:
    _, result = report
    means = [row | dict.fromkeys(METRICS, 0.5) for row in result["means"]]
    assert [m["key"] for m in data_of(page(result | {"means": means}, [], [], []))["metrics"]] == [
        *METRICS
    ]


def test_pictures_are_the_files_themselves_where_a_browser_can_show_them(
    report: tuple[str, Result],
) -> None:
    html, result = report
    data = data_of(html)
    assert [shown["name"] for shown in data["pictures"]] == ["a.png", "b.png"]
    assert list(data["sides"]) == [ORIGINAL, "hqcodec", "hqcodec (dark)", "jpeg"]
    measured = {(r["codec"], r["picture"], r["setting"]): r for r in result["records"]}
    for shown in data["pictures"]:
        for side in ("hqcodec", "hqcodec (dark)"):
            for found in shown["sides"][side]:
                record = measured[side, shown["name"], found["setting"]]
                assert (found["bytes"], found["psnr"]) == (record["file_bytes"], record["psnr"])
                assert found["recompressed"] and not found["larger"]
                assert data["images"][found["image"]].startswith("data:image/webp;base64,")
        for found in shown["sides"]["jpeg"]:
            file = base64.b64decode(data["images"][found["image"]].partition(",")[2])
            assert len(file) == found["bytes"] and not found["recompressed"]
            with Image.open(io.BytesIO(file)) as picture:
                assert picture.format == "JPEG" and picture.size == (128, 96)
    assert len(set(data["images"])) == len(data["images"])


def test_a_baseline_is_the_largest_file_not_larger_than_ours(tmp_path: Path) -> None:
    source = Image.open(save_pictures(tmp_path / "p")[0])
    jpeg = codecs()[1]
    sizes = {quality: len(jpeg.encode(source, quality)) for quality in range(2, 96)}
    for size in (sizes[2], sizes[30], sizes[70], 10**6):
        best = Ladder(jpeg, source).at_most(size)
        assert sizes[best] <= size
        assert all(sizes[q] > size for q in range(best + 1, min(best + 2, 96)))
    assert Ladder(jpeg, source).at_most(sizes[2] - 1) == 2  # the smallest, which is larger


def test_a_baseline_whose_smallest_file_is_larger_says_so(tmp_path: Path) -> None:
    path = save_pictures(tmp_path / "p")[0]
    mine, jpeg = codecs()
    tiny = replace(mine, encode=lambda picture, setting: b"x", others={})
    tiny = replace(tiny, decode=lambda data: Image.new("RGB", (128, 96)))
    shown = Album(JUDGE).picture(path, [tiny, jpeg])["sides"]["jpeg"]
    assert [found["larger"] for found in shown] == [True] * 3
    assert {found["setting"] for found in shown} == {2}


def test_names_and_values_from_outside_are_only_ever_text(tmp_path: Path) -> None:
    result = write_report(tmp_path / "out.html", save_pictures(tmp_path / "p"))
    html = json.dumps(result).replace("a.png", json.dumps(NASTY)[1:-1])
    nasty = json.loads(html)
    nasty["failures"] = [NASTY]
    nasty["versions"][NASTY] = NASTY
    nasty["codecs"][NASTY] = nasty["codecs"].pop("jpeg") | {NASTY: NASTY}
    nasty["means"] = [
        row | {"codec": NASTY} if row["codec"] == "jpeg" else row for row in nasty["means"]
    ]
    nasty["records"] = [
        row | {"codec": NASTY} if row["codec"] == "jpeg" else row for row in nasty["records"]
    ]
    text = page(nasty, [], [{"name": NASTY, "sides": {NASTY: []}}], [])
    assert "alert(1)</script>" not in text and "<script>alert" not in text
    assert data_of(text)["pictures"][0]["name"] == NASTY
    tags = [tag for tag, _ in Elements(text).found]
    assert tags.count("script") == 2


def test_published_curves_stand_beside_kodak_alone() -> None:
    kodak = {f"{stem}.png" for stem in KODAK}
    assert {"VTM", "hyperprior", "HiFiC"} <= {curve.name for curve in published(kodak)}
    assert published(kodak - {"kodim24.png"}) == [] and published({*kodak, "x.png"}) == []
    without = published(kodak, None)
    assert without and not any("lpips" in curve.curves for curve in without)
    for curve in published(kodak):
        for points in curve.curves.values():
            rates, values = zip(*points, strict=True)
            rising = sorted(values, reverse="lpips" in curve.curves)
            assert list(rates) == sorted(rates) and list(values) == rising


def test_published_curves_are_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "curves.json"
    file.write_text('{"x": [[0.5, 31, null], [0.1, 25, 0.9]], "y": []}')
    x, y = read_published(file)
    assert x.curves == {"psnr": ((0.1, 25.0), (0.5, 31.0)), "ms_ssim": ((0.1, 0.9),)}
    assert y.curves == {}
    for bad in ("[]", "{", '{"x": 1}', '{"x": [["a", 2]]}', '{"x": [[0, 25]]}', '{"x": [[]]}'):
        file.write_text(bad)
        if bad == '{"x": [[]]}':
            assert read_published(file)[0].curves == {}
            continue
        with pytest.raises(FormatError, match=r"is not a JSON of \{codec"):
            read_published(file)


def test_pictures_are_spread_over_the_folder() -> None:
    paths = [Path(str(i)) for i in range(24)]
    assert [int(p.name) for p in spread(paths, 6)] == [0, 5, 9, 14, 18, 23]
    assert spread(paths, 1) == paths[:1] and spread(paths, 99) == paths


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> typer.Typer:
    """The command with toys in the place of the codecs."""
    mine, jpeg = codecs()
    monkeypatch.setattr(baselines, "ours", lambda model: mine)
    monkeypatch.setattr(baselines, "BASELINES", {"jpeg": jpeg, "webp": jpeg})
    app = typer.Typer()
    app.command()(bench)
    return app


def run(app: typer.Typer, *arguments: object) -> Any:
    return CliRunner().invoke(app, [str(x) for x in arguments])


def test_a_finished_measurement_becomes_a_report_without_measuring_again(
    app: typer.Typer, tmp_path: Path, report: tuple[str, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_pictures(tmp_path / "p")[0].parent
    write_result(tmp_path / "r.json", report[1])
    monkeypatch.delattr("hqcodec.benchmarks.plan.sweep")
    arguments = ("--from", tmp_path / "r.json", "--report", tmp_path / "out.html")
    done = run(app, folder, *arguments, "--csv", tmp_path / "r.csv", "--report-pictures", 1)
    assert done.exit_code == 0, done.output
    data = data_of((tmp_path / "out.html").read_text(encoding="utf-8"))
    assert [shown["name"] for shown in data["pictures"]] == ["a.png"]
    assert "webp" not in data["sides"]  # not measured, so not shown
    assert (tmp_path / "r.csv").read_text().count("\n") == 1 + len(report[1]["records"])


def test_a_report_that_cannot_be_made_is_one_line(
    app: typer.Typer, tmp_path: Path, report: tuple[str, Result]
) -> None:
    folder = save_pictures(tmp_path / "p", ("other.png",))[0].parent
    write_result(tmp_path / "r.json", report[1])
    (tmp_path / "bad.json").write_text("{}")
    page_to = ("--report", tmp_path / "out.html")
    for arguments, says in [
        ((*page_to, "--from", tmp_path / "r.json"), "name the folder of a.png"),
        ((*page_to, "--from", tmp_path / "bad.json"), "schema None of a benchmark"),
        ((*page_to, "--published", tmp_path / "bad.jso"), "is not a JSON of"),
        (("--report", tmp_path / "no" / "out.html"), "no folder"),
    ]:
        done = run(app, folder, *arguments)
        assert done.exit_code == 1 and says in str(done.exception)
        assert "\n" not in str(done.exception)
        assert not (tmp_path / "out.html").exists()


def test_pictures_of_other_weights_than_were_measured_are_refused(tmp_path: Path) -> None:
    paths, (mine, jpeg) = save_pictures(tmp_path / "p"), codecs()
    result = sweep(paths, [mine, jpeg], JUDGE)
    trained = replace(mine, about={**mine.about, "weights": "beef"})
    out = tmp_path / "out.html"
    with pytest.raises(HqcodecError, match="the model here has beef; measure again"):
        write_page(out, result, paths, [trained, jpeg], JUDGE)
    assert not out.exists()
    write_page(out, result, paths, [trained, jpeg], JUDGE, 0)  # curves alone need no model
    assert data_of(out.read_text(encoding="utf-8"))["pictures"] == []


def test_a_codec_that_joins_is_shown_recompressed(tmp_path: Path) -> None:
    path = save_pictures(tmp_path / "p")[0]
    shown = Album(JUDGE).picture(path, [codecs()[0], codec("joined")])["sides"]["joined"]
    assert all(found["recompressed"] for found in shown)
