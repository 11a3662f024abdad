"""The papers' document says what was measured."""

import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from hqcodec.benchmarks.papers import document, hq_vae, hq_vae_report
from hqcodec.benchmarks.report import markers
from hqcodec.benchmarks.results import SCHEMA, Result, read_result, write_result
from hqcodec.errors import HqcodecError

FOLDER = Path(__file__).parents[1] / "benchmarks" / "papers"
README = (FOLDER / "README.md").read_text(encoding="utf-8")


def result(groups: tuple[str, ...] = tuple(hq_vae.GROUPS)) -> Result:
    """All variants of `small`; RSQ-VAE with K = 32 has RMSE 6 and 7, all others 8."""
    records = []
    for variant in hq_vae.variants(hq_vae.SIZES["small"]):
        sizes = variant.model["codebook"]
        layers = len(sizes)
        rmse = 6.0 + variant.seed if variant.name == "rsq-2x32" else 8.0
        keys = "group", "name", "method", "setting", "seed", "model", "train"
        rows = {
            f"{key}_{n + 1}": [4.0, 2.0]
            for key in ("perplexity", "variance")
            for n in range(layers)
        }
        records.append(
            {key: getattr(variant, key) for key in keys}
            | {"rmse": rmse, "psnr": 20.0, "prefix_rmse": [12.0] * (layers - 1) + [rmse]}
            | {"perplexity": [3.0] * layers, "bits": 64.0 * sum(map(int.bit_length, sizes))}
            | {"seconds": 60.0, "curves": {"step": [1.0, 2.0], **rows}}
        )
    return {
        "schema": SCHEMA,
        "size": "small",
        "data": "train",
        "test_pictures": 1000,
        "machine": {"torch_threads": 1, "platform": "linux x86_64"},
        "failures": [{"name": "odd-seed0", "error": "the loss is nan at step 3"}],
        "records": [record for record in records if record["group"] in groups],
    }


@pytest.mark.parametrize("name", document.REPORTS)
def test_blocks_of_the_document_come_from_the_committed_json(name: str) -> None:
    begin, end = markers(name)
    assert README.partition(begin)[2].partition(end)[0].strip() == document.block(FOLDER, name)


def test_no_block_no_json_and_no_figure_is_left_over() -> None:
    assert re.findall(r"<!-- (.+?):begin -->", README) == list(document.REPORTS)
    there = {path.stem for path in FOLDER.glob("*.json")}
    assert there <= set(document.REPORTS)
    drawn = {name for name in there if document.REPORTS[name].plot is not None}
    assert {path.stem for path in FOLDER.glob("*.png")} == drawn


def test_the_table_has_means_and_spread_of_the_seeds_beside_the_papers_figures() -> None:
    text = hq_vae_report.table(result())
    assert "| L = 2, K = 32 | RSQ-VAE | 6.50 ± 0.71 | 5.70 ± 0.02 | 20.00 | 3 / 3 | 2 |" in text
    assert "| L = 2, K = 128 | RSQ-VAE | 8.00 ± 0.00 | – | 20.00 | 3 / 3 | 2 |" in text
    assert "| SQ-VAE-2 | no | 12.00 | 8.00 |  |  |" in text
    assert "| hybrid | yes | 12.00 | 12.00 | 12.00 | 8.00 |" in text
    assert "| RSQ-VAE, ours | 8.00 | 8.00 | 6.00 | 8.00 | 8.00 | 8.00 |" in text
    assert "| RSQ-VAE, the paper's | 6.54 | 6.15 | 5.70 | 5.58 | 5.80 | 6.44 |" in text
    assert "odd-seed0 has no figure: the loss is nan at step 3." in text


def test_a_comparison_that_was_stopped_early_has_the_tables_of_what_it_trained() -> None:
    text = hq_vae_report.table(result(("injected",)))
    assert "VQ-VAE-2" in text and "Progressive" not in text and "Table 5" not in text


def test_the_document_is_written_from_the_json_that_is_there(tmp_path: Path) -> None:
    app = document.typer.Typer()
    app.command()(document.document)
    arguments = ["--folder", str(tmp_path)]
    missing = CliRunner().invoke(app, arguments)
    assert isinstance(missing.exception, HqcodecError)
    blocks = ["\n".join(markers(name)) for name in document.REPORTS]
    (tmp_path / "README.md").write_text("\n".join(["before", *blocks, "after\n"]))
    assert "no JSON yet" in CliRunner().invoke(app, arguments).stdout
    assert "Not trained yet" in (tmp_path / "README.md").read_text()
    write_result(tmp_path / "hq_vae.json", result())
    assert "hq_vae: written" in CliRunner().invoke(app, arguments).stdout
    text = (tmp_path / "README.md").read_text()
    kept = hq_vae_report.table(read_result(tmp_path / "hq_vae.json"))
    assert kept in text and text.startswith("before") and text.endswith("after\n")
    with Image.open(tmp_path / "hq_vae.png") as figure:
        assert min(figure.size) > 500
