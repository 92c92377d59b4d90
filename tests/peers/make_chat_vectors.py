#!/usr/bin/env python3
"""Makes tests/vectors/chat/vectors.json: token ids and cross-attention spans of chats with
images, by transformers' MllamaProcessor functions and the `tokenizers` library, over the
small tokenizer of tests/vectors/tokenizer/plain.

The template here is the part of Llama-3.2-11B-Vision-Instruct's that such chats reach.

  make_chat_vectors.py TOKENIZER_JSON FILE
Needs: transformers, tokenizers, jinja2.
"""
import json
import pathlib
import sys

from transformers import PreTrainedTokenizerFast
from transformers.models.mllama.processing_mllama import get_cross_attention_token_mask

TEMPLATE = """{{- bos_token }}{%- for message in messages %}{{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}\
{%- for content in message['content'] %}{%- if content['type'] == 'image' %}{{- '<|image|>' }}{%- else %}{{- content['text'] }}{%- endif %}{%- endfor %}\
{{- '<|eot_id|>' }}{%- endfor %}{%- if add_generation_prompt %}{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{%- endif %}"""

CHATS = [
    [("user", 1, "How many shapes are there?")],
    [("user", 0, "Hello")],
    [("user", 0, "\n leading line")],
    [("user", 1, " leading space and\ntwo lines ")],
    [("user", 1, "")],
    [("user", 0, "")],
    [("user", 2, "Which image has a red circle?")],
    [("user", 1, "First."), ("assistant", 0, "A red circle."), ("user", 1, "Second."), ("assistant", 0, "so [[B]]"), ("user", 0, "Sure?")],
    [("user", 3, "Three."), ("assistant", 0, "Yes."), ("user", 2, "Two."), ("assistant", 0, "No."), ("user", 1, "One.")],
    [("user", 1, "Größe 字 😀")],
]


def main():
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=sys.argv[1], bos_token="<|begin_of_text|>", chat_template=TEMPLATE)
    image = tokenizer.convert_tokens_to_ids("<|image|>")
    out = []
    for chat in CHATS:
        messages = [{"role": role, "content": [{"type": "image"}] * images + [{"type": "text", "text": text}]} for role, images, text in chat]
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
        spans = [[a, len(ids) if b == -1 else b] for a, b in get_cross_attention_token_mask(ids, image)]
        out.append({"messages": [{"role": r, "images": n, "text": t} for r, n, t in chat], "ids": ids, "spans": spans})
    path = pathlib.Path(sys.argv[2])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(out, indent=0), encoding="utf-8")


if __name__ == "__main__":
    main()
