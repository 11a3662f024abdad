"""Folder names and import names must keep saying the same thing."""

import ast
import importlib.util
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS: dict[str, str] = SETUPTOOLS["package-dir"]  # import name -> folder
MODULES = [
    f"{name}.{path.stem}"
    for name, folder in FOLDERS.items()
    for path in sorted((ROOT / folder).glob("*.py"))
]


def test_every_folder_with_code_is_a_package() -> None:
    tops = ("codec", "cli", "models", "benchmarks")
    found = {str(p.parent.relative_to(ROOT)) for t in tops for p in (ROOT / t).rglob("*.py")}
    assert found == set(FOLDERS.values())
    assert SETUPTOOLS["packages"] == list(FOLDERS)


@pytest.mark.parametrize("module", MODULES)
def test_every_file_is_installed(module: str) -> None:
    """If this fails after you added a file, run `pip install -e .` again."""
    assert importlib.util.find_spec(module.removesuffix(".__init__")) is not None


# Who may import whom, top to bottom; a module may import its own package and those below.
LAYERS = ["hqcodec.cli", "hqcodec.benchmarks", "hqcodec", "hqcodec.models"]
LEAF = "hqcodec.errors"  # imports nothing, so all may import it


def package_of(module: str) -> str:
    """The longest entry of LAYERS that `module` lies in."""
    return max((p for p in LAYERS if f"{module}.".startswith(f"{p}.")), key=len)


def imports_of(path: Path) -> set[str]:
    """Modules that a file names in import statements, wherever they stand."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_imports_point_down() -> None:
    for name, folder in FOLDERS.items():
        for path in (ROOT / folder).glob("*.py"):
            for target in imports_of(path):
                if target.split(".")[0] == "hqcodec" and not f"{target}.".startswith(f"{LEAF}."):
                    above, below = LAYERS.index(package_of(name)), LAYERS.index(package_of(target))
                    assert above <= below, f"{path.relative_to(ROOT)} imports {target}"


def test_the_leaf_imports_nothing() -> None:
    assert imports_of(ROOT / "codec" / "errors.py") == set()
