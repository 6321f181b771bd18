"""`python -m measuring attempts|drift [--fit] [--seeds 40]`, in services/evaluation

attempts: how well attempts against the assistant are told from ordinary questions; `--fit` prints
the constants of `domain/abuse/scoring.py`. drift: how often unchanged traffic raises an alarm, and
how soon changed traffic does; vectors are made once, in some minutes.
"""

from __future__ import annotations

import argparse

from gyre_evaluation.domain.drift.traffic import Plan

from measuring import attempts, drift


def main() -> None:
    shape = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("measuring", description=__doc__, formatter_class=shape)
    parser.add_argument("what", choices=["attempts", "drift"])
    parser.add_argument("--fit", action="store_true", help="fit the constants anew")
    parser.add_argument("--seeds", type=int, default=40, help="draws of traffic")
    parser.add_argument("--reference", type=int, default=Plan().reference)
    parser.add_argument("--window", type=int, default=Plan().window)
    options = parser.parse_args()
    if options.what == "drift":
        drift.report(options.seeds, Plan(options.reference, options.window))
        return
    if options.fit:
        attempts.refit()
    attempts.report()


if __name__ == "__main__":
    main()
