"""What goes wrong on the command line is one line, and leaves no half-written file."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import Result

from hqcodec.errors import HqcodecError
from hqcodec.models import zoo


def assert_one_line(result: Result, *parts: str, code: int = 1) -> None:
    assert result.exit_code == code, result.output
    assert result.stderr.startswith("hqcodec: ") and result.stderr.count("\n") == 1, result.stderr
    for part in parts:
        assert part in result.stderr


def test_one_bad_file_costs_one_line_and_the_others_go_on(shell: Any) -> None:
    shell.paint("a.png")
    shell.paint("c.png")
    Path("b.png").write_text("no picture")
    result = shell("compress", "a.png", "b.png", "none.png", "c.png")
    assert result.exit_code == 1
    assert result.stdout.count("\n") == 2
    assert result.stderr.splitlines() == [
        "hqcodec: none.png: no such file",
        "hqcodec: b.png: not a picture, or damaged; readable are PNG, JPEG, WEBP, AVIF, TIFF, BMP, "
        "GIF, PPM, JPEG2000",
    ]
    assert shell.files() == {"a.png", "b.png", "c.png", "a.hqc", "c.hqc"}


def test_nothing_is_overwritten_without_force(shell: Any) -> None:
    shell.paint()
    Path("a.hqc").write_text("precious")
    assert_one_line(shell("compress", "a.png"), "a.hqc: exists; --force overwrites it")
    assert Path("a.hqc").read_text() == "precious"
    assert shell("compress", "a.png", "--force").exit_code == 0
    assert_one_line(shell("decompress", "a.hqc"), "a.png: exists")
    assert_one_line(shell("truncate", "a.hqc", "-l", 1, "-o", "a.hqc"), "a.hqc: exists")
    assert shell("truncate", "a.hqc", "-l", 1, "-o", "a.hqc", "--force").exit_code == 0


def test_two_sources_never_share_a_target(shell: Any) -> None:
    shell.paint("a.png")
    shell.paint("a.jpg")
    result = shell("compress", "a.png", "a.jpg", "--force")
    assert_one_line(result, "a.jpg: a.png becomes a.hqc already")
    assert Path("a.hqc").exists()


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["compress", "none.png"], ["none.png: no such file"]),
        (["compress", ""], ["not a file name"]),
        (["compress", "empty"], ["empty: holds no .png, .jpg"]),
        (["compress", "a.png", "--layers", "0"], ["--layers 0: model photo has 1 to 3"]),
        (["compress", "a.png", "--layers", "-1"], ["--layers -1: model photo has 1 to 3"]),
        (["compress", "a.png", "--effort", "0"], ["effort 0; there are 1 to 3"]),
        (["compress", "a.png", "--effort", "4"], ["effort 4; there are 1 to 3"]),
        (["compress", "a.png", "--layers", "4"], ["--layers 4: model photo has 1 to 3"]),
        (["compress", "a.png", "--model", "none"], ["model 'none'"]),
        (["compress", "a.png", "-o", "no/b.hqc"], ["no/b.hqc: there is no folder no"]),
        (["compress", "a.png", "a.png", "-o", "a.png"], ["a.png: not a folder; 2 sources need"]),
        (["compress", "a.png", "-", "-o", "-"], ["2 sources; standard output has room for one"]),
        (["decompress", "a.png"], ["a.png: not a .hqc file: starts with b'\\x89PN'"]),
        (["decompress", "a.hqc", "--layers", "0"], ["a.hqc: --layers 0: the file has 1 to 3"]),
        (["decompress", "a.hqc", "--layers", "4"], ["a.hqc: --layers 4: the file has 1 to 3"]),
        (["info", "a.png"], ["a.png: not a .hqc file"]),
        (["info", "none.hqc"], ["none.hqc: No such file or directory"]),
        (["info", "empty"], ["empty: holds no .hqc"]),
        (["truncate", "a.hqc", "-l", "0", "-o", "b.hqc"], ["--layers 0: the file has 1 to 3"]),
        (["truncate", "a.hqc", "-l", "4", "-o", "b.hqc"], ["--layers 4: the file has 1 to 3"]),
        (["truncate", "empty", "-l", "1", "-o", "b.hqc"], ["empty: Is a directory"]),
        (["truncate", "a.hqc", "-l", "1", "-o", "empty"], ["empty: is a folder"]),
    ],
    ids=lambda value: " ".join(value),
)
def test_mistakes_are_one_line_and_status_1(shell: Any, args: list[str], parts: list[str]) -> None:
    shell.paint()
    shell.packed()
    Path("empty").mkdir()
    before = shell.files()
    arguments = [*args, "--force"] if args[0] == "decompress" else args
    assert_one_line(shell(*arguments, input=b""), *parts)
    assert shell.files() == before


@pytest.mark.parametrize("args", [["compress"], ["compress", "--layers", "x", "a.png"], ["squash"]])
def test_usage_errors_are_status_2(shell: Any, args: list[str]) -> None:
    assert shell(*args).exit_code == 2


def test_a_cut_file_decodes_with_a_warning(shell: Any) -> None:
    Path("cut.hqc").write_bytes(shell.packed().read_bytes()[:-1])
    result = shell("decompress", "cut.hqc", "-o", "b.png")
    assert_one_line(result, "cut.hqc: cut off: 2 of 3 layers arrived", code=0)
    assert Path("b.png").exists()
    assert "cut off: 3 layers were written" in shell("info", "cut.hqc").stdout


def test_a_hostile_picture_makes_pillow_say_nothing(shell: Any) -> None:
    with Image.open(shell.paint()) as image:
        image.save("a.tif")
    samples = b"\x15\x01\x03\0\1\0\0\0"  # TIFF's tag of samples per pixel, a short, one of it
    tiff = Path("a.tif").read_bytes()
    assert samples + b"\3" in tiff
    Path("a.tif").write_bytes(tiff.replace(samples + b"\3\0", samples + b"\xff\xff"))
    code = "from hqcodec.image import load; load('a.tif')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.splitlines()[-1].startswith("hqcodec.errors.FormatError: a.tif: ")
    assert "More samples" not in done.stderr


def test_damage_is_one_line_and_leaves_no_output(shell: Any) -> None:
    blob = bytearray(shell.packed().read_bytes())
    blob[-1] ^= 1
    Path("bad.hqc").write_bytes(blob)
    assert_one_line(shell("decompress", "bad.hqc"), "bad.hqc: damaged")
    assert shell.files() == {"a.hqc", "bad.hqc"}


def test_a_full_disk_leaves_the_old_file_and_no_other(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.paint()
    Path("a.hqc").write_text("precious")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    assert_one_line(shell("compress", "a.png", "--force"), "a.hqc: No space left on device")
    assert Path("a.hqc").read_text() == "precious"
    assert shell.files() == {"a.hqc", "a.png"}


def test_an_interrupt_is_one_line_and_leaves_no_file(
    shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell.paint()

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    assert_one_line(shell("compress", "a.png"), "interrupted", code=130)
    assert shell.files() == {"a.png"}


@pytest.mark.parametrize(
    "error",
    [HqcodecError("what\nis wrong"), OSError(28, "No space left on device"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_one_line_whatever_their_kind(
    shell: Any, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(zoo, "load", fail)
    assert_one_line(shell("compress", shell.paint()))


def test_formats_that_cannot_be_written_are_one_line(shell: Any) -> None:
    shell.packed()
    assert_one_line(shell("decompress", "a.hqc", "-o", "b.xyz"), "'xyz'; known are png, jpg")
    assert_one_line(shell("decompress", "a.hqc", "--format", "tga"), "'tga'; known are png, jpg")
