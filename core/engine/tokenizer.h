/* Tokenizer: text <-> token ids by the tokenizer.json of a Hugging Face model
 * directory (byte-level BPE with the Llama 3 splitting pattern).
 *
 * It equals the `tokenizers` library id for id, or refuses the file. It knows
 * nothing of chats: control tokens are never made from text, the chat renderer
 * puts them by id. Immutable after loading: any number of threads may share it. */
#ifndef VJ_ENGINE_TOKENIZER_H
#define VJ_ENGINE_TOKENIZER_H

#include "vj/error.h"

typedef struct VjTokenizer VjTokenizer;

/* Reads `file` (a tokenizer.json of at most 64 MiB). A file that is not exactly what this reader
 * understands, or is inconsistent, is VJ_EXIT_DATA. Free with vj_tokenizer_free. */
VjTokenizer *vj_tokenizer_load (const char *file, GError **error);

/* The same from `length` bytes; `where` opens error messages. */
VjTokenizer *vj_tokenizer_parse (const char *where, const char *bytes, gsize length, GError **error);
void vj_tokenizer_free (VjTokenizer *tokenizer);

/* Number of ids: every id in [0, size) is a token. */
guint32 vj_tokenizer_size (const VjTokenizer *tokenizer);

/* The id of the control token spelled `content`, e.g. "<|eot_id|>"; -1 when there is none. */
gint64 vj_tokenizer_control (const VjTokenizer *tokenizer, const char *content);

/* The id the post-processor puts before every text; -1 when it puts none. */
gint64 vj_tokenizer_bos (const VjTokenizer *tokenizer);

/* Appends the ids (guint32) of `length` bytes of UTF-8 at `text` (-1: up to its NUL) to `ids`. Control tokens
 * spelled in the text are split like any other text. O(n log n). VJ_EXIT_DATA when the text is not UTF-8
 * or a matching limit is met; `ids` is then untouched. */
gboolean vj_tokenizer_encode (const VjTokenizer *tokenizer, const char *text, gssize length, GArray *ids, GError **error);

/* The bytes a token stands for, not NUL-terminated, possibly a part of a character: empty (not NULL) for control
 * tokens and ids outside the vocabulary. Borrowed. */
const char *vj_tokenizer_peek (const VjTokenizer *tokenizer, guint32 id, gsize *ret_length);

/* The text of n ids, control tokens skipped: valid UTF-8, each maximal invalid part and each NUL replaced by
 * U+FFFD. Owned by the caller. Never fails. */
char *vj_tokenizer_decode (const VjTokenizer *tokenizer, const guint32 *ids, gsize n);

/* The same for bytes put together from vj_tokenizer_peek. */
char *vj_tokenizer_valid (const char *bytes, gsize length);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjTokenizer, vj_tokenizer_free)

#endif
