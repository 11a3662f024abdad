"""What a training run must satisfy, beyond what its config says alone: HqcodecError if not."""

from hqcodec.errors import HqcodecError
from hqcodec.models import zoo
from hqcodec.models.base import Model
from hqcodec.models.run import Run, TrainConfig


def check_stages(t: TrainConfig, model: Model) -> None:
    """HqcodecError if the steps are not those of the stages in which the model is trained."""
    if t.stages < 1 or t.steps % t.stages:
        raise HqcodecError(f"steps = {t.steps} in {t.stages} stages; want as many in each")
    if model.stage_steps and (t.stages, t.steps // t.stages) != (model.stages, model.stage_steps):
        raise HqcodecError(
            f"steps = {t.steps} in {t.stages} stages; "
            f"the model takes {model.stages * model.stage_steps} in {model.stages}"
        )


def check_decoder_run(run: Run, model: Model) -> None:
    """HqcodecError if a run for a decoder would train something that does not fit its start."""
    if not run.train.start:
        raise HqcodecError("a decoder belongs to a model: name it by --start")
    loose = [name for name, p in model.named_parameters() if p.requires_grad]
    if others := [name for name in loose if not name.startswith(zoo.DECODER)]:
        raise HqcodecError(f"a decoder is to be trained alone; add {others[0]!r} to `freeze`")
    if not zoo.same_codes(zoo.load(run.train.start).config, model.config):
        raise HqcodecError(f"[model] is not the config of {run.train.start}, which it must be")


def check_frozen(model: Model, run: Run) -> None:
    """HqcodecError if a weight that was to stay as it was is not, bit by bit, what it was."""
    if run.train.start and run.train.freeze:
        moved = [
            key for key in zoo.changed(model, run.train.start) if key.startswith(run.train.freeze)
        ]
        if moved:
            raise HqcodecError(f"{moved[0]} was frozen, but is not what it is in {run.train.start}")
