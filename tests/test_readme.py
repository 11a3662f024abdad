"""What the README shows is what happens."""

import doctest
import io
import re
from contextlib import redirect_stdout
from pathlib import Path

from hqcodec import api
from hqcodec import target as targets
from hqcodec.cli.main import app
from hqcodec.models import zoo

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_lines_print_what_their_comments_say() -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        printed = io.StringIO()
        with redirect_stdout(printed):
            exec(compile(block, "README.md", "exec"), {})
        said = [line.removeprefix("# ") for line in block.splitlines() if line.startswith("# ")]
        assert printed.getvalue().splitlines() == said


def test_every_command_line_names_a_command_and_its_options() -> None:
    commands = {c.callback.__name__: c.callback for c in app.registered_commands if c.callback}
    shown = re.findall(r"^hqcodec (\w+)(.*)", README, re.MULTILINE)
    assert {name for name, _ in shown} == set(commands)


def test_files_that_are_linked_exist() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if "://" not in target:
            assert (Path(__file__).parents[1] / target).is_file(), target


def test_examples_in_docstrings_give_what_they_say() -> None:
    for module in (api, targets, zoo):
        failed, tried = doctest.testmod(module)
        assert tried and not failed, module.__name__
