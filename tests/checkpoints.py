"""Small random checkpoints in real architectures, with tokenizers in the style of the families that users pick."""

import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEXT = (
    "Rate the response on the scale. Reason first, then end with one line: Final rating: LEVEL\n"
    "Prompt: what is 3 + 4 ?\n\nResponse: 7, of course.\nThe correct rating is 4. Explain why.\n"
    "Bad < Could be Improved < Acceptable < Excellent 0123456789 the answer is right and the tone is kind\n"
) * 4

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Puts a system turn first where there is none.
QWEN2 = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n{% endif %}"
) + CHATML
# Trims the content and writes the begin-of-text token into the text.
LLAMA3 = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content | trim }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)

# Knows no system role, and says so.
GEMMA = (
    "{{ bos_token }}{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
# Knows none either, and leaves it out without a word.
SILENT = CHATML.replace("in messages %}", "in messages if m.role != 'system' %}")
# The model writes the thinking block itself; it is kept of the last turn only; with the switch off it is there, empty.
QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.role == 'assistant' %}"
    "{% set parts = m.content.split('</think>') %}{% if loop.last %}<think>\n"
    "{{ parts[0].split('<think>')[-1].strip('\n') if parts | length > 1 else '' }}\n</think>\n\n{% endif %}"
    "{{ parts[-1].lstrip('\n') }}{% else %}{{ m.content }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
# The prompt opens the thinking block; what was thought is never shown again.
R1 = (
    "{{ bos_token }}{% for m in messages %}{% if m.role == 'user' %}<|user|>{{ m.content }}"
    "{% elif m.role == 'assistant' %}<|assistant|>{{ m.content.split('</think>')[-1] }}<|end|>"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}{% if add_generation_prompt %}<|assistant|><think>\n{% endif %}"
)

STYLES = {
    "chatml": (CHATML, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>", None, "<|endoftext|>"),
    "qwen2": (QWEN2, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>", None, "<|endoftext|>"),
    "llama3": (
        LLAMA3,
        ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        "<|end_of_text|>",
        "<|begin_of_text|>",
        None,
    ),
}
#: Styles that differ in their template and their control tokens alone: for tests of how a model is spoken to.
TEMPLATES = STYLES | {
    "gemma": (GEMMA, ["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"], "<eos>", "<bos>", None),
    "silent": (SILENT, STYLES["chatml"][1], "<|im_end|>", None, "<|endoftext|>"),
    "qwen3": (QWEN3, STYLES["chatml"][1], "<|im_end|>", None, "<|endoftext|>"),
    "r1": (R1, ["<|begin|>", "<|end|>", "<|user|>", "<|assistant|>"], "<|end|>", "<|begin|>", None),
    "base": (None, ["<|endoftext|>"], "<|endoftext|>", None, None),
}
#: Of these the tokenizer has the tags of a thinking block; like the families', added and not special.
THINKING = ("qwen3", "r1")


@cache
def tokenizer(style: str = "chatml") -> PreTrainedTokenizerFast:
    template, special, eos, bos, pad = TEMPLATES[style]
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    raw.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    raw.train_from_iterator(
        [TEXT],
        trainers.BpeTrainer(vocab_size=400, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    raw.add_tokens(["<tool_call>"])  # added, yet not special: families have such tokens too
    if style in THINKING:
        raw.add_tokens(["<think>", "</think>"])
    made = PreTrainedTokenizerFast(tokenizer_object=raw, eos_token=eos, bos_token=bos, pad_token=pad)
    made.chat_template = template
    return made


def checkpoint(path: Path, style: str = "chatml", *, layers: int = 2, seed: int = 0, tied: bool = True) -> str:
    """Save a random Llama, or Qwen2 for that style; generation_config.json holds values that must not be obeyed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    words = tokenizer(style)
    sizes = {
        "vocab_size": len(words), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": layers,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 1024,
        "tie_word_embeddings": tied, "initializer_range": 0.2,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Qwen2ForCausalLM(Qwen2Config(**sizes)) if style == "qwen2" else LlamaForCausalLM(LlamaConfig(**sizes))
    model.generation_config.update(do_sample=True, temperature=0.01, top_k=1, top_p=0.5, repetition_penalty=5.0)
    model.generation_config.eos_token_id = [words.eos_token_id]
    model.save_pretrained(path)
    words.save_pretrained(path)
    return str(path)


def grader(
    path: Path, *, steps: int = 120, style: str = "chatml", says: Callable[[str, str], str] | None = None
) -> str:
    """Save a one-layer model that writes verdicts of a random level, also behind a hint: it is too small to copy one.

    Of its draws so many have a verdict (five seeds): after 120 steps .92 or more, after 60 .83 or more.
    ``says`` makes a completion of a rationale and a level; without it they are written as the task does.
    A process trains the same grader once; here are copies of it and of the random weights that it began with.
    """
    shutil.copytree(_trained(steps, style, says), path, dirs_exist_ok=True)
    return str(path / "grader")


@cache
def _trained_models() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="rationem-tests-")


@cache
def _trained(steps: int, style: str, says: Callable[[str, str], str] | None) -> Path:
    import random

    from rationem import JudgeTask, Sample, Scale, SupervisedMStep, Training
    from rationem.engines.chat import Chat

    path = Path(tempfile.mkdtemp(dir=_trained_models().name))
    base = checkpoint(path / "random", style, layers=1)
    task, draw, chat = JudgeTask(Scale.parse("1-5")), random.Random(0), Chat(tokenizer(style))
    says = says or task.format
    samples = []
    for n in range(400):
        fields, level = {"prompt": f"what is {n} ?", "response": f"{n} kind"}, draw.choice(task.levels)
        prompt = task.hint_prompt(fields, level) if n % 3 else task.prompt(fields)
        text = says(draw.choice(("kind", "right", "the tone is kind")), level)
        samples.append(Sample(str(n), prompt, chat.encode_completion(text), 1.0))
    target = path / "grader"
    target.mkdir()
    SupervisedMStep(Training(steps=steps, batch_size=16, micro_batch_size=16, learning_rate=1e-2), "cpu")(
        base, samples, iteration=1, seed=0, output=target
    )
    (target / "optimizer.pt").unlink()
    return path


def adapter(path: Path, base: str) -> str:
    """Save a LoRA adapter that moves its base: random numbers where a fresh one has zeros."""
    import torch
    from peft import LoraConfig, get_peft_model

    from rationem.engines import models as loading

    loaded = loading.load(base, trainable=True, device="cpu")
    with loading.quiet():
        adapted = get_peft_model(loaded.model, LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM"))
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(7)
        for name, weight in adapted.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.1)
    loading.save(adapted, loaded.tokenizer, path)
    return str(path)
