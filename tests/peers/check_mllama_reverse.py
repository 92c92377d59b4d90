#!/usr/bin/env python3
"""The reverse check: model directories that this project's trainer saved open in transformers, and adapters in PEFT, with the
same logits.

    make tests/peers/save-mllama      # in the build tree
    /path/to/venv/bin/python tests/peers/check_mllama_reverse.py SRCDIR BUILDDIR

For each checkpoint of tests/vectors/mllama the helper program trains two steps, saves the model as f32 and as bf16,
and writes its own logits of every case; transformers loads what was saved (no key missing, none unexpected) and must
give the same. An adapter is put on its base by peft.PeftModel.from_pretrained, every one of its tensors taken. Prints the figures; exits 1 when one is above 1e-4 (bf16 weights are exact in f32, so both are held to it).
"""
import json, pathlib, subprocess, sys, tempfile
import torch
from safetensors.torch import load_file
from transformers import MllamaForConditionalGeneration

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from make_mllama_vectors import IMAGE, get_cross_attention_token_mask, convert_sparse_cross_attention_mask_to_dense, np


def inputs_of(config, expected, n):
    tokens = [int(t) for t in expected[f"{n}.tokens"]]
    ratios = [int(r) for r in expected[f"{n}.ratios"]]
    out = dict(input_ids=torch.tensor([tokens]))
    if ratios:
        v = config.vision_config
        T, S = v.max_num_tiles, v.image_size
        pixels, mask, counts = torch.zeros(1, len(ratios), T, 3, S, S), torch.zeros(1, len(ratios), T, dtype=torch.long), []
        for i in range(len(ratios)):
            tiles = expected[f"{n}.tiles.{i}"]
            counts.append(tiles.shape[0])
            pixels[0, i, :counts[i]] = tiles
            mask[0, i, :counts[i]] = 1
        dense = convert_sparse_cross_attention_mask_to_dense([get_cross_attention_token_mask(tokens, IMAGE)], num_tiles=[counts], max_num_tiles=T, length=len(tokens))
        out.update(pixel_values=pixels, aspect_ratio_ids=torch.tensor([ratios]), aspect_ratio_mask=mask, cross_attention_mask=torch.tensor(np.array(dense)))
    return out


def open_adapter(folder, saved):
    from peft import PeftModel, get_peft_model_state_dict
    from make_lora_vectors import load_base
    model = PeftModel.from_pretrained(load_base(folder), saved).eval()
    written, taken = load_file(saved / "adapter_model.safetensors"), get_peft_model_state_dict(model)
    assert set(written) == set(taken), set(written) ^ set(taken)
    assert all(torch.equal(written[key], taken[key]) for key in written)
    return model


def open_saved(folder, saved):
    if saved.name == "adapter":
        return open_adapter(folder, saved)
    model, info = MllamaForConditionalGeneration.from_pretrained(saved, dtype=torch.float32, output_loading_info=True, attn_implementation="eager")
    faults = {k: v for k, v in info.items() if v}
    assert not faults, faults
    return model


def main(source, build):
    worst_of_all = 0
    for folder in sorted((pathlib.Path(source) / "tests/vectors/mllama").iterdir()):
        expected = load_file(folder / "expected.safetensors")
        with tempfile.TemporaryDirectory() as tmp:
            subprocess.run([f"{build}/tests/peers/save-mllama", folder, tmp], check=True)
            for dtype in ("f32", "bf16", "adapter"):
                model = open_saved(folder, pathlib.Path(tmp) / dtype)
                ours = load_file(pathlib.Path(tmp) / f"{dtype}.logits")
                worst = 0
                for key, logits in ours.items():
                    with torch.no_grad():
                        theirs = model(**inputs_of(model.config, expected, int(key))).logits[0, -1]
                    worst = max(worst, float((theirs - logits).abs().max() / theirs.abs().max()))
                print(f"{folder.name} {dtype}: {len(ours)} prompts, largest difference of logits {worst:.1e}, no key missing or unexpected")
                worst_of_all = max(worst_of_all, worst)
    return worst_of_all > 1e-4


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:3]))
