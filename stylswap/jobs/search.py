"""A search over the loss weights: Optuna draws variants, a study measures them, nothing of it is lost when it is interrupted."""

from __future__ import annotations

import hashlib
import importlib
from typing import Any, Final

from stylswap.errors import UsageError
from stylswap.jobs.ablate import OnRow, run_tasks
from stylswap.jobs.evaluation import SWAP_ROW
from stylswap.jobs.study_request import StudyRequest, tasks_of
from stylswap.jobs.study_spec import Variant
from stylswap.jobs.study_tables import WITHOUT_SFACE, figures_of, write_study
from stylswap.jobs.study_variant import VariantTask
from stylswap.report import Study
from stylswap.report.measured import measured

STORAGE_FILE: Final = "search.log"
GROUP: Final = "search"


def search(request: StudyRequest, count: int, *, on_row: OnRow | None = None) -> Study:
    """Draw variants until so many are finished, earlier runs included: expression and identity are two goals, neither is traded in.

    Args:
        request: The study; its file says in ``[search.ranges]`` what may be drawn. Rows are done one at a time.
        count: Finished draws in all.
        on_row: See `stylswap.jobs.ablate.OnRow`.

    Returns:
        The study with the draws as a group of its own; those on the front are marked.

    Raises:
        UsageError: If Optuna is not installed, or nothing may be drawn.
    """
    ranges = request.spec.search.ranges
    if not ranges:
        example = '"loss.weights.style" = [10, 300]'
        raise UsageError(f"the study's file has no [search.ranges], so there is nothing to draw; give for instance {example}")
    optuna = _optuna()
    error_key, identity_key = request.spec.tradeoff
    # What is drawn from, and how it is measured, is part of the name: another study does not go on with these draws.
    base = _task(request, Variant(name="base of the search")).fingerprint
    name = hashlib.sha256(repr((sorted(ranges.items()), base, request.spec.tradeoff)).encode()).hexdigest()[:12]
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(request.out / STORAGE_FILE)))
    drawn = optuna.create_study(study_name=name, storage=storage, directions=["minimize", "maximize"], load_if_exists=True)
    # Another seed after each interruption: the same one would draw the first variants once more.
    drawn.sampler = optuna.samplers.TPESampler(seed=len(drawn.trials), multivariate=True)
    states = optuna.trial.TrialState
    distributions = {key: optuna.distributions.FloatDistribution(*ends, log=True) for key, ends in ranges.items()}
    begun = [(trial.number, trial.params) for trial in drawn.get_trials(states=[states.RUNNING])]
    tried = 0
    while len(drawn.get_trials(states=[states.COMPLETE])) < count and tried < 2 * count:
        tried += 1
        number, params = begun.pop(0) if begun else _asked(drawn.ask(distributions))
        task = _task(request, _variant(number, params))
        [(_, state)] = run_tasks([task], 1)
        figures = figures_of(task, SWAP_ROW) if state == "done" else {}
        likeness = (measured(figures, key) for key in (identity_key, *WITHOUT_SFACE))
        goals = [measured(figures, error_key), next((figure for figure in likeness if figure is not None), None)]
        known = [goal.mean for goal in goals if goal is not None]
        if len(known) == len(goals):
            drawn.tell(number, known)
        else:
            drawn.tell(number, state=states.FAIL)
        if on_row is not None:
            on_row(task.name, state, len(drawn.get_trials(states=[states.COMPLETE])), count)
        write_study(request, _variants(drawn))
    return write_study(request, _variants(drawn))


def _asked(trial: Any) -> tuple[int, dict[str, float]]:
    return trial.number, trial.params


def _variants(drawn: Any) -> list[Variant]:
    return [_variant(trial.number, trial.params) for trial in drawn.get_trials() if trial.state.is_finished()]


def _variant(number: int, params: dict[str, float]) -> Variant:
    values = {key: float(f"{value:.4g}") for key, value in params.items()}
    return Variant(name=f"draw {number}", group=GROUP, set=values)


def _task(request: StudyRequest, variant: Variant) -> VariantTask:
    return tasks_of(request, [variant])[-1]


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise UsageError('--search needs Optuna: pip install "stylswap[search]"') from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
