"""The table as a Hugging Face data set, one row per person; pictures stay in place, by path."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kuleshov.output.exports import table
from kuleshov.tools.errors import KuleshovError


def write_export(run: Path, out: Path) -> list[str]:
    try:
        import datasets
    except ImportError:
        raise KuleshovError(
            "a Hugging Face data set needs that library: run `pip install 'kuleshov[data]'`."
        ) from None
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory(dir=out.parent) as scratch:
        table.write_export(run, Path(scratch) / "rows.parquet")
        made = datasets.Dataset.from_parquet(
            str(Path(scratch) / "rows.parquet"), cache_dir=str(Path(scratch) / "cache")
        )
        made.save_to_disk(str(out))
        return [f"{out}: {len(made):,} rows; open it with datasets.load_from_disk"]
