/* Reading the JSON files of a model directory: bounded, strict, with messages
 * that name the file. Not for records or replies. */
#ifndef VJ_ENGINE_JSON_H
#define VJ_ENGINE_JSON_H

#include <jansson.h>
#include "vj/error.h"

/* The bytes of the regular file `file` (links are followed: Hugging Face caches are links), NUL-terminated
 * and owned by the caller. Missing, not regular or longer than `limit` bytes is VJ_EXIT_DATA, NULL. */
char *vj_json_bytes (const char *file, gsize limit, gsize *ret_length, GError **error);

/* The object in `length` bytes; anything else, broken UTF-8 and a key given twice are VJ_EXIT_DATA, NULL.
 * `where` opens the message. Owned: json_decref. */
json_t *vj_json_object (const char *where, const char *bytes, gsize length, GError **error);

/* A member of `object`, left as it is (TRUE) when absent; VJ_EXIT_DATA when of another type or out of range. */
gboolean vj_json_get_uint (const char *where, const json_t *object, const char *key, guint64 least, guint64 most, guint64 *ret_value,
                           GError **error);
gboolean vj_json_get_real (const char *where, const json_t *object, const char *key, double least, double most, double *ret_value,
                           GError **error);
gboolean vj_json_get_bool (const char *where, const json_t *object, const char *key, gboolean *ret_value, GError **error);

/* A string member, borrowed; NULL when absent or null or no string. */
const char *vj_json_peek_string (const json_t *object, const char *key);

/* Whether a member is absent or null. */
gboolean vj_json_is_null (const json_t *object, const char *key);

#endif
