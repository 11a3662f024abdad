"""Black and white pages: how they are drawn, and HD-VAE's files of them beside lossless ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from families import make
from hqcodec.benchmarks.papers import binary_pictures, hd_vae_scans, scan_pages
from hqcodec.benchmarks.papers.scan_pages import PAGE
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.errors import HqcodecError
from hqcodec.models import data, zoo

RNG = np.random.default_rng(7)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photographs, packed drawings of which each has as much ink as its number, packed digits."""
    made = tmp_path_factory.mktemp("sources")
    (made / "photographs").mkdir()
    for name in "ab":
        rough = Image.fromarray(RNG.integers(256, size=(9, 12, 3), dtype=np.uint8))
        rough.resize((96, 72), Image.Resampling.BICUBIC).save(made / "photographs" / f"{name}.png")
    drawings = np.arange(105 * 105) < np.arange(40)[:, None]
    np.save(made / "some_packed.npy", np.packbits(drawings, axis=1))
    (made / "digits").mkdir()
    for part in ("train", "test"):
        bits = RNG.integers(2, size=(30, 784), dtype=np.uint8)
        np.save(made / "digits" / f"{part}_packed.npy", np.packbits(bits, axis=1))
    return made


@pytest.fixture(scope="module")
def result(sources: Path) -> Result:
    torch.manual_seed(0)
    zoo.save(make("HD-VAE, learned prior"), sources / "tiny.safetensors", "tiny", "")
    app = typer.Typer()
    app.command()(hd_vae_scans.hd_vae_scans)
    args = [sources / "photographs", "--drawings", sources, "--pages", 2]
    args += ["--model", sources / "tiny.safetensors", "--out", sources / "out.json"]
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return read_result(sources / "out.json")


def test_pages_to_train_on_are_read_by_the_trainer(sources: Path) -> None:
    app = typer.Typer()
    app.command()(scan_pages.write_pages)
    out = sources / "pages"
    args = [out, "--digits", sources / "digits", "--drawings", sources]
    args += ["--photos", sources / "photographs", "--count", 16]
    done = CliRunner().invoke(app, [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    found = data.load(out, held_out=0).train
    assert len(found) == 16 and {page.shape for page in found} == {(PAGE, PAGE, 3)}
    assert all(set(np.unique(page)) == {0, 255} for page in found)
    with pytest.raises(HqcodecError, match="name a new folder"):
        scan_pages.write_pages(out, sources / "digits", sources, sources / "photographs")


def test_pages_are_the_same_again_and_differ_by_seed_and_number() -> None:
    draws = [scan_pages.printed(scan_pages.fonts(scan_pages.FONTS)), scan_pages.ruled]
    first = scan_pages.pages(draws, 4, 0)
    for a, b in zip(first, scan_pages.pages(draws, 4, 0), strict=True):
        assert np.array_equal(a, b)
    others = [*scan_pages.pages(draws, 4, 1), *first]
    assert len({page.tobytes() for page in others}) == 8


def test_some_pages_are_white_on_black_and_most_are_not() -> None:
    blank = np.ones((4, 4), np.uint8)
    found = scan_pages.pages([lambda rng: blank], 400, 3)
    assert 0.2 < np.mean([page[0, 0] == 0 for page in found]) < 0.4


def test_fonts_and_letters_that_are_measured_are_not_trained_on(sources: Path) -> None:
    trained, kept = scan_pages.fonts(scan_pages.FONTS), scan_pages.fonts(scan_pages.KEPT)
    assert len(trained) > 10 and len(kept) >= 4 and not set(trained) & set(kept)
    ink = {
        kept: binary_pictures.drawings(sources, kept).sum((1, 2)).tolist() for kept in (True, False)
    }
    assert ink[True] == [9, 19, 29, 39]
    assert sorted(ink[True] + ink[False]) == list(range(40))


def test_print_is_dark_on_white_and_in_lines() -> None:
    draw = scan_pages.printed(scan_pages.fonts(scan_pages.KEPT), (40, 40))
    page = draw(np.random.default_rng(2))
    assert 0.03 < (page == 0).mean() < 0.4
    assert (page == 0).mean(1).max() > 3 * (page == 0).mean(1).min()


def test_words_have_letters_as_frequent_as_in_english() -> None:
    found = scan_pages.words(np.random.default_rng(0), 3000).lower()
    assert found.count("e") > 2 * found.count("s") > 4 * found.count("z") > 0


def test_fonts_that_are_missing_are_one_clear_line() -> None:
    with pytest.raises(HqcodecError, match="no fonts None"):
        scan_pages.fonts(["None"])


def test_lossless_codecs_come_back_as_they_were_and_ours_by_layers(result: Result) -> None:
    codecs = list(dict.fromkeys(record["codec"] for record in result["records"]))
    ours = [hd_vae_scans.ours(layers) for layers in (1, 2, 3)]
    assert codecs == [*ours, *hd_vae_scans.LOSSLESS]
    for record in result["records"]:
        assert record["bits"] > 8 * 20 and 0 <= record["wrong"] < 1
        assert record["wrong"] == 0 or record["codec"] not in hd_vae_scans.LOSSLESS
    for kind in {record["kind"] for record in result["records"]}:
        sizes = [r["bits"] for r in result["records"] if r["kind"] == kind]
        assert sizes[0] < sizes[1] < sizes[2]
        lossless = {r["codec"]: r["bits"] for r in result["records"] if r["kind"] == kind}
        assert lossless["PNG"] > 0.3 * lossless["TIFF Group 4"]


def test_the_table_and_the_figure_show_every_kind(result: Result, sources: Path) -> None:
    text = hd_vae_scans.table(result)
    for kind in hd_vae_scans.kinds(sources / "photographs", sources):
        assert f"| {kind} |" in text
    assert "means over 2 pages of 504x504 pixels each" in text
    hd_vae_scans.plot(result, sources / "out.png")
    with Image.open(sources / "out.png") as drawn:
        assert drawn.width > 4 * hd_vae_scans.CUT and drawn.height > 5 * hd_vae_scans.CUT
