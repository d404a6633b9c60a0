"""A model's files: what tells one checkpoint from another, and what is refused before anything is loaded or written."""

import json
import shutil
import time

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from rationem.engines import architectures
from rationem.engines.checkpoint import changed, digest, tensors
from rationem.errors import ModelError

slow = pytest.mark.slow
LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}


def plain(folder, content=None, **settings):
    """A directory with two tensors and a configuration."""
    folder.mkdir(parents=True)
    numbers = np.arange(12, dtype=np.float32).reshape(3, 4) if content is None else content
    save_file({"a": numbers, "b": np.ones(5, np.float16)}, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**LLAMA, **settings}))
    (folder / "tokenizer.json").write_text("{}")
    return folder


def differing(one, other):
    return changed(digest(one).to_json(), digest(other).to_json())


def sharded(folder, source):
    """The same tensors, each in a file of its own."""
    shutil.copytree(source, folder)
    held = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    where = {name: f"model-{n}.safetensors" for n, name in enumerate(held)}
    for name, file in where.items():
        save_file({name: held[name]}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": where}))
    return folder


# What a digest tells apart ------------------------------------------------------------------------------------------


def test_a_moved_or_renamed_directory_has_the_same_digest(tmp_path):
    one = plain(tmp_path / "one")
    shutil.copytree(one, tmp_path / "deeper" / "other")
    assert differing(one, tmp_path / "deeper" / "other") == []


def test_each_file_that_decides_what_a_model_says_is_named_when_it_changes(tmp_path):
    one = plain(tmp_path / "one")
    other = plain(tmp_path / "other", np.arange(12, dtype=np.float32).reshape(3, 4) + np.float32(1e-6))
    assert differing(one, other) == ["model.safetensors"]
    (other / "tokenizer.json").write_text('{"other": 1}')
    (other / "chat_template.jinja").write_text("{{ messages }}")
    (other / "config.json").write_text(json.dumps({**LLAMA, "rope_theta": 1.0}))
    (other / "README.md").write_text("of no account")
    names = ["chat_template.jinja", "config.json", "model.safetensors", "tokenizer.json"]
    assert differing(one, other) == differing(other, one) == names


def test_a_tensor_of_the_same_bytes_and_another_shape_or_name_is_another(tmp_path):
    numbers = np.arange(12, dtype=np.float32)
    one, other = plain(tmp_path / "one", numbers.reshape(3, 4)), plain(tmp_path / "other", numbers.reshape(4, 3))
    assert differing(one, other) == ["model.safetensors"]
    save_file({"c": numbers.reshape(3, 4), "b": np.ones(5, np.float16)}, other / "model.safetensors")
    assert differing(one, other) == ["model.safetensors"]


def test_weights_cut_into_other_files_are_the_same_weights(tmp_path):
    one = plain(tmp_path / "one")
    other = sharded(tmp_path / "other", one)
    assert differing(one, other) == []
    save_file({"b": np.zeros(5, np.float16)}, other / "model-1.safetensors")
    assert "model-1.safetensors" in differing(one, other)


def test_who_wrote_a_configuration_is_no_part_of_the_model(tmp_path):
    one = plain(tmp_path / "one", transformers_version="5.0", torch_dtype="float32", _name_or_path="/a")
    other = plain(tmp_path / "other", transformers_version="5.1", dtype="float32", _name_or_path="/b")
    assert differing(one, other) == []


def sparse(path, tensors=64, each=2**28, fill=None):
    """A safetensors file of 16 GB that takes no room: its tensors are holes, but for what is filled in."""
    described = {
        f"layers.{n}": {"dtype": "U8", "shape": [each], "data_offsets": [n * each, (n + 1) * each]}
        for n in range(tensors)
    }
    head = json.dumps(described).encode()
    with path.open("wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        file.truncate(8 + len(head) + tensors * each)
        if fill is not None:
            file.seek(8 + len(head) + fill * each)
            file.write(b"\1" * 2**20 * 40)
    return path


@slow
def test_a_checkpoint_of_sixteen_gigabytes_has_its_digest_in_a_second(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    sparse(one / "model.safetensors")
    sparse(other / "model.safetensors", fill=37)
    started = time.process_time()
    found = digest(one)
    assert time.process_time() - started < 1
    assert changed(found.to_json(), digest(other).to_json()) == ["model.safetensors"]


# What is torn -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [0, 5, 40, -1])
def test_a_torn_file_is_refused_by_its_name(tmp_path, length):
    folder = plain(tmp_path / "one")
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ModelError, match=r"model\.safetensors is (cut short|not a safetensors file, or it is damaged)"):
        tensors(folder)


def test_a_header_that_lies_is_refused(tmp_path):
    folder = plain(tmp_path / "one")
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for old, new in ((b"[3,4]", b"[3,5]"), (b"[48,58]", b"[47,58]"), (b'"shape"', b'"shapf"')):
        path.write_bytes(whole.replace(old, new))
        with pytest.raises(ModelError, match=r"model\.safetensors"):
            tensors(folder)
    path.write_bytes(whole + b"more")
    with pytest.raises(ModelError, match="longer than its header says"):
        tensors(folder)


def test_an_index_that_names_absent_files_or_tensors_is_refused(tmp_path):
    folder = sharded(tmp_path / "sharded", plain(tmp_path / "one"))
    index = folder / "model.safetensors.index.json"
    content = json.loads(index.read_text())
    index.write_text(json.dumps({"weight_map": {**content["weight_map"], "c": "model-0.safetensors"}}))
    with pytest.raises(ModelError, match="names tensors that no file holds: c"):
        tensors(folder)
    (folder / "model-1.safetensors").unlink()
    with pytest.raises(ModelError, match=r"Weights are missing in .*: model-1\.safetensors of 2 files"):
        tensors(folder)
    index.write_text(json.dumps({"weight_map": {"a": "../one/model.safetensors"}}))
    with pytest.raises(ModelError, match="names no files of weights"):
        tensors(folder)


# Which kinds of models are read -------------------------------------------------------------------------------------


@slow
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, r"quantised weights \(gptq\)"),
        ({"quantization_config": {"quant_method": "awq"}}, r"quantised weights \(awq\)"),
        ({"quantization_config": {"load_in_4bit": True}}, r"quantised weights \(quantization_config\)"),
        ({"quantization_config": {"quant_method": "fp8"}}, r"quantised weights \(fp8\)"),
        ({"compression_config": {"quant_method": "compressed-tensors"}}, r"quantised weights \(compressed-tensors\)"),
        ({"model_type": "t5", "is_encoder_decoder": True, "architectures": None}, r"an encoder-decoder \(t5\)"),
        ({"vision_config": {"depth": 1}}, r"not a text-only model \(LlamaForCausalLM, with vision_config\)"),
        ({"architectures": ["LlamaForSequenceClassification"]}, r"not a causal .* \(LlamaForSequenceClassification\)"),
        ({"model_type": "bert", "architectures": ["BertForMaskedLM"]}, r"not a causal .* \(BertForMaskedLM\)"),
        ({"model_type": "bert", "architectures": ["BertModel"]}, r"not a causal .* \(BertModel\)"),
        ({"model_type": "clip", "architectures": ["CLIPModel"]}, r"not a causal .* \(CLIPModel\)"),
        ({"model_type": "mine", "auto_map": {"AutoConfig": "m.C"}}, "code that comes with a model is never run"),
        ({"model_type": "llama9"}, "model_type 'llama9', which transformers .* does not know"),
        ({"model_type": ""}, "has no model_type"),
    ],
)
def test_other_kinds_of_models_are_refused_in_one_sentence(tmp_path, settings, said):
    folder = plain(tmp_path / "one", **settings)
    with pytest.raises(ModelError, match=said) as error:
        architectures.check(folder)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


@slow
def test_a_causal_model_passes_with_any_name_of_its_class(tmp_path):
    for n, names in enumerate((["LlamaForCausalLM"], ["LlamaModel"], [], None)):
        architectures.check(plain(tmp_path / str(n), architectures=names, auto_map={"AutoConfig": "m.C"}))
    architectures.check(plain(tmp_path / "gpt2", model_type="gpt2", architectures=["GPT2LMHeadModel"]))


@slow
def test_formats_other_than_safetensors_are_refused_with_what_to_do(tmp_path):
    folder = plain(tmp_path / "one")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"weights as pytorch_model\.bin, and only safetensors"):
        architectures.check(folder)
    for name in ("config.json", "pytorch_model.bin"):
        (folder / name).unlink()
    with pytest.raises(ModelError, match=r"there is no config\.json \(it holds tokenizer\.json\)"):
        architectures.check(folder)
    plain(folder / "inner")
    with pytest.raises(ModelError, match=r"Did you mean '.*inner'"):
        architectures.check(folder)


def test_a_name_that_is_a_path_is_never_looked_for_on_the_hub(tmp_path):
    for name in (str(tmp_path / "gone"), "./gone", "../gone", "runs/a/b", "~/gone-gone"):
        with pytest.raises(ModelError, match="There is no directory"):
            architectures.find_path(name)
    for name in ("owner/name", "gpt2"):
        assert architectures.find_path(name) is None
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"is a file\. Name the directory"):
        architectures.find_path(str(tmp_path / "model.safetensors"))


def test_a_directory_without_a_tokenizer_is_refused(tmp_path):
    folder = plain(tmp_path / "one")
    architectures.check_tokenizer(folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match="holds no tokenizer"):
        architectures.check_tokenizer(folder)
