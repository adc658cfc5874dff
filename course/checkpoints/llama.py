"""Llama's layout: what Hugging Face calls its tensors and settings (lesson 10)."""

from course.checkpoints.layout import Place
from course.checkpoints.shards import CheckpointError


def places(model):
    """Where each tensor of Llama's layout goes: {name without "model.": `Place`}."""
    found = {"embed_tokens.weight": Place(model.token_embedding.embeddings)}
    for i, block in enumerate(model.decoder.blocks):
        attention, network = block.self_attention, block.feed_forward
        layers = {
            "self_attn.q_proj": attention.query_dense,
            "self_attn.k_proj": attention.key_dense,
            "self_attn.v_proj": attention.value_dense,
            "self_attn.o_proj": attention.output_dense,
            "mlp.gate_proj": network.gate,
            "mlp.up_proj": network.inner,
            "mlp.down_proj": network.outer,
        }
        for part, layer in layers.items():
            found[f"layers.{i}.{part}.weight"] = Place(layer.kernel, True)
            if layer.use_bias:
                found[f"layers.{i}.{part}.bias"] = Place(layer.bias)
        found[f"layers.{i}.input_layernorm.weight"] = Place(block.attention_norm.gamma)
        found[f"layers.{i}.post_attention_layernorm.weight"] = Place(block.feed_forward_norm.gamma)
    found["norm.weight"] = Place(model.decoder.final_norm.gamma)
    if model.output_dense is not None:
        found["lm_head.weight"] = Place(model.output_dense.kernel, True)
    return found


def plain_name(name):
    """A tensor's name without "model."; None for a buffer that holds no weight."""
    return None if name.endswith("rotary_emb.inv_freq") else name.removeprefix("model.")


def file_name(name):
    """The name of a tensor in the file of a model with its output projection."""
    return name if name.startswith("lm_head.") else f"model.{name}"


def settings(config, name):
    """What `CausalLM` takes, from Llama's config.json.

    Raises:
        CheckpointError: if the config lacks a size, or asks for what `CausalLM` does not have.
    """
    sizes = ("vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads")
    lacking = [key for key in (*sizes, "intermediate_size") if key not in config]
    if lacking:
        raise CheckpointError(f"{name}: config.json lacks {', '.join(lacking)}.")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type", rope.get("type", "default"))
    width = config["hidden_size"] // config["num_attention_heads"]
    bias = bool(config.get("attention_bias", False))
    odd = {
        "rope_type": (kind, "default"),
        "head_dim": (config.get("head_dim") or width, width),
        "hidden_act": (config.get("hidden_act", "silu"), "silu"),
        "mlp_bias": (bool(config.get("mlp_bias", False)), bias),  # here one setting for both
    }
    for key, (value, usual) in odd.items():
        if value != usual:
            raise CheckpointError(
                f"{name}: config.json has {key} = {value!r}, and this model's is {usual!r}: the "
                "checkpoint cannot be computed here as it was trained."
            )
    return {
        "vocab_size": config["vocab_size"],
        "num_layers": config["num_hidden_layers"],
        "d_model": config["hidden_size"],
        "num_heads": config["num_attention_heads"],
        "num_key_value_heads": config.get("num_key_value_heads"),
        "d_ff": config["intermediate_size"],
        "max_length": config.get("max_position_embeddings", 2048),
        "epsilon": config.get("rms_norm_eps", 1e-6),
        "rope_base": float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0),
        "use_bias": bias,
        "tie_embeddings": config.get("tie_word_embeddings", False),
        **KIND,
        "activation": "silu",
        "dropout": 0.0,
    }


KIND = {"positions": "rotary", "normalization": "rms", "gated": True}  # of `CausalLM`


def config_of(model):
    """Llama's config.json for a model.

    Raises:
        ValueError: if the model is not of Llama's kind, naming what differs.
    """
    ours = model.get_config()
    wanted = KIND | {"activation": "silu"}
    differing = [f"{key} = {ours[key]!r}" for key, value in wanted.items() if ours[key] != value]
    if differing:
        raise ValueError(f"Llama's layout has no place for {', '.join(differing)}.")
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": ours["vocab_size"],
        "num_hidden_layers": ours["num_layers"],
        "hidden_size": ours["d_model"],
        "num_attention_heads": ours["num_heads"],
        "num_key_value_heads": ours["num_key_value_heads"] or ours["num_heads"],
        "intermediate_size": ours["d_ff"],
        "max_position_embeddings": ours["max_length"],
        "rms_norm_eps": ours["epsilon"],
        "rope_theta": ours["rope_base"],
        "attention_bias": ours["use_bias"],
        "mlp_bias": ours["use_bias"],
        "hidden_act": "silu",
        "tie_word_embeddings": ours["tie_embeddings"],
    }
