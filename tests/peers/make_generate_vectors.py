#!/usr/bin/env python3
"""Makes a complete small random mllama directory (weights, tokenizer, preprocessing) and
expected.json: what transformers generates greedily from chats with images.

  make_generate_vectors.py TOKENIZER_JSON DIR [--seed N] [--cases N]

Images are drawn by the formula of make_preprocess_vectors.py. A reply is cut where the two
likeliest tokens are nearly equal, since there rounding decides.
Made with transformers 5.23 and torch 2.15; needs both, and nothing in `make check` runs it.
"""
import argparse
import json
import pathlib
import random
import shutil

import numpy as np
import torch
from PIL import Image
from transformers import MllamaConfig, MllamaForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.mllama.processing_mllama import convert_sparse_cross_attention_mask_to_dense, get_cross_attention_token_mask

from make_chat_vectors import TEMPLATE
from make_preprocess_vectors import draw, resize_across_then_down

MARGIN = 0.02  # logits
WORDS = "the red circle is left of a blue square how many shapes are there A B better answer ? ! 12 größer 字 😀 [[A]]".split()
RATIOS = [[1, 1], [1, 2], [1, 3], [1, 4], [2, 1], [2, 2], [3, 1], [4, 1]]


def make_model(vocab, seed):
    text = dict(vocab_size=vocab, hidden_size=32, intermediate_size=40, num_hidden_layers=4, cross_attention_layers=[1, 3],
                num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-5, tie_word_embeddings=False,
                bos_token_id=vocab - 8, eos_token_id=[vocab - 7, vocab - 4], pad_token_id=vocab - 1,
                rope_parameters=dict(rope_type="default", rope_theta=10000.0))
    vision = dict(hidden_size=16, intermediate_size=24, attention_heads=2, image_size=16, patch_size=4, norm_eps=1e-5, max_num_tiles=4,
                  supported_aspect_ratios=RATIOS, intermediate_layers_indices=[0], num_hidden_layers=2, num_global_layers=1, vision_output_dim=32)
    model = MllamaForConditionalGeneration(MllamaConfig(text_config=text, vision_config=vision, image_token_index=vocab))
    generator = torch.Generator().manual_seed(seed)
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if p.numel() == 1:
            p.data.fill_(1.5)
        elif "norm" in name and name.endswith("weight"):
            p.data.copy_(1 + 0.2 * noise)
        else:
            p.data.copy_(noise * (0.5 if p.dim() < 2 or "embed" in name else 1.5 * p[0].numel() ** -0.5))
    model.lm_head.weight.data.mul_(2)
    model.lm_head.weight.data[:256].mul_(0.4)  # mostly whole characters, so that texts tell tokens apart
    model.lm_head.weight.data[[vocab - 7, vocab - 4]] *= 1.6  # some replies end by themselves
    return model.to(torch.bfloat16).float().eval()


def make_case(rng):
    turns = rng.choice([1, 1, 1, 2])
    messages = []
    for turn in range(turns):
        images = [{"width": rng.randrange(4, 60), "height": rng.randrange(4, 60), "kind": rng.choice(["noise", "ramp"])} for _ in range(rng.choice([0, 1, 1, 2]))]
        messages.append({"role": "user", "images": images, "text": " ".join(rng.choices(WORDS, k=rng.randrange(1, 12)))})
        if turn + 1 < turns:
            messages.append({"role": "assistant", "images": [], "text": " ".join(rng.choices(WORDS, k=5))})
    return {"messages": messages, "max_tokens": rng.randrange(4, 28)}


def run(model, tokenizer, processor, case):
    chat = [{"role": m["role"], "content": [{"type": "image"}] * len(m["images"]) + [{"type": "text", "text": m["text"]}]} for m in case["messages"]]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=False)
    inputs = dict(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))
    pictures = [Image.fromarray(draw(i["width"], i["height"], i["kind"]), "RGB") for m in case["messages"] for i in m["images"]]
    if pictures:
        seen = processor(images=[pictures], return_tensors="pt")
        spans = get_cross_attention_token_mask(ids, model.config.image_token_index)
        mask = convert_sparse_cross_attention_mask_to_dense([spans], seen["num_tiles"], processor.max_image_tiles, len(ids))
        inputs |= dict(pixel_values=seen["pixel_values"], aspect_ratio_ids=seen["aspect_ratio_ids"], aspect_ratio_mask=seen["aspect_ratio_mask"],
                       cross_attention_mask=torch.tensor(mask))
    with torch.no_grad():
        out = model.generate(**inputs, do_sample=False, max_new_tokens=case["max_tokens"], output_logits=True, return_dict_in_generate=True)
    reply = out.sequences[0, len(ids):].tolist()
    for i, logits in enumerate(out.logits):
        top = logits[0].topk(2).values
        if top[0] - top[1] < MARGIN:
            reply = reply[:i]
            break
    case["max_tokens"] = max(len(reply), 1)
    case["prompt_tokens"] = len(ids)
    case["completion_tokens"] = len(reply)
    case["stopped"] = bool(reply) and reply[-1] in model.generation_config.eos_token_id
    case["text"] = tokenizer.decode(reply, skip_special_tokens=True).replace("\0", "\ufffd")
    return case if reply else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer", type=pathlib.Path)
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    Image.Image.resize = resize_across_then_down
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(args.tokenizer), bos_token="<|begin_of_text|>", chat_template=TEMPLATE)
    processor = MllamaImageProcessorPil(size={"height": 16, "width": 16}, max_image_tiles=4, image_mean=[0.48145466, 0.4578275, 0.40821073],
                                        image_std=[0.26862954, 0.26130258, 0.27577711])
    model = make_model(len(tokenizer) - 1, args.seed)
    model.generation_config.eos_token_id = model.config.text_config.eos_token_id
    model.generation_config.pad_token_id = model.config.text_config.pad_token_id
    rng = random.Random(args.seed)
    cases = []
    while len(cases) < args.cases:
        case = run(model, tokenizer, processor, make_case(rng))
        if case:
            cases.append(case)
    args.dir.mkdir(parents=True, exist_ok=True)
    model.to(torch.bfloat16).save_pretrained(args.dir)
    processor.save_pretrained(args.dir)
    shutil.copy(args.tokenizer, args.dir / "tokenizer.json")
    (args.dir / "expected.json").write_text(json.dumps(cases, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
