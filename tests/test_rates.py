"""Targets through the whole codec: files of a wanted size or quality."""

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import hqcodec
from hierarchies import make
from hqcodec import api, container
from hqcodec.benchmarks import demo
from hqcodec.cli.main import app
from hqcodec.cli.targets import parse_size
from hqcodec.errors import HqcodecError
from hqcodec.image import Picture
from hqcodec.ladder import Ladder
from hqcodec.picture import LOSSLESS, psnr, to_picture, to_tensor
from hqcodec.target import Target
from photos import pictures, small_photo


def photograph(side: int = 256) -> Image.Image:
    """The middle of a real one."""
    source = demo.sample()
    left, top = (source.width - side) // 2, (source.height - side) // 4
    return source.crop((left, top, left + side, top + side))


@pytest.fixture(scope="module")
def small() -> Image.Image:
    x = pictures(1, 96)[0].movedim(0, -1).mul(255).byte().numpy()
    return Image.fromarray(x)


@pytest.mark.parametrize("bpp", [0.12, 0.3, 0.7])
def test_a_photograph_is_never_over_its_rate_and_within_two_percent(bpp: float) -> None:
    source = photograph()
    blob = hqcodec.compress(source, target=Target(bpp=bpp))
    assert 0.98 * bpp <= 8 * len(blob) / 256**2 <= bpp
    assert hqcodec.decompress(blob).size == source.size


@pytest.mark.parametrize("mode", ["RGB", "L", "LA"])
def test_a_photograph_reaches_its_psnr_in_few_bytes(mode: str) -> None:
    source = photograph(128).convert(mode)
    blob = hqcodec.compress(source, target=Target(psnr=31))
    picture = to_picture(source)
    assert 31 <= psnr(picture, hqcodec.decompress(blob)) <= 31.1
    smaller = hqcodec.compress(source, target=Target(size=round(0.97 * len(blob))))
    assert psnr(picture, hqcodec.decompress(smaller)) < 31


def test_a_file_between_two_layer_counts_is_better_than_the_smaller(small: Image.Image) -> None:
    model, picture = small_photo(), to_picture(small)
    blobs = [api.compress(small, model, layers) for layers in (1, 2, 3)]
    for fewer, more in pairwise(blobs):
        most = (len(fewer) + len(more)) // 2
        between = api.compress(small, model, target=Target(size=most))
        assert len(fewer) < len(between) <= most
        qualities = [psnr(picture, api.decompress(b, model)) for b in (fewer, between, more)]
        assert qualities == sorted(qualities)


def test_a_rung_itself_is_found_again(small: Image.Image) -> None:
    for layers in (1, 2, 3):
        blob = api.compress(small, small_photo(), layers)
        assert api.compress(small, small_photo(), target=Target(size=len(blob))) == blob


def test_metadata_and_alpha_count(small: Image.Image) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (96, 96), np.uint8)
    source = Picture(np.asarray(small), noise, "RGBA", icc=noise.tobytes()[:2000])
    full = api.compress(source, small_photo())
    assert len(full) > 96 * 96 + 2000
    most = len(full) - 100
    blob = api.compress(source, small_photo(), target=Target(size=most))
    assert 0.98 * most <= len(blob) <= most
    assert api.decompress(blob, small_photo()).getchannel("A").tobytes() == noise.tobytes()
    with pytest.raises(HqcodecError, match=r"target 5000 bytes: this picture takes 1\d{4} to"):
        api.compress(source, small_photo(), target=Target(size=5000))


def test_more_bytes_than_a_model_can_use_give_its_best_file(small: Image.Image) -> None:
    best = api.compress(small, small_photo(), target=Target(size=10**6))
    assert len(best) > len(api.compress(small, small_photo(), 3))
    assert api.compress(small, small_photo(), target=Target(bpp=1000)) == best


def test_a_psnr_out_of_reach_is_one_line_with_the_range(small: Image.Image) -> None:
    with pytest.raises(HqcodecError, match=r"target 70 dB: this picture reaches \d.* dB with mod"):
        api.compress(small, small_photo(), target=Target(psnr=70))


def test_the_tiniest_picture_has_a_range_too() -> None:
    dot = Image.new("RGB", (1, 1), "teal")
    best = api.compress(dot, small_photo(), target=Target(size=1000))
    assert api.decompress(best, small_photo()).size == (1, 1)
    for most in range(len(best) - 8, len(best) + 1):
        try:
            assert len(api.compress(dot, small_photo(), target=Target(size=most))) <= most
        except HqcodecError as error:
            assert "this picture takes" in str(error)


def test_a_model_without_thrift_takes_the_nearest_layers(small: Image.Image) -> None:
    model = make().eval()
    x = torch.rand(8, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    model.initialize(x)
    model.calibrate(x)
    sizes = [len(api.compress(small, model, layers)) for layers in (1, 2, 3)]
    for layers, size in enumerate(sizes, 1):
        blob = api.compress(small, model, target=Target(size=size + 1))
        assert (len(blob), len(container.read(blob).payloads)) == (size, layers)
    with pytest.raises(HqcodecError, match=f"takes {sizes[0]} to {sizes[2]} bytes"):
        api.compress(small, model, target=Target(size=sizes[0] - 1))


@pytest.mark.parametrize("gray", [0, 77, 128, 255])
@pytest.mark.parametrize("side", [1, 32])
def test_a_flat_picture_reaches_its_psnr_or_the_error_says_the_range(gray: int, side: int) -> None:
    flat = Image.new("RGB", (side, side), (gray, gray, gray))
    picture = to_picture(flat)
    for least in (30, 45, 60):
        try:
            blob = hqcodec.compress(flat, target=Target(psnr=least))
            assert psnr(picture, hqcodec.decompress(blob)) >= least
        except HqcodecError as error:
            assert float(str(error).split(" to ")[1].split()[0]) < least


def test_the_networks_run_once(small: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    model, runs = small_photo(), list[tuple[int, int]]()
    analyze = model.analyze

    def counted(x: torch.Tensor, effort: int, layers: int) -> torch.Tensor:
        runs.append((effort, layers))
        return analyze(x, effort, layers)

    monkeypatch.setattr(model, "analyze", counted)
    api.compress(small, model, target=Target(psnr=20))
    assert runs == [(1, model.default_layers)]
    runs.clear()
    blob = api.compress(small, model, target=Target(psnr=20), effort=2)
    # what to refine for is known when the plain search is done
    assert [effort for effort, _ in runs] == [1, 2]
    assert 1 <= runs[1][1] <= len(model.layers) and container.read(blob).payloads


def test_a_ladder_codes_what_encode_codes(small: Image.Image) -> None:
    x = to_tensor(to_picture(small))
    found = Ladder(small_photo(), x, 1, 3).codes((1.0,) * 3)
    assert all(torch.equal(a, b) for a, b in zip(found, small_photo().encode(x), strict=True))


def test_layers_and_a_target_exclude_each_other(small: Image.Image) -> None:
    with pytest.raises(HqcodecError, match="both layers and a target"):
        api.compress(small, small_photo(), 2, target=Target(bpp=1))


@pytest.mark.parametrize(
    ("text", "size"),
    [("40000", 40_000), ("40k", 40_000), ("40kB", 40_000), ("1.5M", 1_500_000),
     (" 2 MB ", 2_000_000), ("40K", 40_000), ("512B", 512), ("1.001k", 1001)],
)  # fmt: skip
def test_sizes_are_bytes_with_decimal_units(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-4k", "4 GB", "1e3", "40kiB", "1.k", "٤"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(HqcodecError, match="say 40000, 40k or"):
        parse_size(text)


def test_the_command_line_reaches_a_psnr_and_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    photograph(64).save("a.png")
    run: Callable[..., Any] = CliRunner().invoke
    done = run(app, ["compress", "a.png", "--target-psnr", "30", "--json"])
    facts = json.loads(done.stdout)
    assert 30 <= facts["psnr"] <= 30.2
    assert facts["bytes"] == Path("a.hqc").stat().st_size
    line = run(app, ["compress", "a.png", "--target-psnr", "30", "-f"]).stdout
    assert line.endswith(f" : 1, {facts['psnr']:.2f} dB\n")
    done = run(app, ["compress", "a.png", "--target-size", "0.9k", "--json", "-f"])
    facts = json.loads(done.stdout)
    assert facts["bytes"] <= 900 and "psnr" not in facts


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ("--target-size 10", "a.png: target 10 bytes: this picture takes 20 to 30 bytes"),
        ("--target-size 4x", "--target-size '4x': not bytes; say 40000, 40k or 1.5M"),
        ("--target-bpp 0", "target bpp 0.0; it must be above 0 and finite"),
        ("--target-bpp 1 --target-psnr 3", "a target is one of bpp, size, psnr and kbps; given"),
        ("--target-bpp 1 --layers 2", "--layers with a target, which chooses the layers"),
    ],
)  # fmt: skip
def test_targets_that_cannot_be_are_one_line_and_write_nothing(
    shell: Any, options: str, line: str
) -> None:
    shell.paint()
    done = shell("compress", "a.png", *options.split())
    assert done.exit_code == 1
    assert done.stderr.startswith(f"hqcodec: {line}") and done.stderr.count("\n") == 1
    assert shell.files() == {"a.png"}


def test_a_picture_out_of_range_does_not_stop_the_others(shell: Any) -> None:
    shell.paint("a.png")
    Path("b.png").write_text("no picture")
    shell.paint("c.png")
    done = shell("compress", "a.png", "b.png", "c.png", "--target-size", "100")
    assert done.exit_code == 1 and done.stderr.startswith("hqcodec: b.png: not a picture")
    assert {"a.hqc", "c.hqc"} < shell.files()


def test_equal_pictures_have_a_finite_psnr() -> None:
    flat = Image.new("LA", (3, 2), (9, 200))
    assert psnr(to_picture(flat), flat) == LOSSLESS
    assert psnr(to_picture(flat), Image.new("L", (3, 2), 10)) == pytest.approx(48.13, abs=0.01)
