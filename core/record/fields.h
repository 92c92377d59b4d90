/* VJ_RECORD_FIELDS as data. Inside core/record only. */
#ifndef VJ_RECORD_FIELDS_H
#define VJ_RECORD_FIELDS_H

#include "record/record.h"

typedef struct {
  VjRecordKind kind;
  const char *name;
  VjFieldType type;
  gboolean required;
  const char *choices, *doc;
} VjField;

/* The next field of `kind` after `after` (NULL: the first); NULL after the last. */
const VjField *vj_fields_next (VjRecordKind kind, const VjField *after);
const VjField *vj_fields_find (VjRecordKind kind, const char *name); /* NULL: the kind has none of that name */

/* Whether `key` is one of the members that every record has: id, kind, iteration, parents. */
gboolean vj_fields_is_head (const char *key);

#endif
