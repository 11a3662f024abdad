"""Metrics and rate curves against values that can be worked out by hand."""

import math
from pathlib import Path

import numpy as np
import pytest

from hqcodec.benchmarks import metrics
from hqcodec.benchmarks.curves import bd_rate, decibels, pchip
from hqcodec.benchmarks.metrics import (
    MS_SSIM_SMALLEST,
    Judge,
    Pixels,
    make_judge,
    psnr,
    psnr_of_mean_mse,
    rmse,
)
from hqcodec.errors import HqcodecError, UnknownModelError
from hqcodec.models.lpips import SMALLEST, Lpips

NETWORKS = {"lpips": Lpips("alex"), "lpips_squeeze": Lpips("squeeze")}
CURVE = [(0.12, 25.0), (0.2, 27.0), (0.35, 29.5), (0.6, 31.5), (0.9, 33.0)]


def noise(height: int, width: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_rmse_is_on_the_scale_of_8_bit_pixels() -> None:
    black = np.zeros((4, 5, 3), dtype=np.uint8)
    assert rmse(black, black + np.uint8(255)) == 255
    assert rmse(black + np.uint8(7), black) == 7  # and does not wrap around


def test_psnr_of_the_largest_error_is_0_dB_and_of_none_infinite() -> None:  # noqa: N802
    assert psnr(255) == 0
    assert psnr(25.5) == pytest.approx(20)
    assert psnr(0) == math.inf


def test_psnr_of_the_mean_mse_lies_below_the_mean_of_psnr() -> None:
    errors = [2.0, 14.0]
    assert psnr_of_mean_mse(errors) == pytest.approx(20 * math.log10(255 / 10))
    assert psnr_of_mean_mse(errors) < sum(psnr(e) for e in errors) / 2


def test_ms_ssim_is_1_for_equal_pictures_and_less_for_others() -> None:
    x = noise(MS_SSIM_SMALLEST, 170)
    judge = Judge(("rmse", "psnr", "ms_ssim"))
    assert judge.measure(x, x)[0]["ms_ssim"] == pytest.approx(1, abs=1e-6)
    y = (x // 2 + noise(MS_SSIM_SMALLEST, 170, seed=1) // 2).astype(np.uint8)
    value = judge.measure(x, y)[0]["ms_ssim"]
    assert value is not None
    assert 0.05 < value < 0.95


def test_ssim_is_the_mean_over_an_11x11_gaussian_window_as_defined() -> None:
    """Wang et al. 2004, eq. 13, one position after the other."""
    x, y = noise(13, 14), noise(13, 14, seed=1) // 2
    side = np.arange(11) - 5
    window = np.exp(-(side[:, None] ** 2 + side**2) / (2 * 1.5**2))[..., None]
    window /= window.sum()
    values = []
    for i in range(3):
        for j in range(4):
            p, q = (z[i : i + 11, j : j + 11].astype(np.float64) / 255 for z in (x, y))
            mp, mq = ((z * window).sum((0, 1)) for z in (p, q))
            pp, qq, pq = (
                (z * window).sum((0, 1)) - m
                for z, m in ((p * p, mp**2), (q * q, mq**2), (p * q, mp * mq))
            )
            top = (2 * mp * mq + 0.01**2) * (2 * pq + 0.03**2)
            values.append(top / ((mp**2 + mq**2 + 0.01**2) * (pp + qq + 0.03**2)))
    assert Judge(("ssim",)).measure(x, y)[0]["ssim"] == pytest.approx(np.mean(values), rel=1e-4)


def test_features_of_an_original_are_kept_and_never_those_of_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judge, first, second = Judge(networks=NETWORKS), noise(40, 40), noise(40, 40, seed=1)
    passes: list[int] = []
    embed = NETWORKS["lpips"].embed
    monkeypatch.setattr(NETWORKS["lpips"], "embed", lambda x: passes.append(1) or embed(x))
    known = judge.measure(first, second)[0]["lpips"]
    assert len(passes) == 2
    assert judge.measure(first, first)[0]["lpips"] == 0
    assert len(passes) == 3
    assert judge.measure(second, second)[0]["lpips"] == 0
    assert judge.measure(first, second)[0]["lpips"] == known
    assert NETWORKS["lpips"](*map(metrics.to_tensor, (first, second))).item() == known


def test_a_file_of_one_backbone_brings_the_other_if_it_lies_beside(tmp_path: Path) -> None:
    files = {net: tmp_path / f"lpips_{net}_v0.1.npz" for net in ("alex", "squeeze")}
    for net, file in files.items():
        state = {name: value.numpy() for name, value in Lpips(net).state_dict().items()}
        np.savez(file, **state)
    both = make_judge(weights=files["alex"])
    assert {name: network.net for name, network in both.networks.items()} == metrics.NETS
    about = both.about()
    assert (about["lpips"], about["lpips_squeeze"]) == ("alex", "squeeze")
    assert about["weights"]["lpips"] != about["weights"]["lpips_squeeze"]
    files["squeeze"].unlink()
    one = make_judge(weights=files["alex"])
    assert set(one.networks) == {"lpips"}
    assert "no LPIPS weights for squeeze" in one.notes["lpips_squeeze"]
    assert one.about()["lpips_squeeze"] is None
    with pytest.raises(UnknownModelError, match="does not hold LPIPS"):
        make_judge(["lpips_squeeze"], weights=files["alex"])


def test_a_picture_too_small_for_a_metric_gets_none_and_the_reason() -> None:
    side = SMALLEST["alex"] - 1
    found, notes = Judge(networks=NETWORKS).measure(noise(side, 99), noise(side, 99, seed=1))
    assert found["ms_ssim"] is None
    assert found["lpips"] is None
    assert "161" in notes["ms_ssim"]
    assert "31" in notes["lpips"]
    assert found["lpips_squeeze"] is not None  # which is content with less
    assert found["ssim"] is not None
    assert found["psnr"] is not None
    below, _ = Judge(("ms_ssim",)).measure(noise(160, 200), noise(160, 200, seed=1))
    assert below["ms_ssim"] is None


def test_identical_pictures_have_no_psnr_rather_than_infinity() -> None:
    x = noise(32, 32)
    found, notes = Judge(networks=NETWORKS).measure(x, x)
    zero = {"rmse": 0, "psnr": None, "ms_ssim": None, "lpips": 0, "lpips_squeeze": 0}
    assert found == zero | {"ssim": pytest.approx(1)}
    assert "identical" in notes["psnr"]


def test_a_metric_not_asked_for_says_so() -> None:
    found, notes = Judge(("rmse",)).measure(noise(8, 8), noise(8, 8, seed=1))
    assert [name for name, value in found.items() if value is not None] == ["rmse"]
    assert notes == dict.fromkeys(
        ("psnr", "ssim", "ms_ssim", "lpips", "lpips_squeeze"), "not asked for"
    )


def test_lpips_without_weights_is_a_note_but_weights_that_were_named_must_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HQCODEC_LPIPS", str(tmp_path))
    judge = make_judge()
    found, notes = judge.measure(noise(64, 64), noise(64, 64, seed=1))
    assert found["lpips"] is None
    assert "no LPIPS weights" in notes["lpips"]
    with pytest.raises(UnknownModelError):
        make_judge(weights=tmp_path / "missing.npz")


def test_an_unknown_metric_is_named_with_the_known_ones() -> None:
    with pytest.raises(HqcodecError, match="'vmaf'; there are rmse, psnr"):
        make_judge(["psnr", "vmaf"])


def test_the_order_of_channels_and_the_range_reach_the_metric_unchanged() -> None:
    x = noise(5, 7)
    tensor = metrics.to_tensor(x)
    assert tensor.shape == (1, 3, 5, 7)
    assert tensor[0, 2, 4, 6].item() == pytest.approx(x[4, 6, 2] / 255)


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.0, 1.1, 3.0])
def test_a_curve_at_a_multiple_of_the_rate_has_that_bd_rate(factor: float) -> None:
    scaled = [(rate * factor, quality) for rate, quality in CURVE]
    assert bd_rate(scaled, CURVE) == pytest.approx(100 * (factor - 1), abs=1e-9)


def test_bd_rate_there_and_back_cancels() -> None:
    other = [(0.1, 25.5), (0.25, 28.5), (0.5, 30.5), (1.1, 33.0)]
    there, back = bd_rate(other, CURVE), bd_rate(CURVE, other)
    assert there is not None
    assert back is not None
    assert (1 + there / 100) * (1 + back / 100) == pytest.approx(1)


def test_bd_rate_of_straight_lines_in_the_log_of_the_rate_is_their_mean_distance() -> None:
    """ln r = q against ln r = 1.5 q for q in 1..2: the mean of .5 q is .75."""
    anchor = [(math.exp(q), q) for q in (0.0, 1.0, 1.7, 2.0)]
    curve = [(math.exp(1.5 * q), q) for q in (1.0, 1.2, 2.0, 3.0)]
    assert bd_rate(curve, anchor) == pytest.approx(100 * math.expm1(0.75))


def test_bd_rate_keeps_to_the_rates_that_were_asked_for() -> None:
    """Equal below rate 1, half the bits above it."""
    anchor = [(2.0**e, float(e)) for e in range(-4, 5)]
    curve = [(2.0**e if e <= 0 else 2.0 ** (e - 1), float(e)) for e in range(-4, 5) if e != 1]
    assert bd_rate(curve, anchor, (1 / 16, 0.5)) == pytest.approx(0)
    whole = bd_rate(curve, anchor)
    assert whole is not None
    assert whole < -20


def test_curves_that_do_not_meet_have_no_bd_rate() -> None:
    assert bd_rate(CURVE, [(rate, quality + 20) for rate, quality in CURVE]) is None
    assert bd_rate(CURVE, CURVE, (2.0, 3.0)) is None
    assert bd_rate(CURVE[:1], CURVE) is None
    assert bd_rate([], CURVE) is None


def test_a_point_that_costs_more_and_gives_less_is_left_out() -> None:
    assert bd_rate([*CURVE, (0.5, 26.0)], CURVE) == pytest.approx(0, abs=1e-9)


def test_pchip_goes_through_its_points_and_never_overshoots() -> None:
    x, y = np.array([0.0, 1, 2, 3, 7]), np.array([0.0, 0, 5, 5, 6])
    assert pchip(x, y, x) == pytest.approx(y)
    between = pchip(x, y, np.linspace(0, 7, 500))
    assert (np.diff(between) >= -1e-12).all()
    assert between.min() >= 0
    assert between.max() <= 6


def test_pchip_has_the_slopes_of_fritsch_and_butland() -> None:
    """SciPy's PchipInterpolator([0, 1, 3, 4], [0, 2, 3, 7]) at these places."""
    x, y = np.array([0.0, 1, 3, 4]), np.array([0.0, 2, 3, 7])
    found = pchip(x, y, np.array([0.5, 2.0, 3.5]))
    m1 = 9 / (5 / 2 + 4 / 0.5)  # weighted harmonic means of the secants 2, 1/2 and 4
    m2 = 9 / (4 / 0.5 + 5 / 4)
    ends = (4 * 2 - 0.5) / 3, (4 * 4 - 0.5) / 3
    hand = [
        1 + (ends[0] - m1) / 8,
        2.5 + 2 * (m1 - m2) / 8,
        5 + (m2 - ends[1]) / 8,
    ]
    assert found == pytest.approx(hand)


def test_decibels_rise_as_pictures_get_better() -> None:
    assert decibels("psnr", 31.5) == 31.5
    assert decibels("ms_ssim", 0.99) == pytest.approx(20)
    assert decibels("lpips", 0.1) == pytest.approx(10)
    assert decibels("lpips", 0.1) > decibels("lpips", 0.2)
