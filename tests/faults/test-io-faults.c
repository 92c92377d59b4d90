/* store/, base/: every write, sync, truncation and rename fails in turn, once or from then on; kernels without openat2
 * and renameat2. The C library's calls are taken over by this program, for SQLite as well. */
#define _GNU_SOURCE
#include "../unit/store-kit.h"
#include "image/image.h"
#include "store/checkpoint.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* -- faults ------------------------------------------------------------------------------------ */

/* Static, because the functions below replace those of the C library for the whole program. */
static struct {
  gint left; /* calls until the fault; negative: none is armed */
  gboolean forever, hit, old_kernel;
  int code;
} fault = {.left = -1};

static void
arm (gint n, gboolean forever, int code)
{
  fault.left = n;
  fault.forever = forever;
  fault.hit = FALSE;
  fault.code = code;
}

/* Whether the fault was met. */
static gboolean
disarm (void)
{
  fault.left = -1;
  return fault.hit;
}

static gboolean
fails (void)
{
  if (fault.left < 0 || (fault.hit && !fault.forever))
    return FALSE;
  if (!fault.hit && fault.left-- > 0)
    return FALSE;
  fault.hit = TRUE;
  errno = fault.code;
  return TRUE;
}

/* Visible, or libraries would go on calling the C library's. */
#define TAKE_OVER(type, name, params, args)              \
  VJ_API type name params;                               \
  type name params                                       \
  {                                                      \
    type (*real) params = dlsym (RTLD_NEXT, #name);      \
    return fails () ? (type) -1 : real args;             \
  }
TAKE_OVER (ssize_t, pwrite, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
TAKE_OVER (ssize_t, pwrite64, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
TAKE_OVER (ssize_t, write, (int fd, const void *data, size_t n), (fd, data, n))
TAKE_OVER (int, fsync, (int fd), (fd))
TAKE_OVER (int, fdatasync, (int fd), (fd))
TAKE_OVER (int, ftruncate, (int fd, off_t length), (fd, length))
TAKE_OVER (int, ftruncate64, (int fd, off_t length), (fd, length))
TAKE_OVER (int, rename, (const char *from, const char *to), (from, to))

VJ_API long syscall (long number, ...);

long
syscall (long number, ...)
{
  long (*real) (long, ...) = dlsym (RTLD_NEXT, "syscall");
  va_list args;
  long a[6];

  va_start (args, number);
  for (int i = 0; i < 6; i++)
    a[i] = va_arg (args, long);
  va_end (args);
  if (fault.old_kernel && (number == SYS_openat2 || number == SYS_renameat2)) {
    errno = ENOSYS;
    return -1;
  }
  if (number == SYS_renameat2 && fails ())
    return -1;
  return real (number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* -- the ledger ---------------------------------------------------------------------------------- */

#define N 12
#define GROUP 3

/* Brings the ledger to N questions, in groups; *ret_done counts those acknowledged in this call and before it. */
static gboolean
work (const char *dir, gint64 *ret_done, GError **error)
{
  g_autoptr (VjStore) store = vj_store_open (dir, VJ_STORE_WRITE, error);
  VjStoreQuery all = VJ_STORE_QUERY_ALL;
  gint64 n;

  if (store == NULL || !vj_store_count (store, &all, &n, error))
    return FALSE;
  g_assert_cmpint (n % GROUP, ==, 0);
  g_assert_cmpint (n, >=, *ret_done);
  *ret_done = n;
  while (n < N) {
    if (!vj_store_begin (store, error))
      return FALSE;
    for (int i = 0; i < GROUP; i++, n++) {
      g_autofree char *id = g_strdup_printf ("q%02d", (int) n), *prompt = g_strnfill (3000, 'x');
      g_autoptr (VjRecord) q = make_question (id, prompt);
      if (!vj_store_record_put (store, "source", q, error))
        return FALSE;
    }
    if (!vj_store_commit (store, error))
      return FALSE;
    *ret_done = n;
  }
  return TRUE;
}

static void
test_ledger (gconstpointer forever)
{
  static const int codes[] = {EIO, ENOSPC};
  gboolean met = TRUE;
  gint n;

  for (n = 0; met; n++) {
    Place place;
    GError *error = NULL;
    gint64 done = 0;
    place_init (&place, NULL);
    arm (n, forever != NULL, codes[n % 2]);
    gboolean good = work (place.dir, &done, &error);
    met = disarm ();
    g_assert_true (good || met);
    if (!good) {
      g_assert_error (error, VJ_ERROR, VJ_EXIT_STORE);
      g_assert_nonnull (strstr (error->message, "; ")); /* what to do */
    }
    g_clear_error (&error);
    good = work (place.dir, &done, &error);
    g_assert_no_error (error);
    g_assert_true (good && done == N);
    place_done (&place, NULL);
  }
  g_test_message ("%d places where a call can fail", n - 1);
  g_assert_cmpint (n, >, 20);
}

/* -- checkpoints ----------------------------------------------------------------------------------- */

static gboolean
save (const char *final, const char *content, GError **error)
{
  g_autofree char *partial = vj_checkpoint_begin (final, error);
  g_autofree char *a = partial != NULL ? g_build_filename (partial, "a", NULL) : NULL;
  return partial != NULL && vj_file_write (a, content, strlen (content), 0600, error)
         && vj_checkpoint_replace (partial, final, error);
}

/* Whatever fails, the directory is whole: the old one or the new one. */
static void
test_checkpoint (gconstpointer forever)
{
  gboolean met = TRUE;
  gint n;

  for (n = 0; met; n++) {
    Place place;
    place_init (&place, NULL);
    g_autofree char *final = g_build_filename (place.dir, "it", NULL), *a = g_build_filename (final, "a", NULL), *text = NULL;
    GError *error = NULL;
    assert_ok (save (final, "old", &error_));
    arm (n, forever != NULL, n % 2 ? EIO : ENOSPC);
    gboolean good = save (final, "new", &error);
    met = disarm ();
    g_assert_true (good || met);
    if (!good)
      g_assert_error (error, VJ_ERROR, VJ_EXIT_STORE);
    g_clear_error (&error);
    assert_ok (vj_checkpoint_validate (final, TRUE, &error_));
    g_assert_true (g_file_get_contents (a, &text, NULL, NULL));
    g_assert_true (strcmp (text, "new") == 0 || (!good && strcmp (text, "old") == 0));
    assert_ok (save (final, "newer", &error_));
    place_done (&place, NULL);
  }
  g_test_message ("%d places where a call can fail", n - 1);
  g_assert_cmpint (n, >, 5);
}

/* -- old kernels -------------------------------------------------------------------------------------- */

static void
test_old_kernel (void)
{
  static const char *const inside[] = {"a.png", "sub/a.png", "./a.png", "sub//a.png"};
  static const char *const outside[] = {"../secret.png", "sub/../../secret.png", "link.png", "up/secret.png", "/etc/passwd",
                                        "sub", "", "sub/../a.png"};
  static const guint8 rgb[3] = {1, 2, 3};
  Place place;

  place_init (&place, NULL);
  g_autofree char *root = g_build_filename (place.dir, "data", NULL), *sub = g_build_filename (root, "sub", NULL);
  g_autofree char *link = g_build_filename (root, "link.png", NULL), *up = g_build_filename (root, "up", NULL);
  g_autofree char *final = g_build_filename (place.dir, "it", NULL);
  g_autoptr (VjImage) image = vj_image_new_from_rgb (rgb, 1, 1, NULL);
  static const char *const places[] = {"data/a.png", "data/sub/a.png", "secret.png"};

  g_assert_cmpint (g_mkdir_with_parents (sub, 0700), ==, 0);
  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree char *path = g_build_filename (place.dir, places[i], NULL);
    gsize length;
    const char *bytes = g_bytes_get_data (vj_image_bytes (image), &length);
    g_assert_true (g_file_set_contents (path, bytes, (gssize) length, NULL));
  }
  g_assert_true (symlink ("../secret.png", link) == 0 && symlink ("..", up) == 0);
  fault.old_kernel = TRUE;
  for (guint i = 0; i < G_N_ELEMENTS (inside); i++) {
    g_autoptr (VjImage) read = vj_image_new_from_file (root, inside[i], NULL);
    g_assert_nonnull (read);
  }
  for (guint i = 0; i < G_N_ELEMENTS (outside); i++)
    assert_fails (VJ_EXIT_DATA, "", vj_image_new_from_file (root, outside[i], &error_) != NULL);
  assert_ok (save (final, "one", &error_));
  assert_ok (save (final, "two", &error_));
  assert_ok (vj_checkpoint_validate (final, TRUE, &error_));
  fault.old_kernel = FALSE;
  place_done (&place, NULL);
}

int
main (int argc, char **argv)
{
  place_in_memory ();
  g_test_init (&argc, &argv, NULL);
  g_test_add_data_func ("/io-faults/ledger/once", NULL, test_ledger);
  g_test_add_data_func ("/io-faults/ledger/for-ever", "", test_ledger);
  g_test_add_data_func ("/io-faults/checkpoint/once", NULL, test_checkpoint);
  g_test_add_data_func ("/io-faults/checkpoint/for-ever", "", test_checkpoint);
  g_test_add_func ("/io-faults/old-kernel", test_old_kernel);
  return g_test_run ();
}
