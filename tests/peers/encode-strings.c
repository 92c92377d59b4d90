/* Helper of check_tokenizers.py: encode-strings STRINGS.json FOLDER loads FOLDER/tokenizer.json, says how much
 * processor time that took, and compares with FOLDER/digests.json; exits 1 on a difference. */
#include "tests/engine/tokenizer-strings.h"

#include <stdio.h>
#include <time.h>

#define ROUNDS 5

int
main (int argc, char **argv)
{
  if (argc != 3)
    return 2;
  g_autoptr (GError) error = NULL;
  g_autoptr (VjTokenizer) tokenizer = NULL;
  g_autofree char *file = g_build_filename (argv[2], "tokenizer.json", NULL),
                  *digests = g_build_filename (argv[2], "digests.json", NULL);
  clock_t least = (clock_t) G_MAXINT64;
  for (guint i = 0; i < ROUNDS; i++) {
    clock_t start = clock ();
    g_clear_pointer (&tokenizer, vj_tokenizer_free);
    tokenizer = vj_tokenizer_load (file, &error);
    least = MIN (least, clock () - start);
    if (tokenizer == NULL) {
      fprintf (stderr, "%s\n", error->message);
      return 1;
    }
  }
  json_t *atoms = json_load_file (argv[1], 0, NULL), *expected = json_load_file (digests, 0, NULL);
  clock_t start = clock ();
  g_autofree char *fault = strings_compare (tokenizer, atoms, expected);
  printf ("%s: %u tokens, loaded in %.3f s of processor (least of %d), %u strings in %.2f s: %s\n", argv[2],
          vj_tokenizer_size (tokenizer), (double) least / CLOCKS_PER_SEC, ROUNDS, STRINGS_COUNT,
          (double) (clock () - start) / CLOCKS_PER_SEC, fault == NULL ? "equal" : fault);
  json_decref (atoms);
  json_decref (expected);
  return fault != NULL;
}
