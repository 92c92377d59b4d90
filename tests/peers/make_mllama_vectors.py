#!/usr/bin/env python3
"""Makes tests/vectors/mllama: small random mllama checkpoints and what transformers computes on them.

    /path/to/venv/bin/python tests/peers/make_mllama_vectors.py tests/vectors/mllama

Each folder holds a checkpoint (config.json, model.safetensors) and expected.safetensors: for each case its
tokens, targets, tiles, logits, decoder layer outputs and vision states; for the cases together the loss (mean
cross-entropy per target token), its gradient to every weight, and the losses of ten AdamW steps. All numbers
are f32. Made with transformers 5.23 and torch 2.15; needs both, and nothing in `make check` runs it.
"""
import json, pathlib, sys
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import MllamaConfig, MllamaForConditionalGeneration
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense, get_cross_attention_token_mask)

IMAGE = 40  # token id = vocab_size
RATIOS4 = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]
LLAMA3 = dict(rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)

# name: text options, vision options, storage dtype, newer naming, cases as (prompt pattern, ratio ids)
# A pattern is one letter per token: `i` image, `.` context, `t` target.
MODELS = {
    "one-tile": (dict(num_key_value_heads=2, cross_attention_layers=[1]),
                 dict(max_num_tiles=1, supported_aspect_ratios=[[1, 1]], intermediate_layers_indices=[0], num_hidden_layers=2,
                      num_global_layers=1, vision_output_dim=32),
                 torch.float32, False,
                 [("i....tttt", [1]), ("..i...tt.tt", [1]), ("....tt", []), ("i.i..ttt", [1, 1])]),
    "four-tiles": (dict(num_key_value_heads=2, cross_attention_layers=[1, 3], num_hidden_layers=4, rope=LLAMA3),
                   dict(max_num_tiles=4, supported_aspect_ratios=RATIOS4, intermediate_layers_indices=[1, 2], num_hidden_layers=3,
                        num_global_layers=2, vision_output_dim=48, hidden_act="quick_gelu"),
                   torch.float32, True,
                   [(".i...ttt", [1]), ("i...tttt", [6]), ("..i..tt", [3]), (".i...i..tttt", [2, 5]), (".ii..i...tt", [1, 7, 4]), ("...tt", [])]),
    "tied": (dict(num_key_value_heads=4, cross_attention_layers=[0, 2], tie_word_embeddings=True),
             dict(max_num_tiles=2, supported_aspect_ratios=[[1, 1], [1, 2], [2, 1]], intermediate_layers_indices=[0], num_hidden_layers=1,
                  num_global_layers=1, vision_output_dim=32),
             torch.bfloat16, False,
             [("i....ttt", [3]), (".....ttttt" + "." * 40 + "ttt", []), ("ii..tt", [1, 2])]),
}


def make_config(text, vision):
    rope = text.pop("rope", None)
    text = dict(dict(vocab_size=40, hidden_size=24, intermediate_size=28, num_hidden_layers=3, num_attention_heads=4,
                     max_position_embeddings=128, rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=0,
                     eos_token_id=[1, 2], pad_token_id=3), **text)
    text["rope_parameters"] = dict(rope or dict(rope_type="default"), rope_theta=10000.0)
    vision = dict(dict(hidden_size=16, intermediate_size=20, attention_heads=2, image_size=12, patch_size=4, norm_eps=1e-5), **vision)
    return MllamaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE)


def fill(model, seed):
    """Every weight random and large enough that none can be wrong unnoticed; gates open."""
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.numel() == 1:
            p.data.copy_(0.4 + 0.3 * noise)
        elif "norm" in name and name.endswith("weight"):
            p.data.copy_(1 + 0.2 * noise)
        else:
            p.data.copy_(noise * (0.3 if p.dim() < 2 or "embed" in name else p[0].numel() ** -0.5))


def make_inputs(config, pattern, ratios, generator):
    v = config.vision_config
    tokens = [IMAGE if c == "i" else int(torch.randint(4, 40, (1,), generator=generator)) for c in pattern]
    inputs = dict(input_ids=torch.tensor([tokens]))
    tiles = []
    if ratios:
        n, T, S = len(ratios), v.max_num_tiles, v.image_size
        pixels, mask = torch.zeros(1, n, T, 3, S, S), torch.zeros(1, n, T, dtype=torch.long)
        counts = [v.supported_aspect_ratios[r - 1][0] * v.supported_aspect_ratios[r - 1][1] for r in ratios]
        for i, count in enumerate(counts):
            pixels[0, i, :count] = torch.randn(count, 3, S, S, generator=generator)
            mask[0, i, :count] = 1
            tiles.append(pixels[0, i, :count])
        spans = get_cross_attention_token_mask(tokens, IMAGE)
        dense = convert_sparse_cross_attention_mask_to_dense([spans], num_tiles=[counts], max_num_tiles=T, length=len(tokens))
        inputs.update(pixel_values=pixels, aspect_ratio_ids=torch.tensor([ratios]), aspect_ratio_mask=mask,
                      cross_attention_mask=torch.tensor(np.array(dense)))
    return inputs, tiles


def target_loss(logits, inputs, pattern):
    where = [i for i, c in enumerate(pattern) if c == "t"]
    return torch.nn.functional.cross_entropy(logits[0, [i - 1 for i in where]], inputs["input_ids"][0, where], reduction="sum"), len(where)


def total_loss(model, cases):
    losses, counts = zip(*[target_loss(model(**inputs, use_cache=False).logits, inputs, pattern) for pattern, _, inputs, _ in cases])
    return sum(losses) / sum(counts)


def tie(model):
    """transformers 5 no longer ties this family's head; the gradient of a tied one is the sum of both."""
    head = model.lm_head
    del head._parameters["weight"]
    embed = model.model.language_model.embed_tokens
    head.forward = lambda x: x @ embed.weight[:40].T


def published(name):
    """The key a published checkpoint has for a parameter of transformers 5."""
    if name == "lm_head.weight":
        return "language_model.lm_head.weight"
    name = name.removeprefix("model.")
    return name.replace("language_model.", "language_model.model.", 1) if name.startswith("language_model.") else name


def record(model, cases, out):
    for n, (pattern, ratios, inputs, tiles) in enumerate(cases):
        kept, hooks = {}, []
        for i, layer in enumerate(model.model.language_model.layers):
            hooks.append(layer.register_forward_hook(lambda m, a, o, i=i: kept.__setitem__(f"layer.{i}", o[0] if isinstance(o, tuple) else o)))
        hooks.append(model.model.multi_modal_projector.register_forward_hook(lambda m, a, o: kept.__setitem__("states", o)))
        with torch.no_grad():
            logits = model(**inputs, use_cache=False).logits
        for hook in hooks:
            hook.remove()
        out[f"{n}.tokens"] = inputs["input_ids"][0].float()
        out[f"{n}.targets"] = torch.tensor([float(c == "t") for c in pattern])
        out[f"{n}.ratios"] = torch.tensor([float(r) for r in ratios])
        out[f"{n}.logits"] = logits[0]
        for key, value in kept.items():
            out[f"{n}.{key}"] = value.reshape(-1, value.shape[-1])
        for i, tile in enumerate(tiles):
            out[f"{n}.tiles.{i}"] = tile


def curve(model, cases, steps=10):
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([dict(params=matrices, weight_decay=0.1), dict(params=rest, weight_decay=0.0)],
                                  lr=0.01, betas=(0.9, 0.98), eps=1e-8)
    losses, norms = [], []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = total_loss(model, cases)
        loss.backward()
        norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)))
        optimizer.step()
        losses.append(loss.item())
    return torch.tensor(losses), torch.tensor(norms)


def main(root):
    for seed, (name, (text, vision, dtype, newer, patterns)) in enumerate(MODELS.items()):
        torch.manual_seed(seed)
        config = make_config(dict(text), dict(vision))
        config._attn_implementation = "eager"
        model = MllamaForConditionalGeneration(config).float().eval()
        fill(model, seed)
        tied = config.text_config.tie_word_embeddings
        for p in model.parameters():
            p.data = p.data.to(dtype).float()
        if tied:
            tie(model)
        folder = pathlib.Path(root) / name
        folder.mkdir(parents=True, exist_ok=True)
        weights = {k if newer else published(k): p.detach().to(dtype).contiguous() for k, p in model.named_parameters()}
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        text_json = config.to_dict()
        (folder / "config.json").write_text(json.dumps(text_json, indent=1, sort_keys=True) + "\n")
        generator = torch.Generator().manual_seed(100 + seed)
        cases = [(pattern, ratios, *make_inputs(config, pattern, ratios, generator)) for pattern, ratios in patterns]
        out = {}
        record(model, cases, out)
        loss = total_loss(model, cases)
        loss.backward()
        out["loss"] = loss.detach().reshape(1)
        for key, p in model.named_parameters():
            out["grad." + published(key)] = (p.grad if p.grad is not None else torch.zeros_like(p)).clone()
        out["curve"], out["norms"] = curve(model, cases)
        save_file({k: v.detach().float().contiguous() for k, v in out.items()}, folder / "expected.safetensors")
        print(name, "loss", loss.item(), "curve", [round(float(x), 4) for x in out["curve"]])


if __name__ == "__main__":
    main(sys.argv[1])
