"""The command in a process of its own: imports, pipes and signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hqcodec.container import Container, write
from hqcodec.content import Pixels


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def packed(name: str = "a.hqc") -> Path:
    path = Path(name)
    path.write_bytes(write(Container("toy", bytes(4), Pixels(20, 10, "RGB"), {}, (b"one", b"two"))))
    return path


def command(*args: str, **more: Any) -> "subprocess.Popen[bytes]":
    """The real thing, in a process of its own."""
    code = "from hqcodec.cli.main import main; main()"
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    pipes |= more
    return subprocess.Popen([sys.executable, "-c", code, *args], **pipes)


def test_help_and_info_do_not_wait_for_torch() -> None:
    packed()
    code = (
        "import sys; from hqcodec.cli.main import app; app(sys.argv[1:], standalone_mode=False);"
        "print(sorted({'torch', 'numpy', 'PIL'} & set(sys.modules)), file=sys.stderr)"
    )
    for args in (["--help"], ["info", "a.hqc"], ["models"]):
        done = subprocess.run([sys.executable, "-c", code, *args], capture_output=True, check=True)
        assert done.stderr == b"[]\n", args


@pytest.mark.parametrize("chosen", [None, "7"])
def test_threads_do_not_spin_for_long_unless_the_user_says_so(chosen: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "GOMP_SPINCOUNT"}
    if chosen is not None:
        environment["GOMP_SPINCOUNT"] = chosen
    code = "import os, hqcodec.cli.main; print(os.environ['GOMP_SPINCOUNT'])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, env=environment, text=True
    )
    assert done.stdout.strip() == (chosen or "10000")


def test_a_closed_pipe_is_quiet() -> None:
    for number in range(3):
        packed(f"{number}.hqc")
    with command("info", *["0.hqc", "1.hqc", "2.hqc"] * 3000) as process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == 1


def test_a_full_standard_output_is_one_line() -> None:
    packed()
    with open("/dev/full", "wb") as full, command("info", "a.hqc", stdout=full) as process:
        assert process.stderr
        assert process.stderr.read() == b"hqcodec: a.hqc: No space left on device\n"
        assert process.wait() == 1


def test_control_c_is_one_line_and_status_130() -> None:
    # a shell that starts us in the background has us ignore Ctrl-C, and children inherit that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = command("info", str(packed()), "-")  # which waits for its standard input
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        assert process.stdout and process.stderr
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b"hqcodec: interrupted\n"
        assert process.wait() == 130
