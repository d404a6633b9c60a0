"""Evidence and hint diagnostics on the table world, where the truth can be written down."""

import math
from dataclasses import replace

import numpy as np
import pytest

import toy
from rationem import Ledger, ScriptedEngine, metrics
from rationem.errors import ConfigError, RunError
from rationem.evaluation.diagnostics import diagnose, evidence_record, hint_record, wrong_hint
from rationem.evaluation.diagnostics.evidence import evidence_scores
from rationem.evaluation.evaluate import evaluate
from rationem.ledger import read_only
from rationem.sampling.hint_leakage import PHRASES, HintLeakage
from rationem.sampling.trials import SamplingContext
from rationem.tasks.kinds import OpenKind
from rationem.types import Outcome, Purpose, Sampling
from toy import ANSWERS, SCALE, TASK, THETA, joint

ITEMS = toy.examples(40)
TRAIN = toy.examples(20, start=1000)
KIND = TASK.kind
FORWARD, HINTED, WRONG = 6, 4, 30
SEED = 5


def true_log_evidence():
    return float(np.mean([np.log(joint(THETA, toy.name_of(x))[:, SCALE.rank(x.answer)].sum()) for x in ITEMS]))


def start(directory, **changes):
    ledger = Ledger(directory)
    ledger.start({"task": TASK.describe(), "config": {}, "notes": {}}, {"train": TRAIN, "validation": ITEMS})
    return replace(SamplingContext(TASK, ledger, SEED, Sampling(), max_prompt_tokens=10_000), **changes)


def run_both(run, engine, hinted=HINTED, forward=FORWARD, wrong=WRONG, examples=ITEMS):
    if run.ledger.record(1, "validation") is None:
        evaluate(examples, engine, run, train=TRAIN, iteration=1, split="validation", draws=forward)
    diagnose(examples, engine, run, train=TRAIN, iteration=1, hinted=hinted, forward=forward, wrong=wrong)


def marginal_of(example):
    return metrics.marginals(TRAIN, SCALE, metrics.parts(ITEMS))[metrics.criterion(example)]


def evidence_of(run, **asked):
    asked = {"forward": FORWARD, "hinted": HINTED, **asked}
    return evidence_record(run.ledger.db, 1, ITEMS, KIND, marginal_of, **asked)


def hints_of(run, **more):
    return hint_record(run.ledger.db, 1, ITEMS, KIND, ("alpha",), seed=SEED, **more)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    directory = tmp_path_factory.mktemp("measured")
    run = start(directory)
    run_both(run, toy.open_scoring_engine(toy.write(THETA, directory / "base")))
    yield run
    run.ledger.close()


def test_every_density_that_a_weight_needs_is_in_the_ledger_and_is_the_tables(measured):
    hinted = {t.attempt: t for t in measured.ledger.trials(1, Purpose.EVIDENCE) if t.example_id == "first-3"}
    rows = measured.ledger.likelihoods(1, Purpose.EVIDENCE)
    pi, q = joint(THETA, "first"), joint(THETA, "first", ANSWERS["first"])
    assert sorted(hinted) == list(range(HINTED))
    for attempt, trial in hinted.items():
        z, y = toy.RATIONALES.index(trial.parsed.rationale), SCALE.rank(trial.parsed.answer)
        for under, table in (("forward", pi), ("rationalize", q)):
            got = rows["first-3", 1, attempt, under]
            assert got.rationale == pytest.approx(math.log(table[z].sum()), abs=2e-6)
            assert got.completion == pytest.approx(math.log(table[z, y]), abs=2e-6)
        levels = measured.ledger.level_logps(1, Purpose.EVIDENCE)["first-3"][attempt]
        np.testing.assert_allclose(np.exp(levels), pi[z] / pi[z].sum())
    assert len(measured.ledger.likelihoods(1, Purpose.EVAL)) == 2 * FORWARD * len(ITEMS)
    assert len(rows) == 2 * HINTED * len(ITEMS)


def jensen(draw_values, probabilities, draws, seed=0, times=20_000):
    """E[log mean of `draws` values], by simulation: what an estimate of log p is on average."""
    rng = np.random.default_rng(seed)
    return float(np.log(rng.choice(draw_values, p=probabilities, size=(times, draws)).mean(1)).mean())


def expected(kind):
    values = []
    for name in THETA:
        y = SCALE.rank(ANSWERS[name])
        pi, q = joint(THETA, name), joint(THETA, name, ANSWERS[name])
        if kind == "raw":
            values.append(jensen(pi[:, y] / pi.sum(1), pi.sum(1), FORWARD))
        else:
            values.append(jensen(pi[:, y] / q.sum(1), q.sum(1), kind))
    return float(np.mean(values))


def test_estimates_agree_with_the_table_within_their_error(measured):
    record, truth = evidence_of(measured), true_log_evidence()
    error = record["standard_error"]
    assert 0 < error < 0.05
    assert abs(record["score"] - truth) < 4 * error + 0.02  # the bias of a logarithm of a mean of ten draws
    assert record["mixture"] < record["score"] < record["mixture"] + 0.1  # one more draw, which said the marginal
    assert record["raw"] == pytest.approx(expected("raw"), abs=0.1)
    assert record["iwae"] == pytest.approx(expected(HINTED), abs=0.1)
    for k, value in record["iwae_by_k"].items():
        assert value == pytest.approx(expected(int(k)), abs=0.12)
    hints = hint_record(measured.ledger.db, 1, ITEMS, KIND, PHRASES, seed=SEED)
    assert measured.ledger.record(1, "evidence") == {**record, "hints": hints}
    assert list(record["iwae_by_k"]) == ["1", "2", "4"]
    assert record["iwae_by_k"]["1"] < record["iwae_by_k"]["2"] < record["iwae_by_k"]["4"] == record["iwae"]
    assert record["lower_bound_95"] == pytest.approx(record["mixture"] - math.log(20) / len(ITEMS))
    assert record["lower_bound_95"] < truth
    assert (record["raw_zero"], record["iwae_zero"], record["zero"], record["too_long"]) == (0, 0, 0, 0)
    assert (record["items"], record["forward_draws"], record["hinted_draws"]) == (len(ITEMS), FORWARD, HINTED)
    assert 1 <= record["ess"] <= HINTED
    assert record["ess_share"] == record["ess"] / HINTED


def exact_divergence(name):
    y = SCALE.rank(ANSWERS[name])
    accepted, posterior = joint(THETA, name, ANSWERS[name])[:, y], toy.posterior(THETA, name)
    accepted = accepted / accepted.sum()
    return float(accepted @ np.log(accepted / posterior))


def test_the_divergence_bound_is_below_the_truth_which_is_zero_here(measured):
    """The toy's hint tilts by y alone, so what it accepts follows the posterior: only the bound's own slack is left."""
    record = evidence_of(measured)
    assert [exact_divergence(name) for name in THETA] == pytest.approx([0, 0])
    assert -0.6 < record["divergence"] < 0
    assert 0.9 < record["divergence_covered"] <= 1


def test_without_hinted_draws_the_mixture_is_the_raw_evidence(measured):
    record = evidence_of(measured, hinted=0)
    assert record["mixture"] == record["raw"] == evidence_of(measured)["raw"]
    predictions = measured.ledger.predictions(1, "validation")
    assert record["raw"] == pytest.approx(np.mean([math.log(p.raw) for p in predictions]))
    assert record["iwae"] is None
    assert record["iwae_by_k"] == {}
    assert (record["ess"], record["divergence"], record["divergence_covered"]) == (None, None, None)


def test_without_forward_draws_the_mixture_is_iwae(measured):
    record = evidence_of(measured, forward=0)
    assert record["mixture"] == pytest.approx(record["iwae"])
    assert record["raw"] is None


def test_more_draws_than_there_are_cannot_be_asked_for(measured):
    with pytest.raises(ValueError, match=r"has 6 eval drafts of .*, not the 7 requested"):
        evidence_of(measured, forward=FORWARD + 1)
    with pytest.raises(ValueError, match="the number of both kinds is 0"):
        evidence_of(measured, forward=0, hinted=0)


@pytest.mark.slow
def test_records_come_from_the_file_alone(measured):
    db = read_only(measured.ledger.directory)
    again = evidence_record(db, 1, ITEMS, KIND, marginal_of, forward=FORWARD, hinted=HINTED)
    assert again == evidence_of(measured)
    assert hint_record(db, 1, ITEMS, KIND, ("alpha",), seed=SEED) == hints_of(measured)
    db.close()


def entropy(table):
    return float(-(table * np.log(table)).sum())


def mean_over_names(function):
    return float(np.mean([function(name, SCALE.rank(ANSWERS[name])) for name in THETA]))


def test_hint_diagnostics_agree_with_the_table(measured):
    record = hints_of(measured)
    hinted, forward = record["hinted"], record["forward"]
    assert (hinted["draws"], forward["draws"]) == (HINTED * len(ITEMS), FORWARD * len(ITEMS))

    def tilted(name):
        return joint(THETA, name, ANSWERS[name])

    near = {"abs": 0.08}  # four standard errors of a share over 320 draws are at most .11; of these, less
    assert hinted["said_answer"] == pytest.approx(mean_over_names(lambda n, y: tilted(n)[:, y].sum()), **near)
    assert forward["said_answer"] == pytest.approx(mean_over_names(lambda n, y: joint(THETA, n)[:, y].sum()), **near)
    given_z = mean_over_names(lambda n, y: tilted(n).sum(1) @ np.array(THETA[n]["y"])[:, y])
    assert hinted["answer_given_z"] == pytest.approx(given_z, **near)
    assert hinted["leaked"] == pytest.approx(mean_over_names(lambda n, y: tilted(n)[0].sum()), **near)
    assert forward["leaked"] == pytest.approx(mean_over_names(lambda n, y: joint(THETA, n)[0].sum()), **near)
    assert hinted["entropy"] == pytest.approx(mean_over_names(lambda n, y: entropy(tilted(n))), abs=0.2)
    assert forward["entropy"] == pytest.approx(mean_over_names(lambda n, y: entropy(joint(THETA, n))), abs=0.2)
    assert hinted["entropy_per_token"] == pytest.approx(hinted["entropy"] / hinted["tokens"])
    lengths = [len(TASK.format(z, "1")) + 1 for z in toy.RATIONALES]
    assert min(lengths) < hinted["tokens"] < max(lengths)
    assert (hinted["faithful"], hinted["checked"]) == (None, 0)


def test_wrong_hints_are_wrong_spread_over_the_levels_and_counted_when_justified(measured):
    wrong = {x.id: wrong_hint(x, KIND, SEED) for x in ITEMS}
    assert all(wrong[x.id] != x.answer for x in ITEMS)
    assert len(set(wrong.values())) == 3
    probes = list(measured.ledger.trials(1, Purpose.PROBE))
    assert len(probes) == WRONG
    assert {t.outcome for t in probes} == {Outcome.ACCEPTED, Outcome.WRONG}
    justified = [t.parsed.answer == wrong[t.example_id] for t in probes]
    assert justified == [t.outcome is Outcome.ACCEPTED for t in probes]
    record = hints_of(measured)
    assert record["wrong_hints"] == WRONG
    assert record["wrong_justified"] == pytest.approx(np.mean(justified))
    chances = []
    for probe in probes:
        level = wrong[probe.example_id]
        chances.append(joint(THETA, probe.example_id.split("-")[0], level)[:, SCALE.rank(level)].sum())
    error = math.sqrt(np.mean(chances) * (1 - np.mean(chances)) / WRONG)
    assert abs(record["wrong_justified"] - np.mean(chances)) < 4 * error
    chosen = [x.id for x in ITEMS if x.id in {t.example_id for t in probes}]
    assert chosen != [x.id for x in ITEMS[:WRONG]]  # by seed, not by place in the file


def test_one_answer_leaves_no_wrong_hint():
    with pytest.raises(ConfigError, match="second level"):
        wrong_hint(ITEMS[0], OpenKind(), 0, ITEMS[:1])


def test_faithfulness_counts_what_can_be_checked(measured):
    def faithful(fields, rationale):
        return None if rationale == "delta" else (rationale == "alpha") == (fields["prompt"] == "first")

    record = hints_of(measured, faithful=faithful)
    for purpose, kind in ((Purpose.EVIDENCE, "hinted"), (Purpose.EVAL, "forward")):
        drawn = [(t.example_id.split("-")[0], t.parsed.rationale) for t in measured.ledger.trials(1, purpose)]
        checked = [(z == "alpha") == (name == "first") for name, z in drawn if z != "delta"]
        assert record[kind]["checked"] == len(checked)
        assert record[kind]["faithful"] == pytest.approx(np.mean(checked))


def rows(ledger, table):
    return ledger.db.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3, 4, 5").fetchall()


@pytest.mark.slow
def test_a_killed_measurement_goes_on_to_the_same_end(measured, tmp_path):
    """Killed at every third call of the engine, started again and again."""

    class Killed(Exception):
        pass

    calls = 0

    def dying(function):
        def asked(items):
            nonlocal calls
            calls += 1
            if calls % 3 == 0:
                raise Killed
            return function(items)

        return asked

    run = start(tmp_path)
    engine, steady = (toy.open_scoring_engine(toy.write(THETA, tmp_path / "base")) for _ in range(2))
    for name in ("sample", "score_levels", "score_tokens"):
        setattr(engine, name, dying(getattr(steady, name)))
    for _ in range(200):
        try:
            run_both(run, engine)
        except Killed:
            continue
        break
    assert calls > 10
    for table in ("trials", "scores", "likelihoods"):
        assert rows(run.ledger, table) == rows(measured.ledger, table)
    assert run.ledger.record(1, "evidence") == measured.ledger.record(1, "evidence")
    before = calls
    diagnose(ITEMS, engine, run, train=TRAIN, iteration=1, hinted=HINTED, forward=FORWARD, wrong=WRONG)
    assert calls == before  # finished is finished
    run.ledger.close()


@pytest.mark.slow
def test_an_item_whose_hinted_prompt_does_not_fit_is_estimated_from_its_unhinted_drafts(tmp_path):
    base = toy.open_scoring_engine(toy.write(THETA, tmp_path / "base"))
    longest = {x.id: base.prompt_tokens(TASK.hint_prompt(x.fields, x.answer)) for x in ITEMS}
    limit = longest["first-0"]  # "second" is one character longer
    run = start(tmp_path / "run", max_prompt_tokens=limit)
    run_both(run, base)
    record = evidence_of(run)
    assert (record["items"], record["too_long"], record["hinted_items"]) == (80, 0, 40)
    assert {t.example_id.split("-")[0] for t in run.ledger.trials(1, Purpose.EVIDENCE)} == {"first"}
    assert record["score"] == pytest.approx(true_log_evidence(), abs=0.15)
    run.ledger.close()


def test_what_does_not_fit_is_left_out_and_counted(tmp_path):
    base = toy.open_scoring_engine(toy.write(THETA, tmp_path / "base"))
    limit = base.prompt_tokens(TASK.prompt(ITEMS[0].fields))  # "second" is one character longer
    run = start(tmp_path / "run", max_prompt_tokens=limit)
    run_both(run, base)
    record = evidence_of(run)
    assert (record["items"], record["too_long"], record["hinted_items"]) == (40, 40, 0)
    log_p = np.log(joint(THETA, "first")[:, SCALE.rank(ANSWERS["first"])].sum())
    assert record["score"] == pytest.approx(log_p, abs=0.15)
    run.ledger.close()


def some_hinted(directory, iterations=(1,), count=30):
    """The evidence with hinted drafts on some items, of each iteration."""
    run = start(directory)
    engine = toy.open_scoring_engine(toy.write(THETA, directory / "base"))
    for k in iterations:
        evaluate(ITEMS, engine, run, train=TRAIN, iteration=k, split="validation", draws=FORWARD)
        diagnose(
            ITEMS, engine, run, train=TRAIN, iteration=k, hinted=HINTED, forward=FORWARD, wrong=0, hinted_items=count
        )
    return run


@pytest.mark.slow
def test_hinted_drafts_are_made_for_so_many_items_the_same_in_every_iteration(tmp_path):
    run = some_hinted(tmp_path, (0, 1))
    first, second = ({t.example_id for t in run.ledger.trials(k, Purpose.EVIDENCE)} for k in (0, 1))
    assert first == second
    assert len(first) == 30
    assert {t.example_id for t in run.ledger.trials(1, Purpose.EVAL)} == {x.id for x in ITEMS}
    under = {(key[0], key[3]) for key in run.ledger.likelihoods(1, Purpose.EVAL)}
    assert under == {(one, name) for one in first for name in ("forward", "rationalize")}
    run.ledger.close()


@pytest.mark.slow
def test_what_is_said_of_hinted_drafts_is_of_their_items_and_all_items_have_a_score(tmp_path, measured):
    """Where all items have hinted drafts the others' numbers are known: the same seeds make the same drafts."""
    run, whole = some_hinted(tmp_path), measured.ledger.db
    record, hinted = evidence_of(run), {t.example_id for t in run.ledger.trials(1, Purpose.EVIDENCE)}
    assert (record["items"], record["hinted_items"]) == (80, 30)
    assert record["raw"] == evidence_of(measured)["raw"]
    asked = {"forward": FORWARD, "hinted": HINTED}
    of_these = [x for x in ITEMS if x.id in hinted]
    alone = evidence_record(whole, 1, of_these, KIND, marginal_of, **asked)
    for key in ("iwae", "iwae_by_k", "ess", "divergence", "divergence_covered"):
        assert record[key] == alone[key]
    mixed = evidence_scores(run.ledger.db, 1, ITEMS, KIND, marginal_of, **asked)
    with_hints = evidence_scores(whole, 1, ITEMS, KIND, marginal_of, **asked)
    without = evidence_scores(whole, 1, ITEMS, KIND, marginal_of, forward=FORWARD, hinted=0)
    assert mixed == {x.id: (with_hints if x.id in hinted else without)[x.id] for x in ITEMS}
    assert record["score"] == pytest.approx(np.mean(list(mixed.values())))
    assert abs(record["score"] - true_log_evidence()) < 4 * record["standard_error"] + 0.03
    run.ledger.close()


@pytest.mark.slow
def test_a_draw_without_a_verdict_counts_nothing_and_an_item_of_such_enters_the_score_by_the_marginal(tmp_path):
    inner = toy.open_scoring_engine(toy.write(THETA, tmp_path / "base"))

    def say(request):
        return "no end" if "Prompt: second" in request.prompt.text else inner._say(request)

    def tokens(query):
        return [-0.5] * 7 if query.draft.text == "no end" else inner._tokens(query)

    run = start(tmp_path / "run")
    run_both(run, ScriptedEngine(say, inner._levels, tokens=tokens))
    record = evidence_of(run)
    assert (record["raw"], record["iwae"], record["mixture"], record["lower_bound_95"]) == (None,) * 4
    assert (record["raw_zero"], record["iwae_zero"], record["zero"]) == (40, 40, 40)
    firsts = evidence_record(run.ledger.db, 1, ITEMS[::2], KIND, marginal_of, forward=FORWARD, hinted=HINTED)
    floor = math.log(marginal_of(ITEMS[1])[SCALE.rank("2")] / (FORWARD + HINTED + 1))
    assert record["score"] == pytest.approx((firsts["score"] + floor) / 2)
    assert record["divergence_covered"] == pytest.approx(firsts["divergence_covered"] / 2)
    assert record["ess"] == pytest.approx(firsts["ess"] / 2)
    hints = hints_of(run)
    assert hints["hinted"]["answer_given_z"] == pytest.approx(
        hint_record(run.ledger.db, 1, ITEMS[::2], KIND, (), seed=SEED)["hinted"]["answer_given_z"] / 2
    )
    run.ledger.close()


@pytest.mark.slow
def test_the_runs_own_sampling_and_leak_filter_do_not_reach_the_measurement(measured, tmp_path):
    engine = toy.open_scoring_engine(toy.write(THETA, tmp_path / "base"))
    run = start(
        tmp_path / "run",
        sampling=Sampling(temperature=0.5, top_k=3),
        leaks=HintLeakage("drop", ("alpha",)),
        threshold=0.5,
    )
    run_both(run, engine)
    assert {t.outcome for t in run.ledger.trials(1, Purpose.EVIDENCE)} == {Outcome.ACCEPTED, Outcome.WRONG}
    assert evidence_of(run) == evidence_of(measured)
    run.ledger.close()


@pytest.mark.slow
def test_a_draw_made_again_after_a_failure_is_counted_once(measured, tmp_path):
    inner = toy.open_scoring_engine(toy.write(THETA, tmp_path / "base"))
    failed = set()

    def say(request):
        if request.seed % 4 == 0 and request.seed not in failed:
            failed.add(request.seed)
            return None
        return inner._say(request)

    run = start(tmp_path / "run")
    run_both(run, ScriptedEngine(say, inner._levels, tokens=inner._tokens))
    assert failed
    assert evidence_of(run) == evidence_of(measured)
    assert hints_of(run) == hints_of(measured)
    run.ledger.close()


@pytest.mark.slow
def test_an_engine_that_does_not_say_how_likely_tokens_are_is_refused(tmp_path):
    run = start(tmp_path / "run")
    with pytest.raises(RunError, match="cannot score given tokens"):
        run_both(run, toy.open_engine(toy.write(THETA, tmp_path / "base")))
    run.ledger.close()
