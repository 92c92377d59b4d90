#!/usr/bin/env python3
"""The other side of tests/bench, by PyTorch and transformers: a worker as tests/bench/bench-kit.h describes it.

  bench_torch.py ROW MODEL-DIR CASES-FILE [--dtype f32|bf16] [--threads N] [--tokens N] [--draws N] [--temperature T]
                 [--batch N] [--cache dynamic|static] [--limit N]

  prefill   images and tokens of the first case, up to the first logits
  decode    --tokens tokens after the first one; the time of generate's own loop between them
  replies   every prompt with --draws returned sequences, in left-padded batches of --batch
  train     one AdamW step over all cases; bf16 means autocast over f32 weights
  start     opens the model, generates one token and ends

Prompts are read and pictures preprocessed outside the clock in prefill and decode, inside it in replies and train."""
import argparse
import json
import os
import sys
import time

import torch
from PIL import Image
from transformers import AutoProcessor, MllamaForConditionalGeneration, StoppingCriteria, StoppingCriteriaList
from transformers.models.mllama import processing_mllama

DTYPES = {"f32": torch.float32, "bf16": torch.bfloat16}


def peak_kib():
    with open("/proc/self/status", encoding="utf-8") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))


class Clock:
    """Wall and processor time between start and stop."""

    def start(self):
        self.seconds, self.cpu = -time.monotonic(), -time.process_time()

    def stop(self):
        self.seconds += time.monotonic()
        self.cpu += time.process_time()


class Ticks(StoppingCriteria):
    """Never stops; takes the time when each token is there."""

    def __init__(self):
        self.times = []

    def __call__(self, input_ids, scores, **_):
        self.times.append((time.monotonic(), time.process_time()))
        return torch.zeros(input_ids.shape[0], dtype=torch.bool)


class Side:
    def __init__(self, options):
        self.options = options
        torch.set_num_threads(options.threads)
        self.processor = AutoProcessor.from_pretrained(options.model)
        self.processor.tokenizer.padding_side = "left"
        dtype = torch.float32 if options.row == "train" else DTYPES[options.dtype]
        self.model = MllamaForConditionalGeneration.from_pretrained(options.model, dtype=dtype,
                                                                    attn_implementation="sdpa")
        self.model.train(options.row == "train")
        folder = os.path.dirname(options.cases)
        with open(options.cases, encoding="utf-8") as file:
            self.cases = [json.loads(line) for line in file][:options.limit]
        self.pictures = [[Image.open(os.path.join(folder, name)).convert("RGB") for name in case["images"]]
                         for case in self.cases]

    # -- inputs

    def from_tokens(self):
        """The first case's own tokens, as the processor would give them."""
        ids = self.cases[0]["tokens"]
        pixels = self.processor.image_processor
        seen = pixels(images=[self.pictures[0]], return_tensors="pt")
        spans = processing_mllama.get_cross_attention_token_mask(ids, self.model.config.image_token_index)
        mask = processing_mllama.convert_sparse_cross_attention_mask_to_dense([spans], seen["num_tiles"],
                                                                              pixels.max_image_tiles, len(ids))
        return {"input_ids": torch.tensor([ids]), "attention_mask": torch.ones(1, len(ids), dtype=torch.long),
                "pixel_values": seen["pixel_values"].to(self.model.dtype), "aspect_ratio_ids": seen["aspect_ratio_ids"],
                "aspect_ratio_mask": seen["aspect_ratio_mask"], "cross_attention_mask": torch.tensor(mask)}

    def chat(self, case, reply=None):
        images = [{"type": "image"}] * len(case["images"])
        messages = [{"role": "user", "content": images + [{"type": "text", "text": case["prompt"]}]}]
        if reply is not None:
            messages.append({"role": "assistant", "content": [{"type": "text", "text": reply}]})
        return self.processor.apply_chat_template(messages, add_generation_prompt=reply is None)

    def from_texts(self, texts, pictures):
        inputs = self.processor(text=texts, images=pictures, padding=True, return_tensors="pt",
                                add_special_tokens=False)
        return dict(inputs, pixel_values=inputs["pixel_values"].to(self.model.dtype))

    # -- rows

    def prefill(self, clock):
        inputs = self.from_tokens()
        clock.start()
        with torch.inference_mode():
            self.model(**inputs, use_cache=True, logits_to_keep=1)
        clock.stop()
        return len(self.cases[0]["tokens"]), 0

    def generate(self, inputs, **more):
        sampling = {"do_sample": False, "temperature": None, "top_p": None}
        if self.options.temperature > 0:
            sampling = {"do_sample": True, "temperature": self.options.temperature, "top_k": 0, "top_p": 1.0}
        if self.options.cache == "static":
            more["cache_implementation"] = "static"
        with torch.inference_mode():
            return self.model.generate(**inputs, **sampling, **more)

    def decode(self, clock):
        ticks, count = Ticks(), self.options.tokens
        self.generate(self.from_tokens(), max_new_tokens=count + 1, min_new_tokens=count + 1,
                      stopping_criteria=StoppingCriteriaList([ticks]))
        clock.seconds, clock.cpu = (ticks.times[-1][i] - ticks.times[0][i] for i in range(2))
        return 0, count

    def replies(self, clock):
        prompt = reply = 0
        clock.start()
        for at in range(0, len(self.cases), self.options.batch):
            texts = [self.chat(case) for case in self.cases[at:at + self.options.batch]]
            inputs = self.from_texts(texts, self.pictures[at:at + self.options.batch])
            out = self.generate(inputs, max_new_tokens=self.options.tokens, num_return_sequences=self.options.draws)
            said = out[:, inputs["input_ids"].shape[1]:]
            self.processor.batch_decode(said, skip_special_tokens=True)
            prompt += int(inputs["attention_mask"].sum())
            reply += int((said != self.processor.tokenizer.pad_token_id).sum())
        clock.stop()
        return prompt, reply

    def lessons(self):
        """Inputs with labels: the assistant's text and the end of its turn."""
        texts = [self.chat(case, case["reply"]) for case in self.cases]
        inputs = self.from_texts(texts, self.pictures)
        labels = torch.full_like(inputs["input_ids"], -100)
        for row, case in enumerate(self.cases):
            asked = len(self.processor.tokenizer(self.chat(case), add_special_tokens=False)["input_ids"])
            start = int(inputs["input_ids"].shape[1] - inputs["attention_mask"][row].sum()) + asked
            labels[row, start:] = inputs["input_ids"][row, start:]
        return dict(inputs, labels=labels)

    def train(self, clock):
        if not hasattr(self, "optimizer"):
            self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, betas=(0.9, 0.98), weight_decay=0.01,
                                               fused=True)
        clock.start()
        inputs = self.lessons()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=self.options.dtype == "bf16"):
            loss = self.model(**inputs, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        clock.stop()
        return int(inputs["attention_mask"].sum()), int((inputs["labels"] != -100).sum())

    def start(self):
        self.generate(self.from_texts([self.chat(self.cases[0])], self.pictures[:1]), max_new_tokens=1)
        print("one token", flush=True)

    def serve(self):
        step = getattr(self, self.options.row)
        print(json.dumps({"ready": f"torch {torch.__version__} {self.options.dtype}"}), flush=True)
        for _ in sys.stdin:
            clock = Clock()
            prompt, reply = step(clock)
            print(json.dumps(dict(vars(clock), prompt=prompt, reply=reply, peak_kib=peak_kib())), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("row", choices=["prefill", "decode", "replies", "train", "start"])
    parser.add_argument("model")
    parser.add_argument("cases")
    parser.add_argument("--dtype", choices=list(DTYPES), default="bf16")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--draws", type=int, default=1)
    parser.add_argument("--temperature", type=float, default=0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--cache", choices=["dynamic", "static"], default="dynamic")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    side = Side(options)
    if options.row == "start":
        side.start()
    else:
        side.serve()


if __name__ == "__main__":
    main()
