/* Directories that appear whole or not at all: filled under a hidden name, listed by a manifest written last, renamed. */
#ifndef VJ_STORE_CHECKPOINT_H
#define VJ_STORE_CHECKPOINT_H

#include "vj/error.h"

#define VJ_MANIFEST_NAME "vj-manifest.json"

/* Makes an empty directory to fill for the directory `final` (which need not exist) beside it, after removing what a
 * crash may have left of it. The path is the same each time: ".partial-NAME" in final's parent. NULL on error. */
VJ_API char *vj_checkpoint_begin (const char *final, GError **error);

/* Syncs every file, writes the manifest (names, sizes, SHA-256), and renames the directory to `final`, which must not
 * exist, all durably. */
VJ_API gboolean vj_checkpoint_publish (const char *partial, const char *final, GError **error);

/* As publish, but an existing `final` that carries a manifest gives way; another is VJ_EXIT_STORE. */
VJ_API gboolean vj_checkpoint_replace (const char *partial, const char *final, GError **error);

/* Whether `dir` is whole: its manifest is there and each file has its size and, with `deep`, its digest. VJ_EXIT_DATA
 * names what is wrong. Files beyond the manifest are ignored. */
VJ_API gboolean vj_checkpoint_validate (const char *dir, gboolean deep, GError **error);

/* SHA-256 of the manifest: names the directory's whole content. NULL on error. */
VJ_API char *vj_checkpoint_digest (const char *dir, GError **error);

/* Removes what crashes have left in `parent`. */
VJ_API gboolean vj_checkpoint_clean (const char *parent, GError **error);

#endif
