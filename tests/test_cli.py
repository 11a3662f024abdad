"""The command line as a user meets it, when all is well."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import hqcodec
from hqcodec import container, image
from hqcodec.content import Pixels
from hqcodec.models import zoo


def test_a_picture_goes_to_its_sibling_and_back(shell: Any) -> None:
    shell.paint()
    there = shell("compress", "a.png")
    assert there.exit_code == 0
    size = Path("a.hqc").stat().st_size
    rate = f"{size} bytes, {8 * size / 200:.3f} bpp, {600 / size:.1f} : 1"
    assert there.stdout == f"a.png -> a.hqc: 20x10 RGB, 3 layers, {rate}\n"
    back = shell("decompress", "a.hqc", "-o", "b.png")
    assert back.stdout == f"a.hqc -> b.png: 20x10 RGB, 3 layers, {rate}\n"
    assert Path("b.png").exists() and there.stderr == back.stderr == ""
    assert np.array_equal(image.load("b.png").rgb, image.load("a.png").rgb)
    assert shell.files() == {"a.png", "a.hqc", "b.png"}


def test_quiet_says_nothing_and_json_says_all(shell: Any) -> None:
    shell.paint()
    assert shell("compress", "a.png", "--quiet").output == ""
    facts = json.loads(shell("compress", "a.png", "--force", "--json", "-l", "2").stdout)
    assert (facts["source"], facts["target"], facts["layers"]) == ("a.png", "a.hqc", 2)
    assert facts["bytes"] == Path("a.hqc").stat().st_size
    assert facts["source_bytes"] == Path("a.png").stat().st_size
    facts = json.loads(shell("decompress", "a.hqc", "--force", "--json").stdout)
    assert facts["target_bytes"] == Path("a.png").stat().st_size


def test_folders_are_searched_to_the_bottom_and_keep_their_shape(shell: Any) -> None:
    for name in ("in/a.png", "in/deep/b.JPG", "in/deep/.hidden.png", "one.png"):
        shell.paint(name)
    Path("in/notes.txt").write_text("no picture")
    assert shell("compress", "in", "one.png", "-o", "out").exit_code == 0
    made = {"out/a.hqc", "out/deep/b.hqc", "out/one.hqc"}
    assert {name for name in shell.files() if name.endswith("hqc")} == made
    assert shell("decompress", "out", "-o", "back", "--format", "webp").exit_code == 0
    assert {"back/a.webp", "back/deep/b.webp", "back/one.webp"} < shell.files()


def test_a_folder_as_output_of_one_file(shell: Any) -> None:
    Path("out").mkdir()
    assert shell("compress", shell.paint(), "-o", "out").exit_code == 0
    assert shell("compress", "a.png", "-o", "new/").exit_code == 0
    assert {"out/a.hqc", "new/a.hqc"} < shell.files()


def test_pipes_carry_only_data_and_the_report_goes_to_stderr(shell: Any) -> None:
    there = shell("compress", "-", input=shell.paint().read_bytes())
    assert there.exit_code == 0 and there.stderr.startswith("<stdin> -> <stdout>: 20x10 RGB")
    assert container.read(there.stdout_bytes).content.width == 20
    back = shell("decompress", "-", "--format", "bmp", input=there.stdout_bytes)
    assert back.stdout_bytes.startswith(b"BM")
    assert shell("compress", "a.png", "-o", "-").stdout_bytes == there.stdout_bytes
    assert shell("truncate", "-", "-l", 1, "-o", "-", input=there.stdout_bytes).exit_code == 0
    assert shell("info", "-", input=there.stdout_bytes).stdout.startswith("<stdin>: 20x10")
    assert shell.files() == {"a.png"}


def test_the_suffix_of_the_output_chooses_the_format(shell: Any) -> None:
    shell.packed()
    for suffix in image.FORMATS:
        assert shell("decompress", "a.hqc", "-o", f"b{suffix}").exit_code == 0
        with Image.open(f"b{suffix}") as written:
            assert written.format == image.FORMATS[suffix]
    assert shell("decompress", "a.hqc", "-o", "c.png", "--format", "jpg").exit_code == 0
    assert Path("c.png").read_bytes().startswith(b"\xff\xd8")  # a JPEG


def test_links_and_devices_are_not_replaced(shell: Any) -> None:
    shell.paint()
    Path("real.hqc").write_text("old")
    Path("link.hqc").symlink_to("real.hqc")
    assert shell("compress", "a.png", "-o", "link.hqc", "--force").exit_code == 0
    assert Path("link.hqc").is_symlink()
    assert container.read(Path("real.hqc").read_bytes()).content.width == 20
    assert shell("compress", "a.png", "-o", os.devnull).exit_code == 0
    assert Path(os.devnull).is_char_device()


def test_new_files_have_the_usual_permissions(shell: Any) -> None:
    shell("compress", shell.paint())
    assert Path("a.hqc").stat().st_mode == Path("a.png").stat().st_mode


def test_truncation_drops_layers_without_decoding(shell: Any) -> None:
    shell.packed()
    assert shell("truncate", "a.hqc", "--layers", 2, "-o", "b.hqc").exit_code == 0
    short = container.read(Path("b.hqc").read_bytes())
    assert (len(short.payloads), short.declared) == (2, 2)


def test_info_tells_what_the_header_says_layer_by_layer(shell: Any) -> None:
    shell.packed()
    size = Path("a.hqc").stat().st_size
    facts = json.loads(shell("info", "a.hqc", "--json").stdout)
    assert (facts["width"], facts["height"], facts["mode"]) == (20, 10, "RGB")
    assert (facts["bytes"], facts["weights"], facts["chunks"]) == (size, "installed", {})
    assert facts["bpp"] == pytest.approx(8 * size / 200)
    assert facts["ratio"] == pytest.approx(600 / size, abs=1e-3)
    assert [layer["payload_bytes"] for layer in facts["each_layer"]][1:] == [6, 5]
    assert facts["each_layer"][-1]["bytes"] == size
    for keep, layer in enumerate(facts["each_layer"], 1):
        shell("truncate", "a.hqc", "-l", keep, "-o", "b.hqc", "--force")
        assert layer["bytes"] == Path("b.hqc").stat().st_size
    page = shell("info", "a.hqc").stdout
    assert "model photo (01234567), installed" in page and f"{size}" in page


def test_info_tells_whether_the_weights_are_here(shell: Any) -> None:
    c = container.read(shell.packed().read_bytes())
    for model, digest, found in [
        ("photo", c.weights_hash, "installed"),
        ("photo", b"abcd", "differ"),
        ("other", c.weights_hash, "missing"),
    ]:
        made = container.Container(model, digest, Pixels(20, 10, "RGB"), {}, c.payloads)
        Path("b.hqc").write_bytes(container.write(made))
        assert json.loads(shell("info", "b.hqc", "--json").stdout)["weights"] == found
        assert "model " in shell("info", "b.hqc").stdout


def test_models_are_listed_from_their_metadata(shell: Any) -> None:
    weights = zoo.path("photo")
    facts = json.loads(shell("models", "--json").stdout)
    size = weights.stat().st_size
    assert facts == {
        **zoo.read_metadata(weights),
        "bytes": size,
        "codes": "picture",
        "decoders": ["fidelity"],
    }
    assert "photo: a test\n  codes pictures, family photo, 3 layers" in shell("models").stdout


def test_version(shell: Any) -> None:
    assert shell("--version").output == f"hqcodec {hqcodec.__version__}\n"
