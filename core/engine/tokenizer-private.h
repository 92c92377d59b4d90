/* What tokenizer.c (encoding, decoding) and tokenizer-load.c (the file) share. */
#ifndef VJ_ENGINE_TOKENIZER_PRIVATE_H
#define VJ_ENGINE_TOKENIZER_PRIVATE_H

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "engine/tokenizer.h"

/* The bytes of one token: `length` of them at `bytes` of the pool. Key of the vocabulary. */
typedef struct {
  const char *bytes;
  guint32 length;
  gboolean control;
} VjToken;

/* Two neighbours `pair` = left << 32 | right become `id`; a lower rank goes first. */
typedef struct {
  guint64 pair;
  guint32 rank, id;
} VjMerge;

struct VjTokenizer {
  guint32 size;
  VjToken *tokens;      /* [size]                                                          */
  char *pool;           /* all their bytes                                                 */
  GHashTable *by_bytes; /* VjToken * -> id, ordinary tokens; control tokens in by_content  */
  GHashTable *by_content;
  VjMerge *merges;
  GHashTable *by_pair; /* VjMerge * set, equal by pair */
  guint32 byte_ids[256];
  pcre2_code *splitter;
  gboolean ignore_merges; /* a piece that is a token is taken whole, whatever its merges */
  gint64 bos;
};

guint vj_token_hash (gconstpointer token);
gboolean vj_token_equal (gconstpointer a, gconstpointer b);
guint vj_merge_hash (gconstpointer merge);
gboolean vj_merge_equal (gconstpointer a, gconstpointer b);

#endif
