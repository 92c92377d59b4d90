/* Replays the corpus of one harness, named by VJ_FUZZ_CORPUS at compile time, then mutations of each seed from a
 * stream of its own, so that a failure comes back. VJ_FUZZ_ROUNDS sets how many (default 150). Prints TAP. */
#include "replay.h"
#include "base/random.h"

#include <stdlib.h>
#include <string.h>

static void
mutate (GByteArray *bytes, VjRandom *random)
{
  guint n = 1 + vj_random_below (random, 4);

  for (guint i = 0; i < n && bytes->len > 0; i++) {
    guint at = vj_random_below (random, bytes->len), length = 1 + vj_random_below (random, MIN (bytes->len - at, 16));
    guint8 byte = (guint8) vj_random_below (random, 256);
    switch (vj_random_below (random, 6)) {
    case 0: /* one bit */
      bytes->data[at] ^= (guint8) (1u << (byte & 7));
      break;
    case 1: /* one byte, often an extreme one */
      bytes->data[at] = byte < 64 ? 0 : byte < 128 ? 0xff : byte;
      break;
    case 2: /* cut short */
      g_byte_array_set_size (bytes, at);
      break;
    case 3: /* a piece left out */
      g_byte_array_remove_range (bytes, at, length);
      break;
    case 4: { /* a piece twice */
      g_autofree guint8 *piece = g_memdup2 (bytes->data + at, length);
      g_byte_array_append (bytes, piece, length);
      break;
    }
    default: /* a run of one byte */
      memset (bytes->data + at, byte, length);
    }
  }
}

static void
run_seed (const char *name, const guint8 *data, gsize length, guint rounds)
{
  VjRandom random;

  vj_random_init_named (&random, 1, VJ_FUZZ_CORPUS, name, 0);
  LLVMFuzzerTestOneInput (data, length);
  for (guint i = 0; i < rounds; i++) {
    g_autoptr (GByteArray) bytes = g_byte_array_new ();
    g_byte_array_append (bytes, data, (guint) length);
    mutate (bytes, &random);
    /* A copy of its exact size, so that reading past it is noticed. */
    g_autofree guint8 *exact = g_memdup2 (bytes->data, bytes->len);
    LLVMFuzzerTestOneInput (exact, bytes->len);
  }
}

static void
test_corpus (void)
{
  g_autofree char *folder = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests", "fuzz", "corpus", VJ_FUZZ_CORPUS, NULL);
  const char *wish = g_getenv ("VJ_FUZZ_ROUNDS");
  guint rounds = wish != NULL ? (guint) atoi (wish) : 150, n = 0;
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);

  g_assert_nonnull (dir);
  for (const char *name; (name = g_dir_read_name (dir)) != NULL; n++) {
    g_autofree char *path = g_build_filename (folder, name, NULL), *data = NULL;
    gsize length;
    g_assert_true (g_file_get_contents (path, &data, &length, NULL));
    run_seed (name, (const guint8 *) data, length, rounds);
  }
  g_assert_cmpuint (n, >, 0);
  g_test_message ("%u seeds, %u mutations each", n, rounds);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/fuzz/" VJ_FUZZ_CORPUS, test_corpus);
  return g_test_run ();
}
