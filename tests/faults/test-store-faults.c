/* store/: kill -9 at any moment, racing opens, a full disk, damaged and foreign files. */
#define _GNU_SOURCE
#include "../unit/store-kit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- kills ------------------------------------------------------------------------------------- */

#define GROUP 4

/* A run in little: goes on after the records that are there, in groups, and acknowledges each group on `fd` once it is
 * committed. Writes until it is killed. */
static void
write_for_ever (const char *dir, int fd)
{
  g_autoptr (VjStore) store = vj_store_open (dir, VJ_STORE_WRITE, NULL);
  VjStoreQuery questions = {1, VJ_RECORD_QUESTION, VJ_ANY, NULL, NULL};
  gint64 n = 0;

  if (store == NULL || !vj_store_count (store, &questions, &n, NULL))
    _exit (3);
  for (;;) {
    if (!vj_store_begin (store, NULL))
      _exit (4);
    for (int i = 0; i < GROUP; i++, n++) {
      g_autofree char *id = g_strdup_printf ("q%08d", (int) n), *answer = g_strconcat (id, ".r", NULL);
      g_autoptr (VjRecord) q = make_question (id, "What is there?"), r = make_response (answer, id, id);
      VjStoredReply reply = {id, NULL, VJ_FINISH_STOP, 1, 1};
      if (!vj_store_record_put (store, "source", q, NULL) || !vj_store_reply_claim (store, id, id, "respond", NULL)
          || !vj_store_reply_answer (store, id, &reply, NULL) || !vj_store_record_put (store, "respond", r, NULL)
          || !vj_store_record_fate (store, id, VJ_FATE_KEPT, "respond", NULL, NULL))
        _exit (5);
    }
    if (!vj_store_commit (store, NULL) || write (fd, &n, sizeof n) != sizeof n)
      _exit (6);
  }
}

/* The last count the child acknowledged before it was killed after `acknowledged` groups and `spins` more turns. */
static gint64
run_and_kill (const char *dir, guint groups, guint spins)
{
  int ends[2], status;
  gint64 n, last = 0;

  g_assert_cmpint (pipe (ends), ==, 0);
  pid_t child = fork ();
  if (child == 0) {
    close (ends[0]);
    write_for_ever (dir, ends[1]);
  }
  close (ends[1]);
  for (guint i = 0; i < groups && read (ends[0], &n, sizeof n) == sizeof n; i++)
    last = n;
  /* A moment that differs from kill to kill, within a group. */
  for (volatile guint i = 0; i < spins; i++)
    ;
  kill (child, SIGKILL);
  while (read (ends[0], &n, sizeof n) == sizeof n)
    last = n;
  close (ends[0]);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFSIGNALED (status) && WTERMSIG (status) == SIGKILL);
  return last;
}

/* Every record up to `n` is there, once, with its reply and its child; the group in flight is whole or absent. */
static gint64
check_books (const char *dir, gint64 acknowledged)
{
  g_autoptr (VjStore) store = open_store (dir, VJ_STORE_WRITE);
  VjStoreQuery kept = {1, VJ_RECORD_QUESTION, VJ_FATE_KEPT, NULL, NULL}, answers = {1, VJ_RECORD_RESPONSE, VJ_ANY, NULL, NULL};
  g_autoptr (VjStoreCursor) cursor = vj_store_walk (store, &kept);
  VjReplyCounts counts;
  gint64 n = 0, n_answers;

  for (;; n++) {
    g_autofree char *id = g_strdup_printf ("q%08d", (int) n);
    g_autoptr (VjStored) stored = NULL;
    assert_ok (vj_store_walk_next (cursor, &stored, &error_));
    if (stored == NULL)
      break;
    g_assert_cmpstr (stored->record->id, ==, id);
  }
  g_assert_cmpint (n, >=, acknowledged);
  g_assert_cmpint (n % GROUP, ==, 0);
  assert_ok (vj_store_count (store, &answers, &n_answers, &error_));
  assert_ok (vj_store_reply_counts (store, &counts, &error_));
  g_assert_cmpint (n_answers, ==, n);
  g_assert_cmpint (counts.answered, ==, n);
  g_assert_cmpint (counts.claimed + counts.repeats, ==, 0);
  return n;
}

static void
test_kills (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  gint64 last = 0;
  for (guint kill = 0; kill < 60; kill++) {
    gint64 acknowledged = run_and_kill (place->dir, 1 + kill % 4, (kill * 7919u) % 60 * 20000u);
    g_assert_cmpint (acknowledged, >, last);
    last = check_books (place->dir, acknowledged);
  }
  g_test_message ("60 kills, %" G_GINT64_FORMAT " records, none lost, none twice", last);
}

/* -- the lock ------------------------------------------------------------------------------------ */

/* Each racer opens when the starting pipe closes, tells how it went, and holds what it got until told. */
static void
race (const char *dir, int start, int tell, int end)
{
  g_autoptr (GError) error = NULL;
  char byte, result;
  if (read (start, &byte, 1) != 0)
    _exit (1);
  VjStore *store = vj_store_open (dir, VJ_STORE_WRITE, &error);
  result = store != NULL ? 'w' : g_error_matches (error, VJ_ERROR, VJ_EXIT_BUSY) ? 'b' : 'x';
  if (write (tell, &result, 1) != 1 || read (end, &byte, 1) != 0)
    _exit (1);
  _exit (0);
}

static void
test_race (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  enum { RACERS = 20 };
  int start[2], tell[2], end[2], winners = 0;
  pid_t children[RACERS];

  g_assert_true (pipe (start) == 0 && pipe (tell) == 0 && pipe (end) == 0);
  for (int i = 0; i < RACERS; i++) {
    children[i] = fork ();
    if (children[i] == 0) {
      close (start[1]);
      close (end[1]);
      race (place->dir, start[0], tell[1], end[0]);
    }
  }
  close (start[1]);
  for (int i = 0; i < RACERS; i++) {
    char result;
    g_assert_cmpint (read (tell[0], &result, 1), ==, 1);
    g_assert_true (result == 'w' || result == 'b');
    winners += result == 'w';
  }
  g_assert_cmpint (winners, ==, 1);
  /* While one holds it, the refusal names a process that is one of them. */
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_store_open (place->dir, VJ_STORE_WRITE, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_BUSY);
  const char *words = strstr (error->message, "process ");
  g_assert_nonnull (words);
  gboolean named = FALSE;
  for (int i = 0; i < RACERS; i++)
    named |= children[i] == atoi (words + strlen ("process "));
  g_assert_true (named);
  /* Reading needs no lock. */
  g_autoptr (VjStore) reader = vj_store_open (place->dir, VJ_STORE_READ, NULL);
  g_assert_nonnull (reader);
  close (end[1]);
  for (int i = 0; i < RACERS; i++)
    g_assert_cmpint (waitpid (children[i], NULL, 0), ==, children[i]);
  for (int i = 0; i < 2; i++) {
    close (tell[i]);
    if (i == 0) {
      close (start[i]);
      close (end[i]);
    }
  }
  /* The winner died without a word: nothing stale is left. */
  vj_store_close (open_store (place->dir, VJ_STORE_WRITE));
}

/* -- full disk -------------------------------------------------------------------------------------- */

/* Puts questions until one fails; the number of those acknowledged. `limit` bytes is the longest file. In a child, for
 * the limit stays with the process. The error comes back as exit status and message. */
static gint64
fill_up (const char *dir, rlim_t limit, char **ret_message)
{
  int ends[2], status;
  gint64 n = 0, last = 0;
  char message[512] = "";
  g_assert_cmpint (pipe (ends), ==, 0);
  pid_t child = fork ();

  if (child == 0) {
    struct rlimit rlimit = {limit, limit};
    GError *error = NULL;
    VjStore *store = vj_store_open (dir, VJ_STORE_WRITE, &error);
    VjStoreQuery all = VJ_STORE_QUERY_ALL;
    if (store == NULL || !vj_store_count (store, &all, &n, &error))
      _exit (1);
    signal (SIGXFSZ, SIG_IGN);
    setrlimit (RLIMIT_FSIZE, &rlimit);
    for (; error == NULL; n++) {
      g_autofree char *id = g_strdup_printf ("q%08d", (int) n);
      g_autoptr (VjRecord) q = make_question (id, "A prompt of some length, so that the file fills up soon enough.");
      if (vj_store_record_put (store, "source", q, &error) && write (ends[1], &n, sizeof n) != sizeof n)
        _exit (1);
    }
    /* What failed once is not tried again. */
    GError *again = NULL;
    g_assert_false (vj_store_meta_set (store, "a", "b", &again));
    g_assert_cmpstr (again->message, ==, error->message);
    n = -1;
    if (write (ends[1], &n, sizeof n) != sizeof n || write (ends[1], error->message, strlen (error->message)) < 0)
      _exit (1);
    vj_store_close (store);
    _exit (error->code);
  }
  close (ends[1]);
  while (read (ends[0], &n, sizeof n) == sizeof n && n >= 0)
    last = n + 1;
  if (n < 0 && read (ends[0], message, sizeof message - 1) < 0)
    message[0] = '\0';
  close (ends[0]);
  g_assert_cmpint (waitpid (child, &status, 0), ==, child);
  g_assert_true (WIFEXITED (status));
  g_assert_cmpint (WEXITSTATUS (status), ==, VJ_EXIT_STORE);
  *ret_message = g_strdup (message);
  return last;
}

/* A file that may not grow stands for a disk that is full; afterwards everything acknowledged is there, and the run
 * goes on. */
static void
test_full_disk (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *message = NULL;
  g_autoptr (VjStore) store = NULL;
  VjStoreQuery all = VJ_STORE_QUERY_ALL;
  gint64 acknowledged, n;

  acknowledged = fill_up (place->dir, 300000, &message);
  g_assert_cmpint (acknowledged, >, 10);
  g_assert_nonnull (strstr (message, "ledger.sqlite"));
  g_assert_nonnull (strstr (message, "; "));
  store = open_store (place->dir, VJ_STORE_WRITE);
  assert_ok (vj_store_count (store, &all, &n, &error_));
  /* A write that failed may have reached the disk: unknown is unknown. */
  g_assert_cmpint (n, >=, acknowledged);
  g_assert_cmpint (n, <=, acknowledged + 1);
  assert_ok (vj_store_meta_set (store, "space", "again", &error_));
}

/* In a mount namespace of this process, so that nothing stays behind however the test ends. */
static gboolean
may_mount (void)
{
  return unshare (CLONE_NEWNS) == 0 && mount ("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

/* The same on a file system that really is full, where we may mount one. */
static void
test_full_tmpfs (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *message = NULL;
  VjStoreQuery all = VJ_STORE_QUERY_ALL;
  gint64 acknowledged, n;

  if (!may_mount () || mount ("none", place->dir, "tmpfs", 0, "size=400k") != 0) {
    g_test_skip ("may not mount a tmpfs here");
    return;
  }
  acknowledged = fill_up (place->dir, RLIM_INFINITY, &message);
  g_assert_cmpint (acknowledged, >, 10);
  if (strstr (message, "ledger.sqlite") == NULL || strstr (message, "free some space") == NULL)
    g_error ("message '%s'", message);
  g_assert_cmpint (mount ("none", place->dir, "tmpfs", MS_REMOUNT, "size=4m"), ==, 0);
  VjStore *store = open_store (place->dir, VJ_STORE_WRITE);
  assert_ok (vj_store_count (store, &all, &n, &error_));
  g_assert_cmpint (n, >=, acknowledged);
  assert_ok (vj_store_meta_set (store, "space", "again", &error_));
  vj_store_close (store);
  g_assert_cmpint (umount (place->dir), ==, 0);
}

/* -- damaged and foreign files ------------------------------------------------------------------------ */

static char *
ledger_of (const Place *place)
{
  return g_build_filename (place->dir, "ledger.sqlite", NULL);
}

/* A store with 400 records, closed. Returns the ledger's path. */
static char *
make_ledger (const Place *place)
{
  g_autoptr (VjStore) store = open_store (place->dir, VJ_STORE_WRITE);
  assert_ok (vj_store_begin (store, &error_));
  for (int i = 0; i < 400; i++) {
    g_autofree char *id = g_strdup_printf ("q%08d", i), *long_text = g_strnfill (i % 20 == 0 ? 20000 : 100, 'x');
    g_autoptr (VjRecord) q = make_question (id, long_text);
    assert_ok (vj_store_record_put (store, "source", q, &error_));
  }
  assert_ok (vj_store_commit (store, &error_));
  return ledger_of (place);
}

static void
sql (const char *ledger, const char *text)
{
  sqlite3 *db = NULL;
  g_assert_cmpint (sqlite3_open (ledger, &db), ==, SQLITE_OK);
  if (sqlite3_exec (db, text, NULL, NULL, NULL) != SQLITE_OK)
    g_error ("%s: %s", text, sqlite3_errmsg (db));
  sqlite3_close (db);
}

static void
refused (const char *dir, const char *words)
{
  static const VjStoreMode modes[] = {VJ_STORE_READ, VJ_STORE_WRITE};
  for (guint i = 0; i < G_N_ELEMENTS (modes); i++)
    assert_fails (VJ_EXIT_STORE, words, vj_store_open (dir, modes[i], &error_) != NULL);
}

static void
test_foreign (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  static const struct {
    const char *sql, *words;
  } rows[] = {
    {"PRAGMA application_id=42", "another program's database (application id 42)"},
    {"PRAGMA user_version=3", "format 3 is newer"},
    {"PRAGMA user_version=1", "format 1 is older"},
    {"PRAGMA user_version=-1", "none that this vjrun knows"},
    {"CREATE TRIGGER t AFTER INSERT ON meta BEGIN DELETE FROM records; END", "others besides"},
    {"CREATE VIEW v AS SELECT 1", "others besides"},
    {"DROP TABLE gold", "11 of 12"},
    {"ALTER TABLE meta RENAME TO matter", "others besides"},
  };
  for (guint i = 0; i < G_N_ELEMENTS (rows); i++) {
    g_autofree char *ledger = make_ledger (place);
    sql (ledger, rows[i].sql);
    refused (place->dir, rows[i].words);
    unlink (ledger);
  }
  g_autofree char *ledger = ledger_of (place);
  sql (ledger, "CREATE TABLE bookmarks(url)");
  refused (place->dir, "another program's database");
  g_assert_true (g_file_set_contents (ledger, "# a text file that is no database, and long enough to be looked at\n", -1, NULL));
  refused (place->dir, "not a database");
}

/* Walks everything: the records read before the damage was met, or -1 when it was not met. */
static gint64
read_until_damage (const char *dir)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjStore) store = vj_store_open (dir, VJ_STORE_READ, &error);
  VjStoreQuery all = VJ_STORE_QUERY_ALL;
  g_autoptr (VjStoreCursor) cursor = store != NULL ? vj_store_walk (store, &all) : NULL;
  gint64 n = 0;

  while (store != NULL) {
    g_autoptr (VjStored) stored = NULL;
    if (!vj_store_walk_next (cursor, &stored, &error))
      break;
    if (stored == NULL)
      return n == 400 ? -1 : G_MAXINT64; /* all there, or silently fewer */
    n++;
  }
  g_assert_error (error, VJ_ERROR, VJ_EXIT_STORE);
  g_assert_nonnull (strstr (error->message, "ledger.sqlite"));
  return n;
}

/* A page of zeros anywhere is met as an error, or lies where no record is; never as other content. */
static void
test_zeroed_page (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *ledger = make_ledger (place), *whole = NULL;
  static const char zeros[4096];
  gsize length;
  guint met = 0;

  g_assert_true (g_file_get_contents (ledger, &whole, &length, NULL));
  for (gsize at = 0; at + sizeof zeros <= length; at += 3 * sizeof zeros) {
    int fd = open (ledger, O_WRONLY);
    g_assert_cmpint (pwrite (fd, zeros, sizeof zeros, (off_t) at), ==, (int) sizeof zeros);
    close (fd);
    gint64 n = read_until_damage (place->dir);
    g_assert_cmpint (n, !=, G_MAXINT64);
    met += n >= 0;
    fd = open (ledger, O_WRONLY);
    g_assert_cmpint (pwrite (fd, whole + at, sizeof zeros, (off_t) at), ==, (int) sizeof zeros);
    close (fd);
  }
  g_assert_cmpuint (met, >, 10);
  g_assert_cmpint (read_until_damage (place->dir), ==, -1);
}

/* The same of an image that is only copied, never decoded: its bytes, or an error. */
static void
test_zeroed_image (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  enum { SIDE = 120 };
  static const char zeros[4096];
  g_autofree guint8 *rgb = g_malloc (SIDE * SIDE * 3);
  g_autofree char *ledger = g_build_filename (place->dir, "ledger.sqlite", NULL), *whole = NULL;
  guint lost = 0, noise = 1;
  gsize length;

  for (gsize i = 0; i < SIDE * SIDE * 3; i++) /* noise, which does not shrink */
    rgb[i] = (guint8) ((noise = noise * 1103515245u + 12345u) >> 16);
  g_autoptr (VjImage) image = vj_image_new_from_rgb (rgb, SIDE, SIDE, NULL);
  VjStore *store = open_store (place->dir, VJ_STORE_WRITE);
  assert_ok (vj_store_image_put (store, image, &error_));
  vj_store_close (store);
  g_assert_true (g_file_get_contents (ledger, &whole, &length, NULL));
  for (gsize at = 4096; at + sizeof zeros <= length; at += sizeof zeros) {
    g_autoptr (VjImage) got = NULL;
    int fd = open (ledger, O_WRONLY);
    g_assert_cmpint (pwrite (fd, zeros, sizeof zeros, (off_t) at), ==, (int) sizeof zeros);
    close (fd);
    g_autoptr (VjStore) damaged = vj_store_open (place->dir, VJ_STORE_READ, NULL);
    gboolean good = damaged != NULL && vj_store_image_get (damaged, vj_image_digest (image), &got, NULL);
    g_assert_true (!good || got == NULL || g_bytes_equal (vj_image_bytes (got), vj_image_bytes (image)));
    lost += !good;
    fd = open (ledger, O_WRONLY);
    g_assert_cmpint (pwrite (fd, whole + at, sizeof zeros, (off_t) at), ==, (int) sizeof zeros);
    close (fd);
  }
  g_assert_cmpuint (lost, >, 8);
}

/* A run can be looked at where nothing can be written; going on with it says what to do. */
static void
test_read_only (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  VjStoreQuery all = VJ_STORE_QUERY_ALL;
  gint64 n;

  g_free (make_ledger (place));
  if (!may_mount () || mount (place->dir, place->dir, NULL, MS_BIND, NULL) != 0
      || mount ("none", place->dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) != 0) {
    g_test_skip ("may not make a read-only mount here");
    return;
  }
  VjStore *store = open_store (place->dir, VJ_STORE_READ);
  assert_ok (vj_store_count (store, &all, &n, &error_));
  g_assert_cmpint (n, ==, 400);
  vj_store_close (store);
  assert_fails (VJ_EXIT_STORE, "writable", vj_store_open (place->dir, VJ_STORE_WRITE, &error_) != NULL);
  g_assert_cmpint (umount (place->dir), ==, 0);
}

static void
test_truncated (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *ledger = make_ledger (place);
  struct stat info;

  g_assert_cmpint (stat (ledger, &info), ==, 0);
  for (int part = 9; part >= 1; part--) {
    g_assert_cmpint (truncate (ledger, info.st_size * part / 10), ==, 0);
    g_assert_cmpint (read_until_damage (place->dir), >=, 0);
  }
}

static void
test_paths (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *ledger = make_ledger (place), *moved = g_strconcat (ledger, ".moved", NULL);
  g_autofree char *link = g_strconcat (place->dir, ".link", NULL), *none = g_build_filename (place->dir, "none", NULL);
  g_autofree char *fresh = g_build_filename (place->dir, "runs", "mine", NULL);
  struct stat info;

  vj_store_close (open_store (fresh, VJ_STORE_WRITE));
  g_assert_cmpint (stat (fresh, &info), ==, 0);
  g_assert_cmpuint (info.st_mode & 0777, ==, 0700);
  g_assert_cmpint (stat (ledger, &info), ==, 0);
  g_assert_cmpuint (info.st_mode & 0777, ==, 0600);
  assert_fails (VJ_EXIT_STORE, "cannot open the run directory", vj_store_open (none, VJ_STORE_READ, &error_) != NULL);
  assert_fails (VJ_EXIT_STORE, "", vj_store_open (ledger, VJ_STORE_WRITE, &error_) != NULL);
  /* A directory reached by a link is fine; a ledger that is one is not. */
  g_assert_cmpint (symlink (place->dir, link), ==, 0);
  vj_store_close (open_store (link, VJ_STORE_WRITE));
  unlink (link);
  g_assert_cmpint (rename (ledger, moved), ==, 0);
  assert_fails (VJ_EXIT_STORE, "there is no run", vj_store_open (place->dir, VJ_STORE_READ, &error_) != NULL);
  g_assert_cmpint (symlink (moved, ledger), ==, 0);
  refused (place->dir, "not a regular file");
  /* Another user's run is not said to be absent. Root may look everywhere, so it looks as somebody else. */
  uid_t user = geteuid ();
  g_assert_cmpint (chmod (place->dir, 0), ==, 0);
  g_assert_cmpint (seteuid (user == 0 ? 65534 : user), ==, 0);
  assert_fails (VJ_EXIT_STORE, "Permission denied", vj_store_open (place->dir, VJ_STORE_READ, &error_) != NULL);
  g_assert_cmpint (seteuid (user), ==, 0);
  g_assert_cmpint (chmod (place->dir, 0700), ==, 0);
}

/* A crash while the ledger was made leaves an empty file: that is a fresh directory. */
static void
test_empty_file (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autofree char *ledger = ledger_of (place);
  g_assert_true (g_file_set_contents (ledger, "", 0, NULL));
  assert_fails (VJ_EXIT_STORE, "holds no run yet", vj_store_open (place->dir, VJ_STORE_READ, &error_) != NULL);
  vj_store_close (open_store (place->dir, VJ_STORE_WRITE));
  vj_store_close (open_store (place->dir, VJ_STORE_READ));
}

int
main (int argc, char **argv)
{
  place_in_memory ();
  g_test_init (&argc, &argv, NULL);
#define ADD(path, function) g_test_add ("/store/" path, Place, NULL, place_init, function, place_done)
  ADD ("kills", test_kills);
  ADD ("race", test_race);
  ADD ("full-disk", test_full_disk);
  ADD ("full-tmpfs", test_full_tmpfs);
  ADD ("foreign", test_foreign);
  ADD ("zeroed-page", test_zeroed_page);
  ADD ("zeroed-image", test_zeroed_image);
  ADD ("truncated", test_truncated);
  ADD ("read-only", test_read_only);
  ADD ("paths", test_paths);
  ADD ("empty-file", test_empty_file);
  return g_test_run ();
}
