/* The strings of tests/peers/tokenizer_strings.py, made again, and what a tokenizer makes of them held to the digests
 * that the `tokenizers` library left. */
#ifndef VJ_TESTS_TOKENIZER_STRINGS_H
#define VJ_TESTS_TOKENIZER_STRINGS_H

#include "engine/json.h"
#include "engine/tokenizer.h"

#include <string.h>

#define STRINGS_COUNT 22000u
#define STRINGS_BLOCK 500u

static guint
strings_below (guint64 *state, gsize n)
{
  guint64 z = *state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15); /* SplitMix64 */
  z = (z ^ z >> 30) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ z >> 27) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return (guint) ((z ^ z >> 31) % n);
}

static void
strings_put_part (const json_t *atoms, guint64 *state, GString *text)
{
  guint kind = strings_below (state, 8), n = 1;
  if (kind == 0) {
    for (guint i = 1 + strings_below (state, 4); i > 0; i--) {
      gunichar point = 1 + strings_below (state, 0x10ffff);
      g_string_append_unichar (text, point >= 0xd800 && point < 0xe000 ? 0xfffd : point);
    }
    return;
  }
  const char *atom = json_string_value (json_array_get (atoms, strings_below (state, json_array_size (atoms))));
  if (kind == 1)
    n = 2 + strings_below (state, 7);
  for (; n > 0; n--)
    g_string_append (text, atom);
}

/* String i. Owned by the caller. */
static char *
strings_make (const json_t *atoms, guint i)
{
  guint64 state = i;
  GString *text = g_string_new (NULL);
  for (guint parts = 1 + strings_below (&state, 12); parts > 0; parts--)
    strings_put_part (atoms, &state, text);
  return g_string_free (text, FALSE);
}

/* Adds string i and its ids to the sums; says which string cannot be encoded or does not come back. */
static gboolean
strings_add (const VjTokenizer *tokenizer, const json_t *atoms, guint i, GChecksum *texts, GChecksum *ids,
             char **ret_fault)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *text = strings_make (atoms, i);
  g_autoptr (GArray) row = g_array_new (FALSE, FALSE, sizeof (guint32));
  guint32 n = 0;
  g_array_append_val (row, n);
  if (!vj_tokenizer_encode (tokenizer, text, -1, row, &error)) {
    *ret_fault = g_strdup_printf ("string %u: %s", i, error->message);
    return FALSE;
  }
  guint32 *at = (guint32 *) (gpointer) row->data;
  g_autofree char *back = vj_tokenizer_decode (tokenizer, at + 1, row->len - 1);
  at[0] = row->len - 1;
  for (guint k = 0; k < row->len; k++)
    at[k] = GUINT32_TO_LE (at[k]);
  g_checksum_update (texts, (const guchar *) text, (gssize) strlen (text) + (i + 1 < STRINGS_COUNT));
  g_checksum_update (ids, (const guchar *) row->data, (gssize) (row->len * sizeof (guint32)));
  if (strcmp (back, text) == 0)
    return TRUE;
  *ret_fault = g_strdup_printf ("string %u does not come back from its ids", i);
  return FALSE;
}

/* The first difference from `expected` (a digests.json), or NULL. Owned by the caller. */
static char *
strings_compare (const VjTokenizer *tokenizer, const json_t *atoms, const json_t *expected)
{
  const json_t *want = json_object_get (expected, "ids");
  g_autoptr (GChecksum) texts = g_checksum_new (G_CHECKSUM_SHA256);
  if (vj_tokenizer_size (tokenizer) != json_integer_value (json_object_get (expected, "size")) ||
      json_array_size (want) != STRINGS_COUNT / STRINGS_BLOCK)
    return g_strdup ("the tokenizer has another size, or there are other strings");
  for (guint block = 0; block < STRINGS_COUNT / STRINGS_BLOCK; block++) {
    g_autoptr (GChecksum) ids = g_checksum_new (G_CHECKSUM_SHA256);
    char *fault = NULL;
    for (guint i = block * STRINGS_BLOCK; i < (block + 1) * STRINGS_BLOCK; i++)
      if (!strings_add (tokenizer, atoms, i, texts, ids, &fault))
        return fault;
    if (strncmp (g_checksum_get_string (ids), json_string_value (json_array_get (want, block)), 16) != 0)
      return g_strdup_printf ("the ids of one of the strings %u to %u differ", block * STRINGS_BLOCK,
                              (block + 1) * STRINGS_BLOCK - 1);
  }
  if (strcmp (g_checksum_get_string (texts), json_string_value (json_object_get (expected, "texts"))) != 0)
    return g_strdup ("the strings themselves differ: the generators have come apart");
  return NULL;
}

#endif
