"""Training a decoder, or a prior, for a model that stays as it is."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hqcodec.errors import HqcodecError
from hqcodec.models import train, zoo
from hqcodec.models.checkpoint import State
from hqcodec.models.run import Run
from short_runs import RUN, SHORT, weights


def test_a_run_for_a_decoder_exports_it_alone(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in train.train(RUN, photographs, tmp_path / "first"):
        pass
    start = tmp_path / "first" / "small.safetensors"
    frozen = ("encoder.", "codebooks.", "contexts.")
    tune = replace(SHORT, start=str(start), freeze=frozen, lr=0.01, lpips=100.0)
    sharp = replace(RUN, train=tune, decoder="sharp", description="Sharp")
    monkeypatch.setattr(train, "load_lpips", lambda net, file: Distance())
    out = tmp_path / "second"
    for _ in train.train(sharp, photographs, out):
        pass
    exported = out / "small.sharp.safetensors"
    assert {path.name for path in out.glob("small*")} == {"small.sharp.md", exported.name}
    before, after = (zoo.load(start, decoder=x).state_dict() for x in ("fidelity", exported))
    for key in before:
        assert torch.equal(before[key], after[key]) != key.startswith("decoder."), key
    card = exported.with_suffix(".md").read_text()
    assert card.startswith("# small.sharp\n\nSharp.") and "## What it was started from" in card
    assert zoo.read_metadata(start)["hash"] in card and "lpips" in card


def test_a_decoder_may_be_wider_than_that_of_its_model(photographs: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, photographs, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "codebooks.", "contexts.")
    wide = {**RUN.model, "decoder_widths": (10, 9, 12)}
    run = replace(RUN, model=wide, train=replace(SHORT, start=start, freeze=frozen), decoder="wide")
    narrow, wider = zoo.load(start), zoo.build(run.family, run.model)
    assert len(train.load_fitting(wider, run.train)) == len(wider.state_dict())
    y = torch.randn(1, narrow.config.dim, 3, 2)
    torch.testing.assert_close(wider.decoder(y), narrow.decoder(y))  # it starts as the same map
    for _ in train.train(run, photographs, tmp_path / "second"):
        pass
    loaded = zoo.load(start, decoder=tmp_path / "second" / "small.wide.safetensors")
    assert loaded.config.decoder_widths == (10, 9, 12)
    assert loaded.hash == narrow.hash
    codes = narrow.encode(torch.rand(1, 3, 32, 32))
    assert not torch.equal(loaded.decode(codes), narrow.decode(codes))


def test_a_decoder_may_go_on_from_one_that_is_there(photographs: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, photographs, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "codebooks.", "contexts.")
    t = replace(SHORT, start=start, freeze=frozen, lr=0.01)
    for _ in train.train(replace(RUN, train=t, decoder="sharp"), photographs, tmp_path / "second"):
        pass
    (tmp_path / "second" / "small.sharp.safetensors").rename(
        tmp_path / "first" / "small.sharp.safetensors"
    )
    made = zoo.build(RUN.family, RUN.model)
    train.load_fitting(made, replace(t, start_decoder="sharp"))
    sharp, own = zoo.load(start, decoder="sharp"), zoo.load(start)
    for key, value in made.state_dict().items():
        assert torch.equal(value, sharp.state_dict()[key]), key
    assert not torch.equal(made.decoder.linear.weight, own.decoder.linear.weight)  # type: ignore[union-attr, arg-type]
    with pytest.raises(HqcodecError, match="'dull' is neither"):
        train.load_fitting(made, replace(t, start_decoder="dull"))


def test_a_prior_is_trained_alone_while_moving_averages_stand_still(
    photographs: Path, tmp_path: Path
) -> None:
    shape = {"resolutions": (4,), "chain": (2,), "codebook": (8, 8), "dim": 4, "width": 8}
    model = {**shape, "blocks": 1, "quantizer": "ema"}
    run = Run("hq_vae", model, replace(SHORT, average=0.0), "A test", "small")
    for _ in train.train(run, photographs, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "quantizers.", "decoder.")
    later = replace(
        run,
        model=model | {"context": 8},
        train=replace(run.train, start=start, freeze=frozen, steps=40, lr=0.01),
    )
    records = list(train.train(later, photographs, tmp_path / "second"))
    assert records[-1]["bpp_2"] < records[0]["bpp_2"]
    before, after = weights(tmp_path / "first"), weights(tmp_path / "second")
    assert all(torch.equal(after[k], v) for k, v in before.items() if not k.startswith("prior."))


class Distance(torch.nn.Module):
    """In the place of LPIPS."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (x - y).abs().mean((1, 2, 3))


def test_a_decoder_is_trained_alone_and_for_a_model(photographs: Path, tmp_path: Path) -> None:
    for _ in train.train(RUN, photographs, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    frozen = ("encoder.", "codebooks.", "contexts.")
    tune = replace(SHORT, start=start, freeze=frozen)
    other = {**RUN.model, "rate_weight": 0.2}
    for bad, says in [
        (replace(RUN, decoder="x"), "name it by --start"),
        (replace(RUN, decoder="x", train=replace(tune, freeze=frozen[:2])), "add 'contexts"),
        (replace(RUN, decoder="x", train=tune, model=other), "is not the config of"),
    ]:
        with pytest.raises(HqcodecError, match=says):
            next(train.train(bad, photographs, tmp_path / "second"))


def test_a_frozen_weight_that_moves_ends_the_run_at_its_first_checkpoint(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in train.train(RUN, photographs, tmp_path / "first"):
        pass
    start = str(tmp_path / "first" / "small.safetensors")
    again = replace(RUN, train=replace(SHORT, start=start, freeze=("encoder.",)))
    steps = train.train(again, photographs, tmp_path / "second")
    step = train.train_step

    def meddle(state: State, run: Run, x: torch.Tensor) -> dict[str, float]:
        state.model.state_dict()["encoder.linear.bias"].mul_(1.01)
        return step(state, run, x)

    monkeypatch.setattr(train, "train_step", meddle)
    with pytest.raises(HqcodecError, match=r"encoder\.linear\.bias was frozen"):
        for _ in range(SHORT.checkpoint_every + 1):
            next(steps)
