"""Small random models of many architectures: what each needs to be small, and to have every kind of its layers."""

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 512, "initializer_range": 0.3,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
_MAMBA2 = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_chunk_size": 8, "mamba_n_groups": 1}
_DELTA = {
    "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
    "layer_types": ["linear_attention", "full_attention"],
}  # fmt: skip
_EXPERTS = {"num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
_WINDOWS = {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"]}

#: Model type -> what differs from ``SIZES``. A window of 8 tokens is shorter than every prompt of the tests.
ATTENTION = {
    "llama": {}, "qwen2": {}, "qwen3": {}, "phi": {}, "phi3": {}, "smollm3": {}, "granite": {}, "olmo2": {},
    "cohere": {}, "stablelm": {}, "starcoder2": {}, "helium": {}, "glm4": {}, "gemma": {},
    "mistral": {"sliding_window": 8},
    "gemma2": _WINDOWS,
    "gemma3_text": _WINDOWS,
    "cohere2": _WINDOWS,
    "olmo3": _WINDOWS,
    "exaone4": _WINDOWS,
    "gpt_oss": {**_WINDOWS, **_EXPERTS},
    "mixtral": _EXPERTS,
    "qwen3_moe": _EXPERTS,
    "olmoe": _EXPERTS,
    "granitemoe": _EXPERTS,
    "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "gptj": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512, "rotary_dim": 4},
    "gpt_neox": {},
    "gpt_bigcode": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": 32},
    "bloom": {"n_layer": 2, "n_head": 4},
    "mpt": {"d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 512, "expansion_ratio": 2},
    "falcon": {"head_dim": None, "new_decoder_architecture": False, "multi_query": True},
    "deepseek_v3": {
        "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
        "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "first_k_dense_replace": 1, "n_shared_experts": 1, "num_key_value_heads": 4,
    },
    "deepseek_v32": {
        "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8,
        "n_routed_experts": 8, "n_group": 2, "topk_group": 1, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
        "first_k_dense_replace": 1, "n_shared_experts": 1, "num_key_value_heads": 4, "index_topk": 8,
        "index_head_dim": 16, "index_n_heads": 32,
    },
    "llama4_text": {
        **_EXPERTS, "attention_chunk_size": 8, "intermediate_size_mlp": 64, "num_hidden_layers": 4,
        "interleave_moe_layer_step": 2,
    },
    "biogpt": {},
    "gemma3n_text": {
        "num_hidden_layers": 4, "num_kv_shared_layers": 2, "sliding_window": 8, "hidden_size_per_layer_input": 8,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "laurel_rank": 4, "altup_num_inputs": 2,
        "activation_sparsity_pattern": [0.0] * 4,
    },
    "gemma4_text": {
        "num_hidden_layers": 4, "num_kv_shared_layers": 2, "sliding_window": 8, "hidden_size_per_layer_input": 8,
        "layer_types": ["sliding_attention", "full_attention"] * 2, "global_head_dim": 8,
    },
    "modernbert-decoder": {"local_attention": 8},
    "openai-gpt": {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 512},
}  # fmt: skip

RECURRENT = {
    "mamba": {"state_size": 8},
    "falcon_mamba": {"state_size": 8},
    "mamba2": {"state_size": 8, "num_heads": 8, "head_dim": 8, "n_groups": 1, "chunk_size": 8},
    "jamba": {
        "attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1,
        "num_experts": 4, "mamba_d_state": 8, "mamba_dt_rank": 4, "use_mamba_kernels": False,
    },
    "bamba": {**_MAMBA2, "attn_layer_indices": [1]},
    "granitemoehybrid": {
        **_MAMBA2, **_EXPERTS, "layer_types": ["mamba", "attention"], "layers_block_type": ["mamba", "attention"],
        "shared_intermediate_size": 32,
    },
    "falcon_h1": {**_MAMBA2, "mamba_d_ssm": 64},
    "nemotron_h": {
        "num_hidden_layers": 3, "hybrid_override_pattern": "M*-", "mamba_num_heads": 8, "mamba_head_dim": 8,
        "ssm_state_size": 8, "n_groups": 1, "chunk_size": 8,
    },
    "zamba2": {
        "num_hidden_layers": 4, "mamba_d_state": 8, "n_mamba_heads": 4, "mamba_ngroups": 1, "chunk_size": 8,
        "layers_block_type": ["mamba", "hybrid", "mamba", "hybrid"], "hybrid_layer_ids": [1, 3], "num_mem_blocks": 1,
        "use_mem_rope": True, "adapter_rank": 4, "num_key_value_heads": 4, "head_dim": None, "attention_head_dim": 16,
    },
    "qwen3_next": {**_DELTA, **_EXPERTS, "shared_expert_intermediate_size": 16},
    "qwen3_5_text": _DELTA,
    "qwen3_5_moe_text": {**_DELTA, **_EXPERTS, "shared_expert_intermediate_size": 16},
    "olmo_hybrid": _DELTA,
    "lfm2": {"layer_types": ["conv", "full_attention"], "block_ff_dim": 64},
    "lfm2_moe": {**_EXPERTS, "layer_types": ["conv", "full_attention"], "num_dense_layers": 1},
    "minimax": {**_EXPERTS, "layer_types": ["linear_attention", "full_attention"], "block_size": 4},
    "recurrent_gemma": {
        "lru_width": 32, "num_hidden_layers": 3, "attention_window_size": 8, "conv1d_width": 4,
        "num_key_value_heads": 1,
    },
    "zamba": {
        "num_hidden_layers": 6, "mamba_d_state": 8, "n_mamba_heads": 2, "mamba_dt_rank": 4, "attn_layer_period": 3,
        "attn_layer_offset": 2, "num_key_value_heads": 4, "head_dim": None, "attention_head_dim": 16,
    },
    "kimi_linear": {
        **_EXPERTS, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 8,
        "linear_num_heads": 4, "linear_head_dim": 8, "layer_types": ["linear_attention", "full_attention"],
        "num_key_value_heads": 4,
    },
    "bailing_hybrid": {
        **_EXPERTS, "kv_lora_rank": 16, "q_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8,
        "v_head_dim": 8, "layer_types": ["linear_attention", "full_attention"], "num_key_value_heads": 4, "n_group": 1,
        "topk_group": 1,
    },
    "lfm3": {"layer_types": ["conv", "full_attention"]},
    "zaya": {"num_experts": 4, "moe_intermediate_size": 16, "router_hidden_size": 16},
    "rwkv": {"attention_hidden_size": 32, "context_length": 512},
}  # fmt: skip


def model(kind: str, vocabulary: int, **others):
    """Return a random model in evaluation mode."""
    settings = {
        **SIZES,
        "vocab_size": vocabulary,
        "vocab_size_per_layer_input": vocabulary,
        **(ATTENTION | RECURRENT).get(kind, {}),
        **others,
    }
    config = AutoConfig.for_model(kind, **{name: value for name, value in settings.items() if value is not None})
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return AutoModelForCausalLM.from_config(config).eval()
