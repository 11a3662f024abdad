"""LPIPS' weights from addresses that are files here."""

import hashlib
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from hqcodec.cli.main import app
from hqcodec.errors import FormatError, HqcodecError
from hqcodec.models import lpips_fetch
from hqcodec.models.lpips import BACKBONES, Lpips, load_lpips

NETS = tuple(BACKBONES)


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Random weights under names with their true hashes, and torch.hub's cache still empty."""
    monkeypatch.delenv("HQCODEC_LPIPS", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    place = tmp_path / "published"
    place.mkdir()
    names = {}
    for net in NETS:
        torch.manual_seed(0)
        state = Lpips(net).state_dict()
        heads = {f"{n}.model.1.weight": v for n, v in state.items() if n.startswith("lin")}
        torch.save(heads, place / f"{net}.pth")
        torch.save({n: v for n, v in state.items() if n not in heads}, place / "backbone")
        digest = hashlib.sha256((place / "backbone").read_bytes()).hexdigest()
        names[net] = f"{net}-{digest[:8]}.pth"
        (place / "backbone").rename(place / names[net])
    for module in ("hqcodec.models.lpips", "hqcodec.models.lpips_fetch"):
        monkeypatch.setattr(f"{module}.BACKBONES", names)
    for address in ("BACKBONES_AT", "HEADS_AT"):
        monkeypatch.setattr(lpips_fetch, address, place.as_uri())
    return place


def cache(tmp_path: Path) -> set[str]:
    """Names of the files in torch.hub's cache."""
    return {path.name for path in (tmp_path / "hub" / "checkpoints").glob("*")}


def test_fetched_weights_lie_where_the_metric_looks_and_are_fetched_once(
    published: Path, tmp_path: Path
) -> None:
    done = CliRunner().invoke(app, ["models", "--fetch", "lpips"])
    assert done.exit_code == 0, done.output
    assert done.stdout.count(": fetched") == 4
    assert cache(tmp_path) == {path.name for path in published.iterdir()}
    x = torch.rand(1, 3, 40, 40)
    for net in NETS:
        torch.manual_seed(0)
        known = Lpips(net)
        assert torch.equal(load_lpips(net)(x, 1 - x), known(x, 1 - x))
    again = CliRunner().invoke(app, ["models", "--fetch", "lpips"])
    assert again.stdout.count(": was there") == 4


def test_a_backbone_with_another_hash_is_refused_and_not_kept(
    published: Path, tmp_path: Path
) -> None:
    (victim,) = published.glob("alex-*.pth")
    victim.write_bytes(b"not these")
    with pytest.raises(HqcodecError, match="invalid hash"):
        list(lpips_fetch.fetch_lpips())
    assert cache(tmp_path) == set()


def test_heads_that_do_not_load_are_refused_and_not_kept(published: Path, tmp_path: Path) -> None:
    (published / "alex.pth").write_bytes(b"a page that says sorry")
    with pytest.raises(FormatError, match="does not hold LPIPS"):
        list(lpips_fetch.fetch_lpips())
    assert "alex.pth" not in cache(tmp_path)


def test_without_a_network_there_is_one_line_and_status_1(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lpips_fetch, "HEADS_AT", (tmp_path / "nowhere").as_uri())
    done = CliRunner().invoke(app, ["models", "--fetch", "lpips"])
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert "alex.pth cannot be fetched from file://" in line
    assert "put it into" in line


def test_there_is_nothing_else_to_fetch(published: Path) -> None:
    done = CliRunner().invoke(app, ["models", "--fetch", "photo"])
    assert done.exit_code == 1
    assert "--fetch 'photo'; there is lpips" in done.stderr


def test_published_names_carry_the_start_of_their_hash() -> None:
    ends = {name.removesuffix(".pth").rpartition("-")[2] for name in BACKBONES.values()}
    assert all(len(end) == 8 and int(end, 16) for end in ends)
