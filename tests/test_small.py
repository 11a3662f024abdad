"""The benchmark of small pictures, on a small model and pictures that are made up."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

import hqcodec
from hqcodec import container
from hqcodec.benchmarks import small
from hqcodec.benchmarks.baselines import Codec
from hqcodec.benchmarks.jpeg import payload_size
from hqcodec.benchmarks.results import SCHEMA, read_result, write_result
from hqcodec.errors import HqcodecError
from hqcodec.models.lpips import Lpips
from photos import pictures, small_photo


@pytest.fixture
def codec() -> Codec:
    model = small_photo()

    def payload(data: bytes) -> int:
        return sum(map(len, container.read(data).payloads))

    return Codec(
        "hqcodec", ".hqc", (1, 3), lambda p, n: hqcodec.compress(p, model, n),
        lambda data: hqcodec.decompress(data, model), payload, {"model": "m", "weights": "00ff"},
        {"hqcodec (other)": lambda data: hqcodec.decompress(data, model)},
    )  # fmt: skip


def paint(side: int, seed: int = 1) -> small.Pixels:
    found: small.Pixels = pictures(1, side, seed)[0].movedim(0, -1).mul(255).byte().numpy()
    return found


def run(*args: object) -> str:
    app = typer.Typer()
    app.command()(small.small)
    found = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.stdout


def test_photographs_give_their_middle_square_and_sheets_their_tiles(tmp_path: Path) -> None:
    wide = np.zeros((8, 20, 3), np.uint8)
    wide[:, 6:14] = np.repeat(np.arange(4, dtype=np.uint8) * 60, 2)[None, :, None]
    Image.fromarray(wide).save(tmp_path / "a.png")
    (found,) = small.squares(tmp_path, 4, None)
    assert found[0, :, 0].tolist() == [0, 60, 120, 180]
    tiles = small.squares(tmp_path / "a.png", 4, 7)
    assert [tile.shape for tile in tiles] == [(4, 4, 3)] * 7
    assert (tiles[1] == wide[:4, 4:8]).all()
    with pytest.raises(HqcodecError, match=r"a\.png: 20x8 pixels; it takes at least 9"):
        small.squares(tmp_path, 9, None)


def test_jpeg_beside_a_file_takes_no_more_unless_it_is_said_to_be_over(codec: Codec) -> None:
    found = list(small.views(paint(64), codec, Lpips()))
    names = ["hqcodec", "hqcodec (other)", small.PAYLOAD, small.FILE]
    assert [(v.layers, v.codec) for v in found] == [(n, name) for n in (1, 3) for name in names]
    for at in (0, 4):
        ours, other, payload, file = found[at : at + 4]
        assert ours.rmse == other.rmse
        assert payload.over == (payload.payload_bytes > ours.payload_bytes)
        assert file.over == (file.file_bytes > ours.file_bytes)
        assert ours.payload_bytes < ours.file_bytes
        assert all(v.lpips is not None and v.lpips > 0 for v in found[at : at + 4])
    assert not found[6].over  # of all layers there are bits enough
    assert found[0].rmse > found[4].rmse


def test_means_count_what_is_over_and_lack_what_one_picture_lacks() -> None:
    blank = Image.new("RGB", (1, 1))
    found = [
        small.View("JPEG", 1, 10, 20, 3.0, 0.5, False, blank),
        small.View("JPEG", 1, 20, 60, 5.0, None, True, blank),
        small.View("JPEG", 2, 20, 60, 5.0, 0.25, False, blank),
    ]
    first, second = small.means(found, "set")
    assert (first["payload_bytes"], first["file_bytes"], first["rmse"]) == (15, 40, 4)
    assert (first["over"], first["lpips"]) == (1, None)
    assert (second["layers"], second["over"], second["lpips"]) == (2, 0, 0.25)


def test_the_command_adds_a_set_draws_it_and_keeps_the_others(
    codec: Codec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small, "ours", lambda _: codec)
    monkeypatch.setenv("HQCODEC_LPIPS", str(tmp_path / "nowhere"))
    folder, out, png = tmp_path / "photos", tmp_path / "small.json", tmp_path / "small.png"
    folder.mkdir()
    for seed in (1, 2):
        Image.fromarray(paint(80, seed)).save(folder / f"{seed}.png")
    earlier: dict[str, Any] = {"name": "a, 9x9"}
    row = {"set": "a, 9x9"}
    write_result(out, {"schema": SCHEMA, "sets": [earlier], "means": [row]})
    monkeypatch.setattr(small, "table", lambda result: small.one_set(result, result["sets"][1]))
    for _ in range(2):
        shown = run(folder, "--side", 32, "--out", out, "--montage", png, "--shown", 1)
    result = read_result(out)
    assert [entry["name"] for entry in result["sets"]] == ["a, 9x9", "photos, 32x32"]
    assert result["sets"][1]["pictures"] == 2 and result["sets"][1]["lpips"] is None
    assert len(result["means"]) == 1 + 2 * 4
    ours = result["means"][1]
    start = f"| 1 | {8 * ours['payload_bytes']:,.0f} | {3072 / ours['payload_bytes']:.1f} |"
    assert start in shown and f" {ours['rmse']:.2f} |" in shown
    assert "photos, 32x32, 2 pictures, RMSE:" in shown
    with Image.open(png) as drawn:  # original and two numbers of layers; two decoders and JPEG
        assert drawn.size == (3 * (128 + 6) - 6, 3 * (128 + 16 + 6) - 6)


def test_the_table_says_how_many_jpegs_are_over() -> None:
    row = {"rmse": 3.456, "lpips": 0.0654, "over": 0}
    assert small.errors(row) == "3.46 / 0.065"
    assert small.errors(row | {"lpips": None, "over": 5}) == "3.46 (5 over)"


def test_the_smallest_jpeg_holds_less_payload_than_header() -> None:
    x = paint(32)
    jpeg = small.ladder(Image.fromarray(x))[0]
    assert payload_size(jpeg.data) == jpeg.payload < jpeg.size / 2
