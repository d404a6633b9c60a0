"""A kept set that is read from outside is what the M-step was handed."""

import pytest

import toy
from rationem import STAR
from rationem.em import fit
from rationem.errors import RunError
from rationem.sampling.schemes import parse_scheme
from rationem.sampling.training_set import kept_samples, kept_trials


@pytest.mark.slow
@pytest.mark.parametrize("scheme", [STAR, parse_scheme("rationalize*2", "resample")], ids=["star", "resample"])
def test_what_is_read_from_outside_is_what_the_m_step_was_handed_also_while_the_run_is_at_work(tmp_path, scheme):
    handed, read = [], []
    step = toy.closed_form_m_step(0.1)

    def m_step(start, samples, *, iteration, seed, output):
        handed.append(samples)
        read.append(kept_samples(tmp_path / "run", iteration))  # the run's own process holds the ledger open
        return step(start, samples, iteration=iteration, seed=seed, output=output)

    problem = toy.problem(tmp_path, scheme, m_step=m_step, engine=toy.open_scoring_engine, copies=20)
    fit(problem, 2)
    assert len(handed) == 2
    assert all(handed)
    assert read == handed
    problem.ledger.close()
    assert [kept_samples(tmp_path / "run", k) for k in (1, 2)] == handed


def test_each_sample_comes_with_its_own_trial(tmp_path):
    fit(toy.problem(tmp_path, STAR, copies=20), 1)
    found = kept_trials(tmp_path / "run", 1)
    assert [one.sample for one in found] == kept_samples(tmp_path / "run", 1)
    for one in found:
        assert one.trial.draft.token_ids == one.sample.token_ids
        assert one.trial.example_id == one.kept.example_id == one.sample.example_id
        assert (one.trial.outcome, one.trial.reward) == ("accepted", 1.0)
    assert {one.trial.proposal for one in found} == {"forward", "rationalize"}


def test_no_kept_set_is_read_where_there_is_none(tmp_path):
    with pytest.raises(RunError, match=f"{tmp_path.name} holds no run: there is no ledger.sqlite"):
        kept_samples(tmp_path, 1)
    fit(toy.problem(tmp_path, STAR, copies=2), 1)
    with pytest.raises(RunError, match="no finished E-step of iteration 2; it has 1"):
        kept_samples(tmp_path / "run", 2)
