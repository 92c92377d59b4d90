/* tokenizer.json over any bytes: refused as data, or a tokenizer in which every id is a token, all bytes can be
 * spelled, and what is encoded comes back. */
#include "replay.h"
#include "engine/tokenizer.h"

#include <string.h>

static const char text[] = "It's 12345 red circles,\n\n  left of <|eot_id|> \xe5\xad\x97 \xf0\x9f\x98\x80\t\x01\x7f";

static void
check_sound (const VjTokenizer *tokenizer)
{
  g_autoptr (GArray) ids = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_assert_true (vj_tokenizer_encode (tokenizer, text, -1, ids, NULL));
  for (guint i = 0; i < ids->len; i++)
    g_assert_cmpuint (g_array_index (ids, guint32, i), <, vj_tokenizer_size (tokenizer));
  g_autofree char *back = vj_tokenizer_decode (tokenizer, (const guint32 *) (gpointer) ids->data, ids->len);
  g_assert_cmpstr (back, ==, text);
  g_assert_cmpint (vj_tokenizer_bos (tokenizer), <, (gint64) vj_tokenizer_size (tokenizer));
  for (guint32 id = 0; id < vj_tokenizer_size (tokenizer); id++) {
    gsize length;
    g_assert_nonnull (vj_tokenizer_peek (tokenizer, id, &length));
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTokenizer) tokenizer = vj_tokenizer_parse ("fuzz", size ? (const char *) data : "", size, &error);
  if (tokenizer != NULL)
    check_sound (tokenizer);
  else
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  return 0;
}
