#!/usr/bin/env python3
"""Train every variant of a study with the same seed and budget, measure all on the same photos, write tables, plot, sheet and report.

Running it again does only what is missing, failed or changed.

Example:
    scripts/ablate_losses.py ablations/loss_weights.toml --out study --jobs 2
    scripts/ablate_losses.py ablations/loss_weights.toml --out study --search 20
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

from stylswap.errors import StylswapError
from stylswap.jobs.ablate import run_study
from stylswap.jobs.search import search
from stylswap.jobs.study_request import StudyRequest
from stylswap.jobs.study_spec import read_spec
from stylswap.jobs.study_tables import TABLE_MARKDOWN
from stylswap.names import CONSENTS


def main() -> int:
    """Parse, call the job, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="a TOML file, such as ablations/loss_weights.toml")
    parser.add_argument("--out", type=Path, required=True, help="the study's folder")
    parser.add_argument("--folder", action="append", default=[], metavar="KEY=DIR", help="faces, identities.NAME or held_out.NAME")
    parser.add_argument("--only", action="append", default=[], metavar="GROUP", help="run only this group; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="rows at a time (default 1)")
    parser.add_argument("--consent", choices=CONSENTS, help="who allowed the faces of identities whose folder has no identity.toml")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--search", type=int, default=0, metavar="N", help="draw N further variants with Optuna (the extra `search`)")
    options = parser.parse_args()

    def tell(name: str, state: str, done: int, total: int) -> None:
        print(f"{done}/{total}\t{name}\t{state}", file=sys.stderr, flush=True)

    try:
        spec = read_spec(options.study, options.folder)
        command = shlex.join(["scripts/ablate_losses.py", *sys.argv[1:]])
        request = StudyRequest(spec, options.out, command, options.jobs, options.device, tuple(options.only), options.consent)
        study = run_study(request, on_row=tell)
        if options.search:
            study = search(request, options.search, on_row=tell)
    except KeyboardInterrupt:
        print("ablate_losses: interrupted; the same command goes on", file=sys.stderr)
        return 130
    except StylswapError as error:
        print(f"ablate_losses: {error}", file=sys.stderr)
        return 1
    print((options.out / TABLE_MARKDOWN).read_text(encoding="utf-8"))
    return 0 if all(row.status == "done" for row in study.rows) else 3


if __name__ == "__main__":
    sys.exit(main())
