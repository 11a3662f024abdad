"""A sweep with a codec small enough to check by hand, and the command that runs it."""

import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import hqcodec
from hqcodec.benchmarks.baselines import BASELINES, baseline, ours
from hqcodec.benchmarks.metrics import Judge
from hqcodec.benchmarks.pictures import find_pictures
from hqcodec.benchmarks.results import Result, to_json
from hqcodec.benchmarks.sweep import sweep
from hqcodec.container import Container, read, write
from hqcodec.content import Pixels
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from toycodec import HEADER, codec, encode, picky

QUIET = Judge(("rmse", "psnr"))


STUB = codec("hqcodec")
JPEG = replace(BASELINES["jpeg"], settings=(10, 50, 90))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    """Two smooth pictures of different sizes."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, (height, width) in {"a.png": (40, 56), "b.png": (48, 32)}.items():
        y, x = np.mgrid[:height, :width]
        pixels = np.stack([x * 4, y * 4, x + y], -1).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / name)
    return find_pictures(folder)


@pytest.fixture
def result(pictures: list[Path]) -> Result:
    return sweep(pictures, [STUB, JPEG], QUIET, Console(quiet=True))


def test_every_picture_meets_every_setting_of_every_codec(result: Result) -> None:
    found = [(r["codec"], r["setting"], r["picture"]) for r in result["records"]]
    codecs = [("hqcodec", s) for s in (1, 2, 4)] + [("jpeg", s) for s in (10, 50, 90)]
    assert found == [(*codec, name) for codec in codecs for name in ("a.png", "b.png")]


def test_a_record_counts_the_whole_file_and_knows_the_payload(
    pictures: list[Path], result: Result
) -> None:
    with Image.open(pictures[0]) as picture:
        data = encode(picture, 1)
    record = result["records"][0]
    assert record["file_bytes"] == len(data)
    assert record["payload_bytes"] == len(data) - HEADER
    assert record["bpp"] == 8 * len(data) / (40 * 56)
    assert record["ratio"] == 3 * 40 * 56 / len(data)
    assert record["encode_seconds"] > 0
    assert result["records"][-1]["payload_bytes"] is None  # JPEG's is not known


def test_errors_are_those_of_the_decoded_file(pictures: list[Path], result: Result) -> None:
    x = np.asarray(Image.open(pictures[0]), dtype=np.float64)
    lost = x % 16  # of four bits
    record = next(r for r in result["records"] if r["setting"] == 4)
    assert record["rmse"] == pytest.approx(np.sqrt((lost**2).mean()))
    assert record["psnr"] == pytest.approx(20 * np.log10(255 / record["rmse"]))


def test_means_are_over_pictures_and_both_psnr_are_named(result: Result) -> None:
    row = result["means"][0]
    both = result["records"][:2]
    assert row["bpp"] == pytest.approx(sum(r["bpp"] for r in both) / 2)
    assert row["psnr"] == pytest.approx(sum(r["psnr"] for r in both) / 2)
    mse = sum(r["rmse"] ** 2 for r in both) / 2
    assert row["psnr_of_mean_mse"] == pytest.approx(10 * np.log10(255**2 / mse))
    raw = 3 * (40 * 56 + 48 * 32)
    assert row["ratio"] == pytest.approx(raw / sum(r["file_bytes"] for r in both))
    assert row["lpips"] is None


def test_a_metric_that_is_missing_has_a_reason_in_the_result(result: Result) -> None:
    missing = ("lpips", "lpips_squeeze", "ms_ssim", "ssim")
    assert result["notes"] == {name: ["not asked for"] for name in missing}


def test_a_broken_picture_costs_one_line_and_nothing_else(
    pictures: list[Path], result: Result
) -> None:
    broken = pictures[0].with_name("aa.png")
    broken.write_bytes(b"no picture")
    shown = Console(record=True, width=200, stderr=True)
    found = sweep(find_pictures(broken.parent), [STUB, JPEG], QUIET, shown)
    assert len(found["failures"]) == 1
    assert found["failures"][0].startswith("aa.png: cannot identify image file")
    assert str(broken.parent) not in to_json(found)
    assert shown.export_text().count("left out") == 1
    same = ("codec", "setting", "picture", "file_bytes", "rmse")
    assert [[r[k] for k in same] for r in found["records"]] == [
        [r[k] for k in same] for r in result["records"]
    ]


def test_a_picture_that_one_codec_fails_on_is_left_out_for_all(pictures: list[Path]) -> None:
    found = sweep(pictures, [JPEG, picky("hqcodec")], QUIET, Console(quiet=True))
    assert found["failures"] == ["b.png: hqcodec 2: two lines of trouble"]
    assert [picture["name"] for picture in found["pictures"]] == ["a.png"]
    assert {row["pictures"] for row in found["means"]} == {1}


def test_a_decoder_that_returns_another_size_is_a_failure(pictures: list[Path]) -> None:
    bad = replace(STUB, decode=lambda data: Image.new("RGB", (8, 8)))
    with pytest.raises(HqcodecError, match="decodes to RGB 8x8, not RGB 56x40"):
        sweep(pictures, [bad], QUIET, Console(quiet=True))


def test_pictures_are_found_by_suffix_and_in_order(pictures: list[Path]) -> None:
    folder = pictures[0].parent
    (folder / "notes.txt").write_text("no picture")
    assert [p.name for p in find_pictures(folder)] == ["a.png", "b.png"]
    assert find_pictures(folder, limit=1) == find_pictures(folder / "a.png") == pictures[:1]
    with pytest.raises(HqcodecError, match="no folder"):
        find_pictures(folder / "nowhere")
    (folder / "empty").mkdir()
    with pytest.raises(HqcodecError, match="no pictures in"):
        find_pictures(folder / "empty")


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_baseline_gives_better_pictures_for_more_bytes(name: str, pictures: list[Path]) -> None:
    try:
        known = baseline(name)
    except HqcodecError as error:
        pytest.skip(str(error))
    ladder = replace(known, settings=(known.settings[0], known.settings[-1]))
    low, high = sweep(pictures, [ladder], QUIET, Console(quiet=True))["means"]
    assert low["file_bytes"] < high["file_bytes"]
    assert low["rmse"] > high["rmse"]


def test_our_ladder_is_the_layers_and_the_payload_leaves_out_the_header(
    pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = SimpleNamespace(layers=("coarse", "fine"))
    digests = {"fidelity": "01234567" * 8, "perceptual": "89abcdef" * 8}

    def compress(picture: Image.Image, model: object, layers: int) -> bytes:
        payloads = (zlib.compress(picture.tobytes()), b"finer")[:layers]
        c = Container("tiny", b"\1\2\3\4", Pixels(*picture.size, "RGB"), {}, payloads)
        return write(c)

    def decompress(data: bytes, model: object) -> Image.Image:
        c = read(data)
        return Image.frombytes(
            "RGB", (c.content.width, c.content.height), zlib.decompress(c.payloads[0])
        )

    monkeypatch.setattr(hqcodec, "load", lambda name, decoder="fidelity": model, raising=False)
    monkeypatch.setattr(zoo, "decoders", lambda name: digests)
    monkeypatch.setattr(zoo, "read_metadata", lambda file: {"digest": file})
    monkeypatch.setattr(hqcodec, "compress", compress, raising=False)
    monkeypatch.setattr(hqcodec, "decompress", decompress, raising=False)
    found = sweep(pictures[:1], [ours("tiny")], QUIET, Console(quiet=True))
    about = {"setting": "layers", "model": "tiny", "weights": "01020304", "settings": [1, 2]}
    about["decoders"] = {"fidelity": "01234567", "perceptual": "89abcdef"}
    assert found["codecs"] == {"hqcodec": about, "hqcodec (perceptual)": about}
    coarse, fine, *again = found["records"]
    assert [r["codec"] for r in again] == ["hqcodec (perceptual)"] * 2
    assert [r["file_bytes"] for r in again] == [coarse["file_bytes"], fine["file_bytes"]]
    assert [r["encode_seconds"] for r in again] == [r["encode_seconds"] for r in (coarse, fine)]
    assert fine["payload_bytes"] == coarse["payload_bytes"] + len(b"finer")
    assert coarse["payload_bytes"] < coarse["file_bytes"] < coarse["payload_bytes"] + 60
    assert coarse["rmse"] == 0
    assert found["notes"]["psnr"] == ["infinite: the pictures are identical"]
