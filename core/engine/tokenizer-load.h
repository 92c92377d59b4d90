/* What tokenizer-load.c (the file) and tokenizer-vocab.c (its two long members) share. */
#ifndef VJ_ENGINE_TOKENIZER_LOAD_H
#define VJ_ENGINE_TOKENIZER_LOAD_H

#include "engine/json-scan.h"
#include "engine/json.h"
#include "engine/tokenizer-private.h"

#define VJ_TOKENIZER_MAX_TOKENS 1000000u

/* The file being read. */
typedef struct {
  const char *where, *bytes;
  gsize length;
  json_t *root, *model;     /* without vocab and merges            */
  VjJsonScan vocab, merges; /* these; `at` is NULL where one is absent or of another type */
  GString *scratch;         /* of both scans                       */
  VjTokenizer *out;
  gsize pool_used;
  gint16 byte_of[512];      /* byte of a character of the byte alphabet, or -1 */
} VjTokenizerLoader;

/* Fails with VJ_EXIT_DATA; the file is named before `format`, and what to do after. */
gboolean vj_tokenizer_refuse (const VjTokenizerLoader *l, GError **error, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* Tokens of the vocabulary and the control tokens that by_content holds: their bytes, ids and lookup by bytes. */
gboolean vj_tokenizer_read_vocab (VjTokenizerLoader *l, GError **error);

/* Then the merges. */
gboolean vj_tokenizer_read_merges (VjTokenizerLoader *l, GError **error);

#endif
