/* Record JSON: what is taken passes its own check and comes back the same from its canonical text. */
#include "record/record.h"
#include "replay.h"

#include <string.h>

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjRecord) record = vj_record_from_text ((const char *) data, size, "fuzz", &error), again = NULL;
  g_autofree char *text = NULL, *twice = NULL;

  g_assert_true ((record == NULL) == (error != NULL));
  if (record == NULL) {
    g_assert_true (g_error_matches (error, VJ_ERROR, VJ_EXIT_DATA));
    g_assert_true (g_utf8_validate (error->message, -1, NULL));
    return 0;
  }
  g_assert_true (vj_record_check (record, NULL));
  text = vj_record_to_text (record);
  g_assert_nonnull (text);
  again = vj_record_from_text (text, strlen (text), "fuzz", &error);
  g_assert_no_error (error);
  twice = vj_record_to_text (again);
  g_assert_cmpstr (text, ==, twice);
  return 0;
}
