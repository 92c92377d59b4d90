/* What the store's tests share: a directory of their own and small records. */
#ifndef STORE_KIT_H
#define STORE_KIT_H

#include "base/file.h"
#include "store/store.h"

#include <unistd.h>

typedef struct {
  char *dir;
} Place;

/* Called first in main: temporary directories in memory, where there is such a place. The tests kill processes and make
 * calls fail, but do not pull plugs: what reaches the platter is not their business, and a sync may take 10 ms. */
static inline void
place_in_memory (void)
{
  if (g_getenv ("TMPDIR") == NULL && access ("/dev/shm", W_OK) == 0)
    g_setenv ("TMPDIR", "/dev/shm", TRUE);
}

static inline void
place_init (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  place->dir = g_dir_make_tmp ("vj-store-XXXXXX", NULL);
  g_assert_nonnull (place->dir);
}

static inline void
place_done (Place *place, gconstpointer unused G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  vj_dir_remove (place->dir, &error);
  g_assert_no_error (error);
  g_free (place->dir);
}

static inline VjStore *
open_store (const char *dir, VjStoreMode mode)
{
  g_autoptr (GError) error = NULL;
  VjStore *store = vj_store_open (dir, mode, &error);
  g_assert_no_error (error);
  return store;
}

static inline VjRecord *
make_question (const char *id, const char *prompt)
{
  VjRecord *record = vj_record_new (VJ_RECORD_QUESTION, 1, id);
  vj_record_set_text (record, "prompt", prompt);
  vj_record_set_text (record, "form", "open");
  return record;
}

static inline VjRecord *
make_response (const char *id, const char *parent, const char *text)
{
  VjRecord *record = vj_record_new (VJ_RECORD_RESPONSE, 1, id);
  vj_record_add_parent (record, parent);
  vj_record_set_text (record, "text", text);
  return record;
}

#define assert_ok(call)                \
  G_STMT_START {                       \
    GError *error_ = NULL;             \
    gboolean good_ = call;             \
    g_assert_no_error (error_);        \
    g_assert_true (good_);             \
  }                                    \
  G_STMT_END

#define assert_fails(exit_, words, call)                          \
  G_STMT_START {                                                  \
    GError *error_ = NULL;                                        \
    gboolean bad_ = !(call);                                      \
    g_assert_true (bad_);                                         \
    g_assert_error (error_, VJ_ERROR, (int) (exit_));             \
    if (strstr (error_->message, words) == NULL)                  \
      g_error ("'%s' does not tell '%s'", error_->message, words); \
    g_error_free (error_);                                        \
  }                                                               \
  G_STMT_END

#endif
