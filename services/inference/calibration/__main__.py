"""`python -m calibration selection|refusal|lists [--embedding HOST:PORT] [--count 400] [--fit]`

selection: how often the sentence chosen answers, beside two lexical pickers. refusal: how many
questions about something else are refused, and how many that are answered. lists: what the prompts
would show, as JSON lines, for `score --lists` of a reader in retraining. `--fit` prints the
constants of `domain/selection.py` and `domain/coverage.py` from one half of the pages; what is
reported is always measured on the other half. The demo's questions take no part.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from calibration import refusal, selection
from calibration.asking import POLICY
from calibration.knowledge import feedback_qa, squad, va_gov
from calibration.vectors import Embedder

KEPT = Path(__file__).parents[3] / "var" / "calibration" / "vectors.db"
SHOWN = 8


def main() -> None:
    options = _options()
    embedder = Embedder(options.embedding, KEPT)
    collections = [make(options.count) for make in (squad, va_gov, feedback_qa)]
    if options.what == "selection":
        if options.fit:
            selection.refit(collections, embedder)
        selection.report(collections, embedder)
        return
    if options.what == "lists":
        for row in selection.listed(collections, embedder, SHOWN):
            print(json.dumps(row))
        return
    fitting, reporting = refusal.measured(collections, embedder)
    if options.fit:
        refusal.refit(fitting)
    refusal.report(reporting, POLICY.support)


def _options() -> argparse.Namespace:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=shape)
    parser.add_argument("what", choices=["selection", "refusal", "lists"])
    parser.add_argument("--embedding", default="127.0.0.1:50052", help="the embedding service")
    parser.add_argument("--count", type=int, default=400, help="questions of each collection")
    parser.add_argument("--fit", action="store_true", help="fit the constants anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
