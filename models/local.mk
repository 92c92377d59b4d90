# The embedded model is installed beside the recipes that name it.
vjtinydir = $(vjdatadir)/models/vj-tiny
dist_vjtiny_DATA = models/vj-tiny/README.md models/vj-tiny/config.json models/vj-tiny/generation_config.json \
	models/vj-tiny/preprocessor_config.json models/vj-tiny/chat_template.json models/vj-tiny/special_tokens_map.json \
	models/vj-tiny/tokenizer.json models/vj-tiny/tokenizer_config.json models/vj-tiny/model.safetensors
EXTRA_DIST += tests/tools/vj-tiny-tokenizer.py tests/tools/vj-tiny-figures.py
