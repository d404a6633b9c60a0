"""Checkpoints as runs meet them: what does not fit is refused before anything is written, what changed by its name."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers.utils.logging import enable_progress_bar

import checkpoints
import shared
from rationem import progress
from rationem.cli.main import main
from rationem.engines import models, tensor_check
from rationem.errors import ModelError, RunError
from rationem.ledger import Ledger

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def said(monkeypatch):
    """What was told."""
    heard = []
    monkeypatch.setattr(progress, "_display", progress.Silent())
    monkeypatch.setattr(progress, "say", heard.append)
    return heard


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return checkpoints.checkpoint(tmp_path_factory.mktemp("base") / "base")


def variant(base, folder, change=lambda tensors: None, **settings):
    """A copy of a checkpoint with other tensors, or another configuration."""
    shutil.copytree(base, folder)
    held = load_file(folder / "model.safetensors")
    change(held)
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **settings}))
    return folder


def put(name, tensor):
    return lambda held: held.__setitem__(name, tensor)


UP = "model.layers.1.mlp.up_proj.weight"
WRONG = {
    "a tensor is missing": (lambda held: held.pop(UP), {}, rf"it lacks {re.escape(UP)}"),
    "a reward head": (put("score.weight", torch.zeros(1, 32)), {}, r"it holds score\.weight, which"),
    "a vision tower": (put("visual.blocks.0.weight", torch.zeros(2)), {}, r"it holds visual\.blocks\.0\.weight, which"),
    "fewer layers asked": (lambda held: None, {"num_hidden_layers": 1}, r"1 layers\): it holds model\.layers\.1\.in"),
    "more layers asked": (lambda held: None, {"num_hidden_layers": 3}, r"3 layers\): it lacks model\.layers\.2\.in"),
    "another shape": (put("model.norm.weight", torch.zeros(31)), {}, r"model\.norm\.weight is 31 for 32"),
    "an untied head that is not there": (
        lambda held: None,
        {"tie_word_embeddings": False},
        r"it lacks lm_head\.weight",
    ),
}
WHOLE = {
    "as it is": lambda held: None,
    "a rotary embedding's buffer": put("model.layers.0.self_attn.rotary_emb.inv_freq", torch.zeros(8)),
    "the tied head written out": lambda held: held.update(
        {"lm_head.weight": held["model.embed_tokens.weight"].clone()}
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_weights_that_are_not_those_of_the_configuration_are_refused_by_name(tmp_path, base, what):
    change, settings, found = WRONG[what]
    wrong = variant(base, tmp_path / "wrong", change, **settings)
    with pytest.raises(ModelError, match=found):
        tensor_check.check(wrong)
    with pytest.raises(ModelError, match=found):  # and where nobody looked before
        models.load(str(wrong), device="cpu")


@pytest.mark.parametrize("what", WHOLE)
def test_what_is_rightly_absent_or_left_over_is_no_error(tmp_path, base, what, capfd):
    whole = variant(base, tmp_path / "whole", WHOLE[what])
    enable_progress_bar()  # as it is in a process that has loaded nothing yet
    capfd.readouterr()
    tensor_check.check(whole)
    assert capfd.readouterr() == ("", "")  # no bar of transformers
    assert models.load(str(whole), device="cpu").model.num_parameters() > 0


def test_a_head_that_differs_from_the_embedding_it_is_tied_to_is_refused(tmp_path, base):
    def untied(held):
        held["lm_head.weight"] = held["model.embed_tokens.weight"] + 1

    with pytest.raises(ModelError, match=r"different values in lm_head\.weight and model\.embed_tokens\.weight"):
        tensor_check.check(variant(base, tmp_path / "wrong", untied))


def test_experts_that_transformers_stacks_are_found_whole(tmp_path):
    """A mixture's checkpoint has one tensor per expert, the model one for all of them."""
    from transformers import MixtralConfig, MixtralForCausalLM

    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_local_experts": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": 32}
    MixtralForCausalLM(MixtralConfig(**sizes, **heads)).save_pretrained(tmp_path / "whole")
    tensor_check.check(tmp_path / "whole")
    gone = variant(tmp_path / "whole", tmp_path / "gone", lambda held: held.pop(next(n for n in held if ".1.w1" in n)))
    with pytest.raises(ModelError, match=r"it lacks .*experts"):
        tensor_check.check(gone)


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_fit_and_its_dry_run_refuse_a_broken_checkpoint_and_claim_no_directory(tmp_path, base, capsys, dry):
    wrong = variant(base, tmp_path / "wrong", WRONG["a tensor is missing"][0])
    table = shared.ratings(tmp_path / "ratings.csv")
    asked = ["fit", str(table), "--scale", "1-5", "--model", str(wrong), "--output", str(tmp_path / "run"), *dry]
    assert main(asked) == 2
    assert UP in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


# The base model of a run ------------------------------------------------------------------------------------------


def overwrite(model):
    """Other numbers in every tensor, in place."""
    held = load_file(model / "model.safetensors")
    save_file({name: one * 1.001 for name, one in held.items()}, model / "model.safetensors", metadata={"format": "pt"})


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A run that ended after its first iteration's training, and its base model."""
    folder = tmp_path_factory.mktemp("killed")
    original = Ledger.finish

    def dying(self, iteration, phase, **told):
        original(self, iteration, phase, **told)
        if (iteration, phase) == (1, "m_step"):
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Ledger, "finish", dying)
        patch.setattr(progress, "say", lambda text: None)
        with pytest.raises(KeyboardInterrupt):
            shared.run(folder, "run", scheme="rationalize@base")
    return folder


def copy_of(killed, folder):
    shutil.copytree(killed, folder, dirs_exist_ok=True)
    return folder / "model" / "grader"


def test_a_base_model_overwritten_between_kill_and_resume_is_refused_by_name(tmp_path, killed, capsys):
    model = copy_of(killed, tmp_path)
    overwrite(model)
    assert main(["fit", "--output", str(tmp_path / "run"), "--model", str(model)]) == 2
    assert f"The base model '{model}' changed since the run began: model.safetensors." in capsys.readouterr().err


def test_a_base_model_that_was_moved_and_renamed_is_the_same(tmp_path, killed, capsys):
    copy_of(killed, tmp_path).rename(tmp_path / "elsewhere")
    assert main(["fit", "--output", str(tmp_path / "run"), "--model", str(tmp_path / "elsewhere")]) == 0
    recorded = (tmp_path / "run" / "config.toml").read_text()
    assert f'model = "{tmp_path / "elsewhere"}"' in recorded
    assert main(["refit", str(tmp_path / "run"), "--output", str(tmp_path / "again"), "--steps", "1"]) == 0


def test_a_ledger_of_before_there_were_digests_goes_on(tmp_path, killed):
    import sqlite3
    from contextlib import closing

    model = copy_of(killed, tmp_path)
    with closing(sqlite3.connect(tmp_path / "run" / "ledger.sqlite")) as db, db:
        db.execute("DELETE FROM manifest WHERE key='weights'")
        ((text,),) = db.execute("SELECT value FROM manifest WHERE key='config'").fetchall()
        config = {name: value for name, value in json.loads(text).items() if not name.startswith("lora_")}
        config["model"] = str(model)
        db.execute("UPDATE manifest SET value=? WHERE key='config'", (json.dumps({**config, "lora_rank": None}),))
    assert main(["fit", "--output", str(tmp_path / "run"), "--model", str(model)]) == 0


def test_a_base_model_overwritten_while_the_run_is_at_work_is_refused(tmp_path, killed, monkeypatch, capsys):
    model = copy_of(killed, tmp_path)
    original = Ledger.finish

    def meanwhile(self, iteration, phase, **told):
        original(self, iteration, phase, **told)
        if (iteration, phase) == (1, "evidence"):
            overwrite(model)

    monkeypatch.setattr(Ledger, "finish", meanwhile)
    assert main(["fit", "--output", str(tmp_path / "run"), "--model", str(model)]) == 2
    assert "changed since the run began: model.safetensors" in capsys.readouterr().err


def test_refit_refuses_a_base_model_that_changed(tmp_path, killed):
    from rationem.run.refit import refit

    model = copy_of(killed, tmp_path)
    assert main(["fit", "--output", str(tmp_path / "run"), "--model", str(model)]) == 0
    overwrite(model)
    with pytest.raises(RunError, match=r"changed since the run began: model\.safetensors"):
        refit(tmp_path / "run", tmp_path / "again", {"steps": 1}, iteration=1)


# Adapters -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """A finished run that trained an adapter, and its base model."""
    folder = tmp_path_factory.mktemp("adapted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(progress, "say", lambda text: None)
        shared.run(folder, "run", iterations=1, lora_rank=4, learning_rate=1e-2, validation_share=0.0)
    return folder


def test_an_adapter_is_not_judged_with_on_another_base_model(tmp_path, adapted, capsys):
    shutil.copytree(adapted, tmp_path, dirs_exist_ok=True)
    model, (table,) = tmp_path / "model" / "grader", tmp_path.glob("*.csv")
    config = tmp_path / "run" / "model" / "adapter_config.json"
    config.write_text(config.read_text().replace(str(adapted), str(tmp_path)))
    judged = ["judge", str(tmp_path / "run"), str(table), "-o", str(tmp_path / "out.csv"), "--no-calibration"]
    assert main([*judged, "--fast"]) == 0
    overwrite(model)
    capsys.readouterr()
    assert main([*judged, "--fast", "--overwrite"]) == 2
    assert "was trained on another base model" in capsys.readouterr().err
    assert main(["push", str(tmp_path / "run"), "me/x", "--directory", str(tmp_path / "pushed"), "--merged"]) == 2


@pytest.mark.acceptance
def test_training_goes_on_with_an_adapter(tmp_path, adapted):
    """Our own output as --model: the same adapter goes on, on the same base; @base is that base with that adapter."""
    started, settings = adapted / "run" / "model", {"iterations": 2, "learning_rate": 1e-2, "validation_share": 0.0}
    run = shared.run(tmp_path, "run", model=str(started), scheme="rationalize@base", **settings)
    settings = json.loads((run / "model" / "adapter_config.json").read_text())
    assert (settings["r"], settings["base_model_name_or_path"]) == (4, str(adapted / "model" / "grader"))
    before, after = (
        load_file(one / "adapter_model.safetensors") for one in (started, run / "checkpoints/iteration-001")
    )
    assert before.keys() == after.keys()
    moved = sum(float((before[name] - after[name]).norm()) for name in before)
    assert 0 < moved < sum(float(one.norm()) for one in before.values())
    table = tmp_path / "ratings.csv"
    assert main(["judge", str(run), str(table), "-o", str(tmp_path / "out.csv")]) == 0
    assert main(["export", str(run), "--to", "trl", "--output", str(tmp_path / "kept.jsonl"), "--iteration", "1"]) == 0
    assert main(["push", str(run), "me/x", "--directory", str(tmp_path / "pushed"), "--merged"]) == 0
    assert main(["refit", str(run), "--output", str(tmp_path / "again"), "--steps", "1"]) == 0
    draft = run / "checkpoints" / "iteration-003.partial"  # what a full disk leaves
    draft.mkdir()
    (draft / "adapter_config.json").write_text('{"r": ')
    assert main(["fit", "--output", str(run)]) == 0


def test_other_settings_than_the_adapters_are_refused(tmp_path, adapted, capsys):
    table = shared.ratings(tmp_path / "ratings.csv")
    asked = [
        "fit",
        str(table),
        "--scale",
        "1-5",
        "--model",
        str(adapted / "run" / "model"),
        "--output",
        str(tmp_path / "r"),
    ]
    for flags in (["--lora-rank", "8"], ["--lora-alpha", "3"], ["--lora-targets", "q_proj"]):
        assert main([*asked, *flags]) == 2
        assert f"{flags[0]} " in (told := capsys.readouterr().err)
        assert "is a LoRA adapter with" in told
    assert not (tmp_path / "r").exists()
    assert main([*asked, "--lora-rank", "4", "--dry-run"]) == 0
    assert "lora_alpha = 8.0" in capsys.readouterr().out


def test_an_adapter_whose_base_was_moved_asks_for_it(tmp_path, adapted, capsys):
    shutil.copytree(adapted, tmp_path, dirs_exist_ok=True)
    moved = (tmp_path / "model" / "grader").rename(tmp_path / "moved")
    adapter = tmp_path / "run" / "model"
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace(str(adapted), str(tmp_path)))
    table = shared.ratings(tmp_path / "ratings.csv")
    asked = ["fit", str(table), "--scale", "1-5", "--model", str(adapter), "--output", str(tmp_path / "r")]
    asked += [
        "--iterations",
        "1",
        "--steps",
        "1",
        "--draws",
        "1",
        "--max-new-tokens",
        "8",
        "--max-prompt-tokens",
        "600",
        "--go-on",  # this model writes no verdict
    ]
    assert main(asked) == 2
    assert "--adapter-base DIR" in capsys.readouterr().err
    assert main([*asked, "--adapter-base", str(adapted / "run")]) == 2
    assert not (tmp_path / "r").exists()
    assert main([*asked, "--adapter-base", str(moved)]) == 0
    judged = ["judge", str(tmp_path / "run"), str(table), "-o", str(tmp_path / "out.csv"), "--fast"]
    assert main(judged) == 2
    assert "--adapter-base DIR" in capsys.readouterr().err
    assert main([*judged, "--adapter-base", str(moved)]) == 0


def test_an_adapter_with_its_base_beside_it_finds_it(tmp_path, base):
    adapter = checkpoints.adapter(tmp_path / "adapter", shutil.copytree(base, tmp_path / "adapter" / "base"))
    config = tmp_path / "adapter" / "adapter_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "base_model_name_or_path": "base"}))
    assert models.load(adapter, device="cpu").model is not None
    assert models.weights_of(adapter) == str(tmp_path / "adapter" / "base")


def test_an_adapter_that_does_not_fit_its_base_is_refused_by_name(tmp_path, base):
    adapter = tmp_path / "adapter"
    checkpoints.adapter(adapter, base)
    held = load_file(adapter / "adapter_model.safetensors")
    name = next(iter(held))
    gone = held.pop(name)
    save_file({**held, "base_model.model.more.lora_A.weight": gone}, adapter / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=rf"it lacks {re.escape(name)}; it holds base_model\.model\.more"):
        models.check(str(adapter), str(adapter))


def test_lora_flags_reach_the_adapter(tmp_path, capsys):
    flags = {"lora_rank": 2, "lora_alpha": 3.0, "lora_dropout": 0.1, "lora_targets": ("q_proj", "v_proj")}
    run = shared.run(tmp_path, "run", iterations=1, **flags)
    settings = json.loads((run / "checkpoints" / "iteration-001" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"], settings["lora_dropout"]) == (2, 3.0, 0.1)
    assert set(settings["target_modules"]) == {"q_proj", "v_proj"}
    model, table = str(tmp_path / "model" / "grader"), str(tmp_path / "ratings.csv")
    asked = ["fit", table, "--scale", "1-5", "--model", model, "--output", str(tmp_path / "other")]
    for more in ([], ["--dry-run"]):
        assert main([*asked, "--lora-rank", "2", "--lora-targets", "q_proj", "qkv", *more]) == 2
        assert "no linear layers called qkv. It has down_proj, gate_proj" in capsys.readouterr().err
    assert main([*asked, "--lora-alpha", "2"]) == 2
    assert not (tmp_path / "other").exists()


# Tokens -------------------------------------------------------------------------------------------------------------


def test_a_tokenizer_with_more_tokens_than_the_embedding_is_refused(tmp_path, base, capsys):
    from transformers import AutoTokenizer

    larger = shutil.copytree(base, tmp_path / "larger")
    words = AutoTokenizer.from_pretrained(larger)
    words.add_tokens(["<image_of_nothing>"], special_tokens=True)
    words.save_pretrained(larger)
    models.check(str(larger), str(larger))  # no text can hold it, and nothing draws it
    words.add_tokens(["kindness"])
    words.save_pretrained(larger)
    with pytest.raises(ModelError, match=r"does not know: 'kindness'; the model's embedding has \d+ rows"):
        models.load(str(larger), device="cpu")
    table = shared.ratings(tmp_path / "ratings.csv")
    asked = ["fit", str(table), "--scale", "1-5", "--model", str(larger), "--output", str(tmp_path / "run")]
    for dry in ([], ["--dry-run"]):
        assert main([*asked, *dry]) == 2
        assert "'kindness'" in capsys.readouterr().err
    words = AutoTokenizer.from_pretrained(base)
    words.add_special_tokens({"pad_token": "<pad-that-is-new>"})
    words.save_pretrained(larger)
    with pytest.raises(ModelError, match="pad-that-is-new"):
        models.check(str(larger), str(larger))


def test_prompts_that_are_all_too_long_are_refused_before_anything_is_written(tmp_path, base, capsys):
    table = shared.ratings(tmp_path / "ratings.csv")
    asked = ["fit", str(table), "--scale", "1-5", "--model", base, "--output", str(tmp_path / "run")]
    assert main([*asked, "--max-prompt-tokens", "20"]) == 2
    told = capsys.readouterr().err
    assert re.search(r"All 40 training prompts are too long: the shortest has \d\d+ tokens, and the limit is 20", told)
    assert not (tmp_path / "run").exists()


# Precision, space, disks --------------------------------------------------------------------------------------------


def logits(path, **how):
    loaded = models.load(str(path), device="cpu", **how)
    with torch.no_grad():
        return loaded.model(input_ids=torch.arange(1, 40)[None]).logits


def types(path):
    return {one.dtype for one in load_file(path / "model.safetensors").values()}


@pytest.mark.parametrize("stored", [torch.bfloat16, pytest.param(torch.float16, marks=pytest.mark.acceptance)])
def test_what_a_run_publishes_is_stored_as_its_base_was_and_is_what_was_measured(tmp_path, stored):
    shared.run(tmp_path, "first", iterations=1)
    model = tmp_path / "model" / "grader"
    held = load_file(model / "model.safetensors")
    save_file({name: one.to(stored) for name, one in held.items()}, model / "model.safetensors", {"format": "pt"})
    run = shared.run(tmp_path, "run", validation_share=0.0)
    theta = run / "checkpoints" / "iteration-002"
    assert (types(theta), types(run / "model")) == ({torch.float32}, {stored})
    config = json.loads((run / "model" / "config.json").read_text())
    assert config["dtype"] == str(stored).removeprefix("torch.")
    assert not any("rationem" in name for name in config)
    published, measured, trained = logits(run / "model"), logits(theta, published=True), logits(theta)
    assert torch.equal(published, measured)
    assert not torch.equal(published, trained)
    assert float((published - trained).abs().mean()) < 0.05
    assert types(tmp_path / "first" / "model") == {torch.float32}


def test_a_full_disk_in_a_checkpoint_is_told_in_a_sentence(tmp_path, base, monkeypatch, capsys):
    from rationem.errors import DiskError
    from rationem.sft import Training, moments
    from rationem.sft.m_step import SupervisedMStep
    from rationem.types import Prompt, Sample

    loaded = models.load(base, trainable=True, device="cpu")
    said = models.Chat(loaded.tokenizer).encode_completion("kind\nFinal rating: 4")
    samples = [Sample("1", Prompt("what is 3 ?"), said, 1.0)]
    (tmp_path / moments.FILE).symlink_to("/dev/full")
    train = SupervisedMStep(Training(steps=1, batch_size=1, micro_batch_size=1), "cpu")
    with pytest.raises(DiskError, match="No space left on device"):
        train(base, samples, iteration=1, seed=0, output=tmp_path)


@pytest.mark.acceptance
def test_only_the_best_and_the_last_checkpoint_are_kept_where_asked(tmp_path, monkeypatch, capsys):
    whole = shared.run(tmp_path, "whole", iterations=4)
    held = {path.name for path in (whole / "checkpoints").iterdir()}
    assert held == {f"iteration-{k:03d}" for k in (1, 2, 3, 4)}
    original = Ledger.finish

    def dying(self, iteration, phase, **told):
        original(self, iteration, phase, **told)
        if (iteration, phase) == (3, "m_step"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "finish", dying)
        with pytest.raises(KeyboardInterrupt):
            shared.run(tmp_path, "few", iterations=4, keep_checkpoints="best-and-last")
    run = shared.run(tmp_path, "few", iterations=4, keep_checkpoints="best-and-last")
    summary = json.loads((run / "metrics.json").read_text())
    best = summary["best_iteration"]
    assert {path.name for path in (run / "checkpoints").iterdir()} == {f"iteration-{k:03d}" for k in {best, 4} if k}
    assert (run / "model" / "model.safetensors").read_bytes() == (whole / "model" / "model.safetensors").read_bytes()
    before = (run / "report.md").read_bytes()
    assert main(["report", str(run)]) == 0
    assert (run / "report.md").read_bytes() == before
    lost = next(k for k in (1, 2, 3) if k != best)
    capsys.readouterr()
    assert main(["refit", str(run), "--output", str(tmp_path / "again"), "--iteration", str(lost + 1)]) == 2
    assert f"The weights that drew iteration {lost + 1} are missing" in capsys.readouterr().err


# One sentence for every model that cannot be used ---------------------------------------------------------------------


def quantised(folder, base):
    variant(base, folder, quantization_config={"quant_method": "gptq", "bits": 4})


def without_tokenizer(folder, base):
    shutil.copytree(base, folder)
    for path in [*folder.glob("tokenizer*"), *folder.glob("*.jinja")]:
        path.unlink()


def torn(folder, base):
    shutil.copytree(base, folder)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])


def gguf(folder, base):
    folder.mkdir()
    (folder / "model-Q4_K_M.gguf").write_bytes(b"GGUF")


def bert(folder, base):
    variant(base, folder, model_type="bert", architectures=["BertForMaskedLM"])


def classifier(folder, base):
    variant(base, folder, put("score.weight", torch.zeros(1, 32)), architectures=["LlamaForSequenceClassification"])


def absent(folder, base):
    pass


UNUSABLE = {
    quantised: "quantised weights (gptq)",
    without_tokenizer: "holds no tokenizer",
    torn: "model.safetensors is cut short",
    gguf: "model-Q4_K_M.gguf' cannot be read",
    bert: "not a causal language model (BertForMaskedLM)",
    classifier: "not a causal language model (LlamaForSequenceClassification)",
    absent: "There is no directory",
}


@pytest.mark.parametrize("make", UNUSABLE, ids=lambda make: make.__name__)
def test_a_model_that_cannot_be_used_costs_one_sentence_and_no_directory(tmp_path, base, capsys, make):
    make(tmp_path / "model", base)
    table = shared.ratings(tmp_path / "ratings.csv")
    asked = [str(table), "--scale", "1-5", "--model", str(tmp_path / "model")]
    for command in (
        ["fit", "--output", str(tmp_path / "run")],
        ["fit", "--dry-run", "--output", str(tmp_path / "run")],
    ):
        assert main([*command, *asked]) == 2
        told = capsys.readouterr().err
        assert UNUSABLE[make] in told
        *before, last = told.splitlines()
        assert last.startswith("rationem: ")
        assert set(before) <= {"checking the model"}
    assert not (tmp_path / "run").exists()


def test_a_hub_that_does_not_answer_is_told_once(tmp_path):
    import os
    import subprocess
    import sys

    table = shared.ratings(tmp_path / "ratings.csv")
    asked = ["fit", str(table), "--scale", "1-5", "--model", "no/such-model", "--output", str(tmp_path / "run")]
    nowhere = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path)}
    program = (
        "import sys, time; time.sleep = lambda _: None; "
        "from rationem.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, *asked], env=nowhere, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 2
    *reading, said = ended.stderr.splitlines()
    assert "".join(reading).startswith("reading")  # on several lines where the path is long
    assert said.startswith("rationem: Cannot read the model 'no/such-model'")
    assert ended.stderr.count("no/such-model") == said.count("no/such-model")


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("tokenizer_config.json", "bos_token", [[]]),
        ("config.json", "rms_norm_eps", "x"),
        ("config.json", "vocab_size", "1-5"),
        ("config.json", "num_key_value_heads", [[]]),
        ("tokenizer.json", "model", {"type": []}),
    ],
)
def test_settings_of_another_type_are_one_sentence_whatever_the_library_raises(file, key, value, tmp_path):
    directory = checkpoints.checkpoint(tmp_path / "model")
    path = Path(directory, file)
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    with pytest.raises(ModelError) as caught:
        models.load(models.resolve(directory))
    assert directory in str(caught.value)


def test_a_tokenizer_nested_without_end_is_one_sentence(tmp_path):
    directory = checkpoints.checkpoint(tmp_path / "model")
    Path(directory, "tokenizer.json").write_text("[" * 100_000)
    with pytest.raises(ModelError):
        models.load(models.resolve(directory))
