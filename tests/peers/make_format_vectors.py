#!/usr/bin/env python3
"""Makes small random mllama directories in every layout that published and exported checkpoints come in, with what
transformers computes on them: tests/vectors/formats.

  make_format_vectors.py DIR                         the committed vectors: one folder per row of LAYOUTS
  make_format_vectors.py DIR --random N [--seed S]   N folders of random layouts and one of GEOMETRY, all logits kept
                                                     (VJ_FORMAT_VECTORS=DIR tests/engine/test-formats reads them;
                                                     check_formats.py does both)

Each folder: config.json, generation_config.json, weights, tokenizer.json, preprocessor_config.json or
processor_config.json, expected.json (chats, prompt ids, the 64 ids and the text that greedy decoding gives) and
logits.safetensors ("C.S": the logits before token S of chat C, f32). Images are drawn by the formula of
make_preprocess_vectors.py. All chats reach 64 tokens with no two likeliest tokens so close that rounding decides.
Made with transformers 5.24 and torch 2.15; needs both, and nothing in `make check` runs it.
"""
import argparse
import copy
import json
import pathlib
import random
import shutil

import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import MllamaConfig, MllamaForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.mllama.image_processing_pil_mllama import (MllamaImageProcessorPil,
                                                                    get_all_supported_aspect_ratios)
from transformers.models.mllama.processing_mllama import (convert_sparse_cross_attention_mask_to_dense,
                                                          get_cross_attention_token_mask)

from make_chat_vectors import TEMPLATE
from make_generate_vectors import WORDS
from make_mllama_vectors import published
from make_preprocess_vectors import draw, resize_across_then_down
from make_tokenizer_vectors import train

STEPS = 64
MARGIN = 1e-3  # between the two likeliest, of the largest logit
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)
PUBLISHED = dict(naming="older", spelling="older", shards=5, dtype="bf16", processor="preprocessor", tied=False)
NEWER = dict(PUBLISHED, naming="newer", spelling="newer")

# name: text sizes, vision sizes, layout
LAYOUTS = {
    "as-published": (dict(heads=4, kv=2, layers=5, cross=[1, 3], rope=LLAMA3),
                     dict(tiles=4, taken=[0, 2], layers=3),
                     PUBLISHED),
    "newer-names": (dict(heads=4, kv=4, layers=4, cross=[0, 3], rope=LLAMA3),
                    dict(tiles=4, act="quick_gelu"),
                    dict(NEWER, shards=1, dtype="f32", processor="processor")),
    "newer-names-in-shards": (dict(heads=6, kv=1, layers=4, cross=[2, 3]),
                              dict(tiles=2, global_layers=2),
                              dict(NEWER, shards=3)),
    "half-precision": (dict(heads=3, kv=3, layers=3, cross=[1], rope=dict(rope_type="linear", factor=2.0)),
                       dict(tiles=3, image=18),
                       dict(PUBLISHED, dtype="f16", shards=1)),
    "tied-without-head": (dict(heads=2, kv=1, layers=4, cross=[1, 2]),
                          dict(tiles=1),
                          dict(NEWER, shards=2, tied=True)),
    "tied-with-head": (dict(heads=4, kv=2, layers=3, cross=[2], rope=LLAMA3),
                       dict(tiles=4, taken=[1, 0], layers=2),
                       dict(PUBLISHED, shards=1, tied="head")),
    "mixed-dtypes": (dict(heads=4, kv=2, layers=4, cross=[0, 2], rope=LLAMA3),
                     dict(tiles=6, image=12),
                     dict(PUBLISHED, dtype="mixed", shards=2, processor="processor")),
    "library-saved": (dict(heads=4, kv=2, layers=4, cross=[1]),
                      dict(tiles=4),
                      dict(PUBLISHED, naming="library", spelling="newer")),
}

# The head sizes, tiles, patches and rotary settings of the published model, in few layers; goes with --random.
GEOMETRY = (dict(heads=2, kv=1, head_dim=128, layers=3, cross=[1], ffn=300, theta=5e5,
                 rope=dict(LLAMA3, original_max_position_embeddings=8192)),
            dict(tiles=4, image=560, patch=14, width=160, heads=2, layers=2, taken=[0, 1]),
            PUBLISHED)


def random_text(rng):
    heads, layers = rng.choice([2, 3, 4, 6]), rng.randrange(2, 7)
    ropes = [None, LLAMA3, dict(LLAMA3, factor=32.0, original_max_position_embeddings=16),
             dict(rope_type="linear", factor=4.0)]
    return dict(heads=heads, kv=rng.choice([n for n in range(1, heads + 1) if heads % n == 0]),
                head_dim=rng.choice([4, 6, 8, 10]), layers=layers, ffn=rng.randrange(20, 60),
                cross=sorted(rng.sample(range(layers), rng.randrange(1, min(layers, 3) + 1))),
                theta=rng.choice([1e4, 5e5]), rope=rng.choice(ropes))


def random_vision(rng):
    layers = rng.randrange(1, 4)
    return dict(tiles=rng.choice([1, 2, 3, 4, 4, 4, 6]), image=rng.choice([8, 12, 16, 18, 20]),
                heads=rng.choice([1, 2, 4]), layers=layers, global_layers=rng.randrange(1, 3),
                taken=rng.sample(range(layers), rng.randrange(1, layers + 1)),
                act=rng.choice(["gelu", "quick_gelu"]), eps=rng.choice([1e-5, 1e-6]))


def random_layout(rng):
    return (random_text(rng), random_vision(rng),
            dict(naming=rng.choice(["older", "newer", "library"]), spelling=rng.choice(["older", "newer"]),
                 shards=rng.choice([1, 1, 2, 4, 7]), dtype=rng.choice(["f32", "bf16", "f16", "mixed"]),
                 processor=rng.choice(["preprocessor", "processor"]), tied=rng.choice([False, False, True, "head"])))


def make_config(vocab, text, vision, layout):
    rope = dict(text.get("rope") or dict(rope_type="default"), rope_theta=text.get("theta", 10000.0))
    width, taken, side = vision.get("width", 16), vision.get("taken", [0]), vision.get("image", 16)
    return MllamaConfig(text_config=dict(vocab_size=vocab,
                                         hidden_size=text["heads"] * text.get("head_dim", 8),
                                         intermediate_size=text.get("ffn", 40),
                                         num_hidden_layers=text["layers"],
                                         cross_attention_layers=text["cross"],
                                         num_attention_heads=text["heads"],
                                         num_key_value_heads=text["kv"],
                                         max_position_embeddings=512,
                                         rms_norm_eps=1e-5,
                                         tie_word_embeddings=bool(layout["tied"]),
                                         bos_token_id=vocab - 8,
                                         eos_token_id=[vocab - 7, vocab - 4],
                                         pad_token_id=vocab - 1,
                                         rope_parameters=rope),
                        vision_config=dict(
                            hidden_size=width,
                            intermediate_size=24,
                            attention_heads=vision.get("heads", 2),
                            image_size=side,
                            patch_size=vision.get("patch", 4),
                            norm_eps=vision.get("eps", 1e-5),
                            max_num_tiles=vision["tiles"],
                            supported_aspect_ratios=[list(r) for r in get_all_supported_aspect_ratios(vision["tiles"])],
                            hidden_act=vision.get("act", "gelu"),
                            intermediate_layers_indices=taken,
                            num_hidden_layers=vision.get("layers", 2),
                            num_global_layers=vision.get("global_layers", 1),
                            vision_output_dim=width * (1 + len(taken))),
                        image_token_index=vocab)


def stored(name, p, dtype):
    if dtype == "mixed":
        return torch.float32 if p.dim() < 2 else torch.float16 if "vision" in name else torch.bfloat16
    return dict(f32=torch.float32, bf16=torch.bfloat16, f16=torch.float16)[dtype]


def make_model(config, seed, layout):
    """Random weights that tell tokens apart, already rounded to what will be stored."""
    config._attn_implementation = "eager"
    model = MllamaForConditionalGeneration(config).float().eval()
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.numel() == 1:
            p.data.copy_(1.0 + 0.3 * noise)
        elif "norm" in name and name.endswith("weight"):
            p.data.copy_(1 + 0.2 * noise)
        else:
            p.data.copy_(noise * (0.5 if p.dim() < 2 or "embed" in name else 1.5 * p[0].numel()**-0.5))
    if layout["tied"]:
        model.lm_head.weight.data.copy_(
            model.model.language_model.embed_tokens.weight.data[:model.lm_head.weight.shape[0]])
    for name, p in model.named_parameters():
        p.data = p.data.to(stored(name, p, layout["dtype"])).float()
    return model


def older_config(config):
    """As files of 2024 spell it: rope_theta beside rope_scaling, torch_dtype."""
    for part in (config, config["text_config"], config["vision_config"]):
        part["torch_dtype"] = part.pop("dtype", None) or "bfloat16"
    text = config["text_config"]
    rope = text.pop("rope_parameters")
    text["rope_theta"] = rope.pop("rope_theta")
    text["rope_scaling"] = None if rope["rope_type"] == "default" else rope
    config["transformers_version"] = "4.45.0.dev0"
    return config


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, sort_keys=True, default=str) + "\n")


def save_weights(model, where, layout):
    if layout["naming"] == "library" and layout["tied"] is not True and layout["dtype"] != "mixed":
        total = sum(p.numel() for p in model.parameters()) * (4 if layout["dtype"] == "f32" else 2)
        # A copy, because this rounds the rotary frequencies too.
        rounded = copy.deepcopy(model).to(stored("", next(model.parameters()), layout["dtype"]))
        rounded.save_pretrained(where, max_shard_size=total // layout["shards"] + 4096)
        return
    weights = {
        name if layout["naming"] == "newer" else published(name):
        p.detach().to(stored(name, p, layout["dtype"])).contiguous()
        for name, p in model.named_parameters()
    }
    if layout["tied"] is True:
        weights = {key: value for key, value in weights.items() if not key.endswith("lm_head.weight")}
    if layout["shards"] == 1:
        save_file(weights, where / "model.safetensors", metadata={"format": "pt"})
        return
    n, keys, index = layout["shards"], list(weights), {}
    for i in range(n):
        part, name = keys[i * len(keys) // n:(i + 1) * len(keys) // n], f"model-{i + 1:05}-of-{n:05}.safetensors"
        save_file({key: weights[key] for key in part}, where / name, metadata={"format": "pt"})
        index |= {key: name for key in part}
    total = sum(value.numel() * value.element_size() for value in weights.values())
    write_json(where / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": index})


def save_processor(processor, where, layout):
    processor.save_pretrained(where)
    if layout["processor"] == "processor":  # what a processor saved by transformers 5 has instead
        inner = json.loads((where / "preprocessor_config.json").read_text())
        (where / "preprocessor_config.json").unlink()
        write_json(where / "processor_config.json", {"image_processor": inner, "processor_class": "MllamaProcessor"})


def save_config(config, where, layout):
    path = where / "config.json"
    spelled = json.loads(path.read_text()) if path.exists() else json.loads(config.to_json_string(use_diff=False))
    spelled.pop("_attn_implementation", None)
    write_json(path, older_config(spelled) if layout["spelling"] == "older" else spelled)


def make_chat(rng, side, images):
    """One or two questions; two or more images are spread over two."""
    two = images > 1 or rng.random() < .3
    first = images if images < 2 else rng.randrange(images + 1)
    messages = []
    for n in [first, images - first] if two else [images]:
        pictures = [dict(width=rng.randrange(2, 5 * side), height=rng.randrange(2, 5 * side),
                         kind=rng.choice(["noise", "ramp"])) for _ in range(n)]
        messages += [dict(role="user", images=pictures, text=" ".join(rng.choices(WORDS, k=rng.randrange(1, 10)))),
                     dict(role="assistant", images=[], text=" ".join(rng.choices(WORDS, k=4)))]
    return messages[:-1]


def inputs_of(model, tokenizer, processor, messages):
    chat = [dict(role=m["role"], content=[dict(type="image")] * len(m["images"]) + [dict(type="text", text=m["text"])])
            for m in messages]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
    inputs = dict(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
    pictures = [Image.fromarray(draw(i["width"], i["height"], i["kind"]), "RGB") for m in messages for i in m["images"]]
    if pictures:
        seen = processor(images=[pictures], return_tensors="pt")
        mask = convert_sparse_cross_attention_mask_to_dense(
            [get_cross_attention_token_mask(ids, model.config.image_token_index)], seen["num_tiles"],
            processor.max_image_tiles, len(ids))
        inputs |= dict(pixel_values=seen["pixel_values"],
                       aspect_ratio_ids=seen["aspect_ratio_ids"],
                       aspect_ratio_mask=seen["aspect_ratio_mask"],
                       cross_attention_mask=torch.tensor(mask))
    return ids, inputs


def speak(model, inputs):
    """64 greedy tokens and the logits before each; None where a reply ends sooner or rounding would decide."""
    n = inputs["input_ids"].shape[1]
    cached = 0 not in model.config.text_config.cross_attention_layers  # its cache takes its length from layer 0
    with torch.no_grad():
        out = model.generate(**inputs,
                             do_sample=False,
                             use_cache=cached,
                             max_new_tokens=STEPS,
                             output_logits=True,
                             return_dict_in_generate=True)
    reply, logits = out.sequences[0, n:].tolist(), torch.stack([step[0] for step in out.logits])
    top = logits.topk(2).values
    ended = len(reply) < STEPS or reply[-1] in model.generation_config.eos_token_id
    close = bool(((top[:, 0] - top[:, 1]) < MARGIN * logits.abs().max()).any())
    return None if ended or close else (reply, logits)


def converse(model, tokenizer, processor, rng, images):
    """A chat that can be compared: messages, prompt, reply, logits."""
    while True:
        messages = make_chat(rng, model.config.vision_config.image_size, images)
        ids, inputs = inputs_of(model, tokenizer, processor, messages)
        said = speak(model, inputs)
        if said is not None:
            return messages, ids, *said


def make(where, seed, text_sizes, vision, layout, kept_steps):
    rng = random.Random(seed)
    where.mkdir(parents=True, exist_ok=True)
    train(300, bool(seed % 2)).save(str(where / "tokenizer.json"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(where / "tokenizer.json"),
                                        bos_token="<|begin_of_text|>",
                                        chat_template=TEMPLATE)
    config = make_config(len(tokenizer) - 1, text_sizes, vision, layout)
    side = config.vision_config.image_size
    processor = MllamaImageProcessorPil(size={"height": side, "width": side},
                                        max_image_tiles=config.vision_config.max_num_tiles,
                                        image_mean=[0.48145466, 0.4578275, 0.40821073],
                                        image_std=[0.26862954, 0.26130258, 0.27577711])
    model = make_model(config, seed, layout)
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    model.generation_config.pad_token_id = config.text_config.pad_token_id
    save_weights(model, where, layout)
    save_processor(processor, where, layout)
    save_config(config, where, layout)
    model.generation_config.save_pretrained(where)
    chats, kept = [], {}
    for chat, images in enumerate((0, 1, 1, 2, 3)):
        messages, prompt, reply, logits = converse(model, tokenizer, processor, rng, images)
        kept |= {f"{chat}.{step}": logits[step].float().contiguous().clone() for step in range(0, STEPS, kept_steps)}
        text = tokenizer.decode(reply, skip_special_tokens=True).replace("\0", "\ufffd")
        chats.append(dict(messages=messages, prompt=prompt, reply=reply, text=text))
    (where / "expected.json").write_text(json.dumps(chats, separators=(",", ":")) + "\n")
    save_file(kept, where / "logits.safetensors")
    sizes = json.dumps(dict(text=text_sizes, vision=vision, **layout))
    print(f"{where.name}: {sizes}, {sum(len(c['prompt']) for c in chats)} prompt tokens", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1000)
    args = parser.parse_args()
    torch.set_num_threads(1)
    Image.Image.resize = resize_across_then_down
    layouts = {f"random-{args.seed + i}": random_layout(random.Random(args.seed + i)) for i in range(args.random)}
    layouts = layouts | {"published-geometry": GEOMETRY} if args.random else LAYOUTS
    for i, (name, (text, vision, layout)) in enumerate(layouts.items()):
        shutil.rmtree(args.dir / name, ignore_errors=True)
        make(args.dir / name, (args.seed if args.random else 0) + i, text, vision, layout, 1 if args.random else 21)


if __name__ == "__main__":
    main()
