#!/usr/bin/env python3
"""Makes tests/vectors/lora: adapters that PEFT wrote for the checkpoints of tests/vectors/mllama, and what PEFT,
transformers and torch compute with them.

    /path/to/venv/bin/python tests/peers/make_lora_vectors.py tests/vectors

Each folder holds what PEFT saved (adapter_config.json, adapter_model.safetensors; the base's path is written relative)
and expected.safetensors: the logits of each case of the base's vectors, the loss of all of them, its gradient to every A
and B, and two courses of ten AdamW steps on A and B with weight decay, clipping and a falling learning rate, the gradients
of two batches added up for one step: "curve" in f32, "curve16" under torch.autocast in bfloat16. Made with peft 0.21.2,
transformers 5.24 and torch 2.15; needs them, and nothing in `make check` runs it.
"""
import json, pathlib, shutil, sys, tempfile
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from transformers import MllamaConfig, MllamaForConditionalGeneration

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from check_mllama_reverse import inputs_of
from make_mllama_vectors import published, target_loss, tie

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
# base: rank, alpha, names of targets, parts
ADAPTERS = {
    "one-tile": (3, 6, SEVEN, ("text", "cross")),
    "four-tiles": (2, 5, ["q_proj", "v_proj", "fc1", "fc2", "multi_modal_projector"], ("text", "cross", "vision")),
    "tied": (4, 4, ["k_proj", "o_proj", "down_proj"], ("text",)),
}
RATES = [0.02 * (1 - i / 20) for i in range(10)]


def load_base(folder):
    config = MllamaConfig.from_pretrained(folder)
    config._attn_implementation = "eager"
    model = MllamaForConditionalGeneration(config).float().eval()
    state = load_file(folder / "model.safetensors")
    for name, p in model.named_parameters():
        key = name if name in state else published(name)
        if key in state:
            p.data.copy_(state[key].float())
    if config.text_config.tie_word_embeddings:
        tie(model)
    return model


def part_of(config, module):
    if not module.startswith("model.language_model.layers."):
        return "vision" if module.startswith(("model.vision_model", "model.multi_modal")) else "other"
    return "cross" if int(module.split(".")[3]) in config.text_config.cross_attention_layers else "text"


def attach(model, rank, alpha, names, parts, seed):
    modules = [n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n.split(".")[-1] in names and part_of(model.config, n) in parts]
    torch.manual_seed(seed)
    wrapped = get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=0.0, target_modules=modules)).eval()
    for name, p in wrapped.named_parameters():
        if "lora_B" in name:
            p.data.normal_(std=0.2)
    return wrapped


def load_cases(config, expected):
    cases, n = [], 0
    while f"{n}.tokens" in expected:
        pattern = "".join("t" if t else "." for t in expected[f"{n}.targets"])
        cases.append((pattern, inputs_of(config, expected, n)))
        n += 1
    return cases


def losses_of(model, cases):
    losses, counts = zip(*[target_loss(model(**inputs, use_cache=False).logits.float(), inputs, pattern) for pattern, inputs in cases])
    return sum(losses), sum(counts)


def plain(name):
    return name.replace(".default.", ".")


def course(model, cases, half):
    factors = [p for n, p in model.named_parameters() if "lora_" in n]
    start = [p.detach().clone() for p in factors]
    optimizer = torch.optim.AdamW(factors, lr=0.01, betas=(0.9, 0.98), eps=1e-8, weight_decay=0.1)
    total = sum(pattern[1:].count("t") for pattern, _ in cases)
    curve, norms = [], []
    for rate in RATES:
        optimizer.zero_grad()
        value = 0
        for batch in (cases[:2], cases[2:]):  # accumulation: each batch counts by its targets
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = losses_of(model, batch)[0] / total
            loss.backward()
            value += loss.item()
        norms.append(float(torch.nn.utils.clip_grad_norm_(factors, 0.5)))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        curve.append(value)
    for p, s in zip(factors, start):
        p.data.copy_(s)
    return torch.tensor(curve), torch.tensor(norms)


def save_adapter(model, folder, name):
    with tempfile.TemporaryDirectory() as tmp:
        model.save_pretrained(tmp)
        config = json.loads((pathlib.Path(tmp) / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = f"../../mllama/{name}"
        config["target_modules"] = sorted(config["target_modules"])
        (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
        shutil.copy(pathlib.Path(tmp) / "adapter_model.safetensors", folder)


def main(root):
    for seed, (name, (rank, alpha, names, parts)) in enumerate(ADAPTERS.items()):
        base = pathlib.Path(root) / "mllama" / name
        folder = pathlib.Path(root) / "lora" / name
        folder.mkdir(parents=True, exist_ok=True)
        model = attach(load_base(base), rank, alpha, names, parts, seed)
        cases = load_cases(model.config, load_file(base / "expected.safetensors"))
        save_adapter(model, folder, name)
        out = {}
        with torch.no_grad():
            for n, (_, inputs) in enumerate(cases):
                out[f"{n}.logits"] = model(**inputs, use_cache=False).logits[0]
        loss, count = losses_of(model, cases)
        (loss / count).backward()
        out["loss"] = (loss / count).detach().reshape(1)
        for key, p in model.named_parameters():
            if p.requires_grad:
                out["grad." + plain(key)] = p.grad.clone()
        model.zero_grad()
        out["rates"] = torch.tensor(RATES)
        out["curve"], out["norms"] = course(model, cases, False)
        out["curve16"], out["norms16"] = course(model, cases, True)
        save_file({k: v.detach().float().contiguous() for k, v in out.items()}, folder / "expected.safetensors")
        keys = get_peft_model_state_dict(model)
        print(name, len(keys), "tensors, loss", out["loss"].item(), "curve", [round(float(x), 4) for x in out["curve"]],
              "in bf16", [round(float(x), 4) for x in out["curve16"]])


if __name__ == "__main__":
    main(sys.argv[1])
