#!/usr/bin/env python3
"""Makes tests/vectors/lora/targets.json: which modules of a small mllama PEFT takes for those that `target_modules` names.

    /path/to/venv/bin/python tests/peers/make_target_vectors.py tests/vectors

"modules" are names of linear layers; each of "cases" has the target_modules of an adapter_config.json and the modules that
PEFT's own check takes. Made with peft 0.21.2; needs it, and nothing in `make check` runs it.
"""
import json, pathlib, sys
from peft import LoraConfig
from peft.tuners.tuners_utils import check_target_module_exists

TEXT = "model.language_model.layers."
MODULES = [f"{TEXT}{i}.{m}" for i in (0, 1, 10) for m in ("self_attn.q_proj", "self_attn.o_proj", "cross_attn.q_proj", "mlp.up_proj", "mlp.down_proj")] + [
    "model.vision_model.transformer.layers.1.self_attn.q_proj", "model.vision_model.transformer.layers.1.mlp.fc1",
    "model.vision_model.global_transformer.layers.0.self_attn.o_proj", "model.multi_modal_projector", "q_proj"]
TARGETS = [
    ["q_proj"], ["q_proj", "down_proj"], ["1.self_attn.q_proj"], ["0.self_attn.q_proj"], [f"{TEXT}0.self_attn.q_proj"], ["roj"], ["_proj"], [],
    ["self_attn"], ["multi_modal_projector", "fc1"], ["model"], ["language_model.layers.1.mlp.up_proj"], [".q_proj"], [""],
    ".*q_proj", "q_proj", r".*\.(q|o)_proj", r".*language_model.*\.(self|cross)_attn\.q_proj", r"model\.language_model\.layers\.[0-9]\..*", r".*layers\.\d+\.mlp\.\w+",
    r"(?!.*vision).*(?:q_proj|fc1)", r".*self_attn", "model|q_proj", r"^model\..*projector$", ".*(?i:Q_PROJ)",
]


def main(root):
    cases = []
    for target in TARGETS:
        config = LoraConfig(target_modules=target)
        cases.append({"target_modules": target, "taken": [m for m in MODULES if check_target_module_exists(config, m)]})
    path = pathlib.Path(root) / "lora" / "targets.json"
    path.write_text(json.dumps({"modules": MODULES, "cases": cases}, indent=1) + "\n")


main(*sys.argv[1:])
