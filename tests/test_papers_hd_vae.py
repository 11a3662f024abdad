"""HD-VAE against the Gaussian ladder: what is trained and measured, and what the document says."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks.papers import binary_pictures, document, hd_vae, hd_vae_report
from hqcodec.benchmarks.results import Result, read_result
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo


def app() -> hd_vae.typer.Typer:
    made = hd_vae.typer.Typer()
    made.command()(hd_vae.hd_vae)
    return made


def pack(file: Path, side: int, count: int) -> None:
    bits = np.random.default_rng(count).random((count, side**2)) < 0.3
    np.save(file, np.packbits(bits, axis=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("binary")
    for name, side, count in (("train", 28, 20), ("test", 28, 9), ("drawn", 105, 20)):
        inside = made / ("omniglot" if side == 105 else "mnist")
        inside.mkdir(exist_ok=True)
        pack(inside / f"{name}_packed.npy", side, count)
    return made


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    """What the script writes at its smallest size."""
    args = ["--mnist", folder / "mnist", "--omniglot", folder / "omniglot", "--runs", folder]
    args += ["--size", "smoke", "--out", folder / "hd_vae.json"]
    done = CliRunner().invoke(app(), [str(arg) for arg in args])
    assert done.exit_code == 0, done.output
    return read_result(folder / "hd_vae.json")


@pytest.mark.parametrize("name", hd_vae.SIZES)
def test_only_the_latents_differ_between_the_compared_models(name: str) -> None:
    found = [v for _, v in hd_vae.variants(hd_vae.SIZES[name]) if v.group == "depth" and not v.seed]
    assert len(found) == 12
    for first, second in zip(found[::2], found[1::2], strict=True):
        assert first.setting == second.setting and first.train == second.train
        assert first.method == "HD-VAE" and second.method == "Gaussian"
        differ = {key for key in first.model if first.model[key] != second.model[key]}
        assert differ == {"latent"}
    if name == "smoke":
        for v in found:
            zoo.build(v.family, v.model)


def test_every_bound_is_in_the_json_and_in_the_tables(result: Result) -> None:
    assert [r["group"] for r in result["records"]] == ["depth"] * 12 + ["bias"] * 8
    for r in result["records"]:
        assert r["weighted"] >= r["elbo"] and len(r["kl"]) == len(r["model"]["units"])
        assert ("bias" in r) == (r["method"] == "HD-VAE")
        assert ("bias_error" in r) == (r["method"] == "HD-VAE")
        assert ("adjusted" in r) == (r["method"] == "HD-VAE" and len(r["kl"]) == 1)
        if "adjusted" in r:
            assert r["relaxed"] - r["adjusted"] == pytest.approx(r["lipschitz_gap"], abs=1e-3)
            assert r["lipschitz_gap"] >= 0
    text = hd_vae_report.table(result)
    assert sum(line.startswith(("| MNIST | ", "| Omniglot | ")) for line in text.split("\n")) == 8
    assert "| 2, 96 |" in text and "| 6, 12 |" in text and "2 steps of 4 pictures" in text
    assert f"{result['records'][5]['weighted']:.2f}" in text


def test_what_is_finished_is_not_trained_again_and_other_groups_stay(
    result: Result, folder: Path
) -> None:
    args = ["--mnist", folder / "mnist", "--omniglot", folder / "omniglot", "--runs", folder]
    args += ["--size", "smoke", "--out", folder / "again.json"]
    for group, expected in (("bias", result["records"][12:]), ("depth", result["records"])):
        done = CliRunner().invoke(app(), [str(arg) for arg in [*args, "--only", group]])
        assert done.exit_code == 0, done.output
        found = read_result(folder / "again.json")["records"]
        assert sorted(found, key=str) == sorted(expected, key=str)


def test_the_bias_has_seeds_of_its_own_number() -> None:
    found = [v for _, v in hd_vae.variants(hd_vae.SIZES["small"]) if v.group == "bias"]
    assert len(set((v.name, v.seed) for v in found)) == len(found) == 8 * 2
    assert all(v.model["memory_start"] == "normal" for v in found)


def test_the_figure_is_drawn_of_what_there_is(result: Result, tmp_path: Path) -> None:
    for records in (result["records"], result["records"][:1]):
        hd_vae_report.plot(result | {"records": records}, tmp_path / "hd_vae.png")
        with Image.open(tmp_path / "hd_vae.png") as figure:
            assert min(figure.size) > 300
        assert "HD-VAE" in hd_vae_report.table(result | {"records": records})


def test_packed_bits_are_unpacked_in_their_order(tmp_path: Path) -> None:
    bits = np.random.default_rng(0).integers(0, 2, (3, 28, 28), dtype=np.uint8)
    np.save(tmp_path / "x.npy", np.packbits(bits.reshape(3, -1), axis=1))
    assert np.array_equal(binary_pictures.unpack(tmp_path / "x.npy", 28), bits)
    with pytest.raises(HqcodecError, match="want uint8"):
        binary_pictures.unpack(tmp_path / "x.npy", 105)
    with pytest.raises(HqcodecError, match="No such file"):
        binary_pictures.unpack(tmp_path / "y.npy", 28)


def test_a_drawing_shrinks_to_where_its_ink_is() -> None:
    drawing = np.zeros((1, 105, 105), np.uint8)
    drawing[0, :15, 30:45] = 1  # rows 0 to 4 and columns 8 to 12 of 28
    expected = np.zeros((28, 28), np.uint8)
    expected[:4, 8:12] = 1
    assert np.array_equal(binary_pictures.shrink(drawing)[0], expected)


def test_test_pictures_are_evenly_spaced_over_the_file() -> None:
    bits = np.zeros((11, 28, 28), np.uint8)
    bits[10] = 1
    assert binary_pictures.spaced(bits, 3).mean((1, 2, 3)).tolist() == [0, 0, 1]
    assert len(binary_pictures.spaced(bits, 50)) == 11


@pytest.mark.parametrize(("option", "value"), [("--size", "huge"), ("--only", "all")])
def test_an_unknown_size_or_group_says_what_there_is(option: str, value: str) -> None:
    args = ["--mnist", "x", "--omniglot", "y", "--runs", "z", option, value]
    error = CliRunner().invoke(app(), args).exception
    assert isinstance(error, HqcodecError) and "there are" in str(error)


def test_the_document_has_a_block_for_it() -> None:
    assert document.REPORTS["hd_vae"].table is hd_vae_report.table
