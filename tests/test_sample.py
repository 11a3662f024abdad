"""Pictures drawn from a model's own probabilities."""

from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import hierarchies
from hqcodec import audio, image
from hqcodec.cli.main import app
from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.hq_vae import HQVAE
from hqcodec.models.rrvq_vae import RRVQVAE, RRVQConfig
from hqcodec.models.sample import draw, sample
from tones import small_sound


@pytest.fixture
def model() -> HQVAE:
    """A model whose static tables know that layer 1's first group is 3 and its second 5."""
    made = hierarchies.make().eval()
    assert made.prior.static is not None
    counts = made.prior.static.counts(0)
    counts[0, 3] = counts[1, 5] = 10**9
    return made


def test_codes_are_drawn_as_likely_as_the_tables_say(model: HQVAE) -> None:
    codes = sample(model, (64, 64))
    assert [tuple(layer.shape) for layer in codes] == [
        (1, *model.code_shape(n, (64, 64))) for n in range(3)
    ]
    assert codes[0][0, 0].unique().tolist() == [3] and codes[0][0, 1].unique().tolist() == [5]
    shares = codes[2].flatten().bincount(minlength=8) / codes[2].numel()
    assert shares.tolist() == pytest.approx([1 / 8] * 8, abs=0.03)  # nothing counted there


def test_a_low_temperature_keeps_to_the_likeliest_code(model: HQVAE) -> None:
    assert model.prior.static is not None
    counts = model.prior.static.counts(1)
    counts[:, 2] = 3  # three times as likely as the others
    often = [
        float((sample(model, (32, 32), 2, t)[1] == 2).float().mean()) for t in (0.05, 1.0, 20.0)
    ]
    assert often[0] == 1.0 and 0.2 < often[1] < 0.4 and often[2] < 0.2


def test_a_generative_model_draws_from_its_own_conditional_distributions() -> None:
    torch.manual_seed(0)
    config = RRVQConfig((4, 2), (1, 1), (3, 4), dim=3, width=6, blocks=1, ladder_blocks=0)
    model = RRVQVAE(config).eval()
    strap = model.generator.strap[0][-1]  # type: ignore[index]
    with torch.no_grad():
        strap.gain.zero_()  # type: ignore[operator, union-attr]
        strap.bias.copy_(torch.tensor([1.0, -1.0, 0.5]))  # type: ignore[operator, union-attr]
    codes = sample(model, (256, 256))
    assert [tuple(layer.shape) for layer in codes] == [(1, 1, 64, 64), (1, 1, 128, 128)]
    found = [layer.flatten().bincount() / layer.numel() for layer in codes]
    assert found[0].tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    expected = model.log_prior(codes[:1], (256, 256)).exp()[0, :, 0, 0]
    assert found[1].tolist() == pytest.approx(expected.tolist(), abs=0.02)
    cold = sample(model, (256, 256), temperature=1e-3)
    assert cold[1].unique().tolist() == [int(expected.argmax())]


def test_the_seed_decides_and_given_codes_stay(model: HQVAE) -> None:
    first, again, other = (sample(model, (32, 32), seed=seed) for seed in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[2], other[2])
    kept = sample(model, (32, 32), seed=7, given=first[:2])
    assert torch.equal(kept[0], first[0]) and torch.equal(kept[1], first[1])
    x, y = draw(model, 2, (30, 20))
    assert x.shape == (3, 30, 20) and not torch.equal(x, y)


@pytest.mark.parametrize(("layers", "temperature"), [(0, 1.0), (4, 1.0), (1, 0.0), (1, -1.0)])
def test_what_cannot_be_drawn_is_one_clear_line(
    model: HQVAE, layers: int, temperature: float
) -> None:
    with pytest.raises(HqcodecError, match=r"the model has 1 to 3|it is above 0"):
        sample(model, (8, 8), layers, temperature)


def test_the_command_writes_a_sheet_and_refuses_what_is_wrong(
    model: HQVAE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    weights = Path("toy.safetensors")
    zoo.save(model, weights, "toy", "a test")
    runner = CliRunner()
    size = ("-n", "5", "--size", "12x8", "-o", "sheet.png")
    made = runner.invoke(app, ["sample", "-m", str(weights), *size])
    assert made.exit_code == 0 and "5 pictures of 12x8 by toy" in made.stdout
    assert image.load("sheet.png").rgb.shape == (24, 24, 3)
    for arguments, says in (
        (["-o", "sheet.png"], "exists"),
        (["-o", "b.xyz"], "cannot write pictures as 'xyz'"),
        (["-o", "b.png", "--size", "big"], "want WIDTHxHEIGHT"),
        (["-o", "b.png", "-n", "0"], "0 pictures"),
        (["-o", "b.png", "-t", "0"], "temperature 0.0"),
        (["-o", "b.png", "-l", "9"], "9 layers"),
    ):
        refused = runner.invoke(app, ["sample", "-m", str(weights), *arguments])
        assert refused.exit_code == 1 and says in refused.stderr, arguments
        assert len(refused.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"sheet.png", "toy.safetensors"}


def test_sounds_are_drawn_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    zoo.save(small_sound(), Path("toy.safetensors"), "toy", "a test")
    runner, how = CliRunner(), ["-m", "toy.safetensors", "-n", "2", "--seconds", "0.25"]
    made = runner.invoke(app, ["sample", *how, "-o", "a.wav"])
    assert made.exit_code == 0 and "2 sounds of 0.25 s by toy" in made.stdout
    found = audio.load("a.wav")
    assert found.rate == 24_000 and found.samples.shape == (24_000, 1)
    assert not found.samples[6_000:18_000].any() and found.samples[18_000:].any()
    for arguments, says in (
        (["-o", "b.png"], "cannot write sounds as 'png'"),
        (["-o", "b.wav", "--seconds", "0"], "0 seconds; want above 0"),
        (["-o", "b.wav", "-n", "0"], "0 sounds; want 1 to 10000"),
    ):
        refused = runner.invoke(app, ["sample", *how[:2], *arguments])
        assert refused.exit_code == 1 and says in refused.stderr, arguments
    assert {path.name for path in tmp_path.iterdir()} == {"a.wav", "toy.safetensors"}
