"""The figures of latents: what is drawn of which model."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from families import make, pictures
from hqcodec.benchmarks import latents
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.base import mix

SIDE = 8  # HQA's top layer has one code a picture of this side


def draw(tmp_path: Path, name: str, *more: str) -> Result:
    """The command on a sheet of six tiles and a saved model of `families`."""
    pixels = np.random.default_rng(0).integers(0, 256, (2 * SIDE, 3 * SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "sheet.png")
    zoo.save(make(name), tmp_path / "tiny.safetensors", "tiny", "A test")
    app = latents.typer.Typer()
    app.command()(latents.latents)
    arguments = [str(tmp_path / "sheet.png"), "--model", str(tmp_path / "tiny.safetensors")]
    arguments += ["--out", str(tmp_path / "out"), "--tile", str(SIDE), "--samples", "3", *more]
    return CliRunner().invoke(app, arguments)


def drawn(tmp_path: Path) -> set[str]:
    return {path.stem for path in (tmp_path / "out").iterdir()}


@pytest.mark.parametrize("name", ["HQA", "hybrid, learned prior", "HR-VQVAE", "photo"])
def test_every_family_is_drawn_as_far_as_it_has_what_a_figure_shows(
    name: str, tmp_path: Path
) -> None:
    ran = draw(tmp_path, name)
    assert ran.exit_code == 0, ran.output
    none = {"HQA": set(), "photo": {"interpolation", "codes"}}.get(name, {"codes"})
    assert drawn(tmp_path) == {"layers", "interpolation", "codes", "samples"} - none
    assert ran.stdout.count("nothing to draw of this model") == len(none)


def test_rows_of_layers_show_each_prefix_and_what_it_added() -> None:
    model, x = make("HQA"), pictures(1, (SIDE, SIDE))
    decoded, added = latents.by_layers(model, [x[0]])
    assert [cell.title for cell in decoded] == ["original", "1 of 3", "2 of 3", "3 of 3"]
    assert [cell.title for cell in added] == ["", "", "+ layer 2, x4", "+ layer 3, x4"]
    codes = model.encode(x)
    before, after = model.decode(codes[:2]), model.decode(codes)
    expected = (0.5 + 4 * (after - before)).clamp(0, 1).mul(255).round()[0].movedim(0, -1)
    shown = added[3].picture
    assert shown is not None
    assert np.array_equal(np.asarray(shown), expected.byte().numpy())


def test_the_codes_of_a_top_layer_are_enumerated_only_if_a_picture_has_one() -> None:
    model = make("HQA")
    (row,) = latents.every_code(model, (SIDE, SIDE))
    assert [cell.title for cell in row] == [str(n) for n in range(model.layers[0].codebook)]
    expected = model.decode([torch.full((1, 1, 1, 1), 2)])[0].mul(255).round().byte()
    shown = row[2].picture
    assert shown is not None
    assert np.array_equal(np.asarray(shown), expected.movedim(0, -1).numpy())
    assert latents.every_code(model, (SIDE + 1, SIDE)) == []


def test_the_way_leads_from_each_odd_picture_to_the_next_of_its_size() -> None:
    model = make("HR-VQVAE")
    alike, other = pictures(4, (8, 8)), pictures(1, (4, 8))[0]
    assert len(latents.between(model, list(alike))) == 2 * len(model.layers)
    assert latents.between(model, [alike[0], other]) == []


def test_latents_are_mixed_in_equal_steps() -> None:
    ends = torch.tensor([0.0, 3.0]).view(2, 1, 1, 1)
    assert mix(ends, 4).flatten().tolist() == pytest.approx([0, 1, 2, 3])


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = draw(tmp_path, "HQA", "--out", str(tmp_path / "file" / "out"))
    assert isinstance(ran.exception, HqcodecError) and "Not a directory" in str(ran.exception)
