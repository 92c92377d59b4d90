/* Data sets, as lines and as elements of an array: whatever the bytes, reading comes to an end, every record is an
 * object or is refused with its place, and no record is lost or invented. */
#define _GNU_SOURCE /* memfd_create */
#include "replay.h"
#include "text/json.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static guint
lines_with_content (const uint8_t *data, size_t size)
{
  gboolean blank = TRUE;
  guint n = 0;
  if (size >= 3 && memcmp (data, "\xef\xbb\xbf", 3) == 0)
    data += 3, size -= 3;
  for (size_t i = 0; i <= size; i++)
    if (i == size || data[i] == '\n') {
      n += blank ? 0 : 1;
      blank = TRUE;
    } else
      blank = blank && g_ascii_isspace (data[i]);
  return n;
}

/* Number of records read; *ret_good of them were objects. */
static guint
read_all (const char *path, VjJsonForm form, size_t size, guint *ret_good)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjJson) json = vj_json_open (path, form, 4096, &error);
  guint n = 0;
  *ret_good = 0;
  g_assert_no_error (error);
  for (;; n++) {
    g_autoptr (json_t) record = NULL;
    g_auto (VjJsonProblem) problem = {0};
    VjFlow flow = vj_json_next (json, &record, &problem, &error);
    g_assert_cmpuint (n, <=, size + 1);
    if (flow == VJ_FLOW_ERROR)
      g_assert_true (n == 0 && g_error_matches (error, VJ_ERROR, VJ_EXIT_DATA));
    if (flow == VJ_FLOW_ERROR || flow == VJ_FLOW_END)
      return n;
    g_assert_true (flow == VJ_FLOW_OK ? json_is_object (record) : (problem.reason != NULL && vj_json_place (json) != NULL));
    *ret_good += flow == VJ_FLOW_OK ? 1 : 0;
  }
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  int fd = memfd_create ("data.json", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  guint good;
  g_assert_true (fd >= 0 && write (fd, data, size) == (ssize_t) size);
  g_assert_cmpuint (read_all (path, VJ_JSON_LINES, size, &good), ==, lines_with_content (data, size));
  read_all (path, VJ_JSON_ELEMENTS, size, &good);
  close (fd);
  return 0;
}
