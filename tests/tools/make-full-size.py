#!/usr/bin/env python3
"""Makes a model directory of the size and layout of Llama-3.2-11B-Vision-Instruct as published: 906 tensors in bf16 in
five shards with their index, 21 GB of sparse files that take a few MB of disk.

    make-full-size.py DIR

Weights are zero but for FILLED below. The tokenizer has as many tokens as the published one, made of byte pairs and
triples. Ends with 77 where the file system has no room for such files.
"""
import errno
import json
import os
import pathlib
import struct
import sys

LAYERS, CROSS, HIDDEN, KV, FFN, VOCAB = 40, [3, 8, 13, 18, 23, 28, 33, 38], 4096, 1024, 14336, 128256
HEAD_DIM, LOCAL, GLOBAL, WIDTH, MLP, PATCH, PATCHES, TILES, RATIOS = 128, 32, 8, 1280, 5120, 14, 1601, 4, 9
SHARD = 4_950_000_000  # bytes at most

CONFIG = {
    "architectures": ["MllamaForConditionalGeneration"], "image_token_index": VOCAB, "model_type": "mllama",
    "text_config": {
        "_name_or_path": "", "add_cross_attention": False, "architectures": None, "bos_token_id": 128000,
        "cross_attention_layers": CROSS, "dropout": 0, "eos_token_id": [128001, 128008,
                                                                        128009], "hidden_act": "silu", "hidden_size":
        HIDDEN, "initializer_range": 0.02, "intermediate_size": FFN, "max_position_embeddings": 131072, "model_type":
        "mllama_text_model", "num_attention_heads": 32, "num_hidden_layers": LAYERS, "num_key_value_heads": 8,
        "pad_token_id": 128004, "rms_norm_eps": 1e-05, "rope_theta": 500000.0, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": VOCAB, "rope_scaling": {
            "factor": 8.0, "high_freq_factor": 4.0, "low_freq_factor": 1.0, "original_max_position_embeddings": 8192,
            "rope_type": "llama3"
        }
    }, "torch_dtype": "bfloat16", "transformers_version": "4.45.0.dev0", "vision_config": {
        "_name_or_path": "", "architectures": None, "attention_heads": 16, "hidden_act": "gelu", "hidden_size": WIDTH,
        "image_size": 560, "intermediate_layers_indices": [3, 7, 15, 23, 30], "intermediate_size": MLP, "max_num_tiles":
        TILES, "model_type": "mllama_vision_model", "norm_eps": 1e-05, "num_channels": 3, "num_global_layers": GLOBAL,
        "num_hidden_layers": LOCAL, "patch_size": PATCH, "torch_dtype": "bfloat16", "vision_output_dim": 7680,
        "supported_aspect_ratios": [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
    }
}
PREPROCESSOR = {
    "do_convert_rgb": True, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
    "image_processor_type": "MllamaImageProcessor", "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std":
    [0.26862954, 0.26130258, 0.27577711], "max_image_tiles": TILES, "resample": 2, "rescale_factor":
    0.00392156862745098, "size": {"height": 560, "width": 560}
}
GENERATION = {
    "bos_token_id": 128000, "do_sample": True, "eos_token_id": [128001, 128008, 128009], "pad_token_id": 128004,
    "temperature": 0.6, "top_p": 0.9
}

# Tensors that are not zero: (key, first element, elements); element i is (7 i + 3) mod 128, exact in bf16.
FILLED = [("language_model.model.norm.weight", 0, HIDDEN),
          ("language_model.model.layers.38.cross_attn.k_norm.weight", 0, HEAD_DIM),
          ("language_model.model.layers.3.cross_attn_attn_gate", 0, 1),
          ("language_model.model.embed_tokens.weight", (VOCAB + 7) * HIDDEN, HIDDEN),
          ("language_model.lm_head.weight", VOCAB * HIDDEN - 100, 100), ("vision_model.class_embedding", 0, WIDTH),
          ("vision_model.global_transformer.layers.7.gate_ffn", 0, 1), ("multi_modal_projector.bias", 0, HIDDEN)]


def text_shapes():
    for n in range(LAYERS):
        prefix, attention = f"language_model.model.layers.{n}.", "cross_attn" if n in CROSS else "self_attn"
        yield from ((prefix + f"{attention}.{name}_proj.weight", shape)
                    for name, shape in (("q", [HIDDEN, HIDDEN]), ("k", [KV, HIDDEN]), ("v", [KV, HIDDEN]),
                                        ("o", [HIDDEN, HIDDEN])))
        yield from ((prefix + f"mlp.{name}_proj.weight", shape)
                    for name, shape in (("gate", [FFN, HIDDEN]), ("up", [FFN, HIDDEN]), ("down", [HIDDEN, FFN])))
        yield from ((prefix + f"{name}_layernorm.weight", [HIDDEN]) for name in ("input", "post_attention"))
        if n in CROSS:
            yield from ((prefix + f"cross_attn.{name}_norm.weight", [HEAD_DIM]) for name in "qk")
            yield from ((prefix + f"cross_attn_{name}_gate", [1]) for name in ("attn", "mlp"))
    yield from (("language_model.lm_head.weight", [VOCAB, HIDDEN]),
                ("language_model.model.embed_tokens.weight", [VOCAB + 8,
                                                              HIDDEN]), ("language_model.model.norm.weight", [HIDDEN]))


def vision_shapes():
    for part, layers in (("transformer", LOCAL), ("global_transformer", GLOBAL)):
        for n in range(layers):
            prefix = f"vision_model.{part}.layers.{n}."
            yield from ((prefix + f"self_attn.{name}_proj.weight", [WIDTH, WIDTH]) for name in "qkvo")
            yield from ((prefix + name, shape)
                        for name, shape in (("mlp.fc1.weight", [MLP, WIDTH]), ("mlp.fc1.bias", [MLP]),
                                            ("mlp.fc2.weight", [WIDTH, MLP]), ("mlp.fc2.bias", [WIDTH])))
            yield from ((prefix + f"{name}_layernorm.{kind}", [WIDTH]) for name in ("input", "post_attention")
                        for kind in ("weight", "bias"))
            if part == "global_transformer":
                yield from ((prefix + name, [1]) for name in ("gate_attn", "gate_ffn"))
    yield from ((f"vision_model.layernorm_{name}.{kind}", [WIDTH]) for name in ("pre", "post")
                for kind in ("weight", "bias"))
    yield from ((f"vision_model.{name}_tile_positional_embedding.{part}", shape) for name in ("pre", "post")
                for part, shape in (("embedding.weight", [RATIOS, TILES * WIDTH]), ("gate", [1])))
    yield from ((f"vision_model.gated_positional_embedding.{part}", shape)
                for part, shape in (("embedding", [PATCHES, WIDTH]), ("gate", [1]),
                                    ("tile_embedding.weight", [RATIOS, TILES * PATCHES * WIDTH])))
    yield "vision_model.class_embedding", [WIDTH]
    yield "vision_model.patch_embedding.weight", [WIDTH, 3, PATCH, PATCH]
    yield from (("multi_modal_projector.weight", [HIDDEN, WIDTH * 6]), ("multi_modal_projector.bias", [HIDDEN]))


def elements(shape):
    n = 1
    for side in shape:
        n *= side
    return n


def shards(tensors):
    shard, size = [], 0
    for key, shape in tensors:
        if size + 2 * elements(shape) > SHARD:
            yield shard
            shard, size = [], 0
        shard.append((key, shape))
        size += 2 * elements(shape)
    yield shard


def write_shard(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for key, shape in tensors:
        header[key] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + 2 * elements(shape)]}
        at += 2 * elements(shape)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + at)
        for key, first, count in FILLED:
            if key in header:
                file.seek(8 + len(text) + header[key]["data_offsets"][0] + 2 * first)
                file.write(b"".join(struct.pack("<f", (7 * i + 3) % 128)[2:] for i in range(first, first + count)))
    return at


def byte_level(space, trim, regex):
    return dict(type="ByteLevel", add_prefix_space=space, trim_offsets=trim, use_regex=regex)


def write_tokenizer(path):
    printable = [*range(0x21, 0x7f), *range(0xa1, 0xad), *range(0xae, 0x100)]
    spare = iter(range(256, 512))
    alphabet = [chr(byte if byte in printable else next(spare)) for byte in range(256)]
    pairs = [(a, b) for a in alphabet for b in alphabet]
    merges = pairs + [(a + b, alphabet[0]) for a, b in pairs][:128000 - 256 - len(pairs)]
    vocab = {token: n for n, token in enumerate(alphabet + [a + b for a, b in merges])}
    names = [
        "<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>", "<|reserved_special_token_1|>",
        "<|finetune_right_pad_id|>", "<|step_id|>", "<|start_header_id|>", "<|end_header_id|>", "<|eom_id|>",
        "<|eot_id|>", "<|python_tag|>"
    ]
    names += [f"<|reserved_special_token_{n}|>" for n in range(2, 2 + 256 - len(names))] + ["<|image|>"]
    pattern = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
               r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
    plain = dict(single_word=False, lstrip=False, rstrip=False, normalized=False, special=True)
    split = dict(type="Split", pattern=dict(Regex=pattern), behavior="Isolated", invert=False)
    start = dict(id=names[0], ids=[128000], tokens=[names[0]])
    template = dict(type="TemplateProcessing", pair=[], single=[dict(SpecialToken=dict(id=names[0], type_id=0)),
                                                             dict(Sequence=dict(id="A", type_id=0))],
                    special_tokens={names[0]: start})
    spec = dict(
        version="1.0", truncation=None, padding=None, normalizer=None,
        added_tokens=[dict(id=128000 + n, content=name, **plain) for n, name in enumerate(names)],
        pre_tokenizer=dict(type="Sequence", pretokenizers=[split, byte_level(False, True, False)]),
        post_processor=dict(type="Sequence", processors=[byte_level(True, False, True), template]),
        decoder=byte_level(True, True, True),
        model=dict(type="BPE", dropout=None, unk_token=None, continuing_subword_prefix=None, end_of_word_suffix=None,
                   fuse_unk=False, byte_fallback=False, ignore_merges=True, vocab=vocab,
                   merges=[f"{a} {b}" for a, b in merges]))
    path.write_text(json.dumps(spec, ensure_ascii=False, indent=2), encoding="utf-8")


def main(folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    parts = list(shards([*vision_shapes(), *text_shapes()]))
    index, total = {}, 0
    for n, part in enumerate(parts, 1):
        name = f"model-{n:05}-of-{len(parts):05}.safetensors"
        total += write_shard(folder / name, part)
        index |= {key: name for key, _ in part}
    (folder / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}, indent=2) + "\n")
    files = {"config.json": CONFIG, "preprocessor_config.json": PREPROCESSOR, "generation_config.json": GENERATION}
    for name, value in files.items():
        (folder / name).write_text(json.dumps(value, indent=2) + "\n")
    write_tokenizer(folder / "tokenizer.json")
    disk = sum(os.stat(folder / name).st_blocks for name in os.listdir(folder)) * 512
    print(f"{len(index)} tensors, {total} bytes of weights in {len(parts)} shards, {disk} bytes of disk")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        main(sys.argv[1])
    except OSError as error:
        print(f"make-full-size: {error}", file=sys.stderr)
        sys.exit(77 if error.errno in (errno.EFBIG, errno.ENOSPC, errno.EDQUOT) else 1)
