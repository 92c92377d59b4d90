/* "Did you mean": the nearest of the names that would have been right. */
#ifndef VJ_BASE_NEAREST_H
#define VJ_BASE_NEAREST_H

#include "vj/error.h"

/* Damerau-Levenshtein distance (adjacent swaps count one), in bytes. */
VJ_API guint vj_nearest_distance (const char *a, const char *b);

/* The name of `names` (NULL-terminated) nearest to `word`, or NULL when none is near. Borrowed. */
VJ_API const char *vj_nearest (const char *word, const char *const *names);

/* "; did you mean 'x'? Expected one of a, b, c", "; expected one of a, b, c" when none is near, "" without names. Owned. */
VJ_API char *vj_nearest_hint (const char *word, const char *const *names);

#endif
