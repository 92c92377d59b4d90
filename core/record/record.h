/* Records: what a run makes and keeps. Each is an id, a kind, an iteration, its parents' ids and the fields its kind
 * has; the fields are declared once, in VJ_RECORD_FIELDS, and checks, JSON and schemas/record.schema.json follow from
 * that list. Where a record stands in the run (stage, fate, reason) is the store's business; gold is no field at all. */
#ifndef VJ_RECORD_RECORD_H
#define VJ_RECORD_RECORD_H

#include "record/spans.h"

/* X (NAME, name, meaning) */
#define VJ_RECORD_KIND_TABLE(X)                                                                    \
  X (QUESTION, "question", "A prompt about images; its root is what a source yielded.")            \
  X (RESPONSE, "response", "An answer a model gave to the parent question.")                       \
  X (PAIR, "pair", "Two answers to the parent question, the better one known by construction.")    \
  X (JUDGMENT, "judgment", "The judge's verdict and trace on the parent pair or case, in one order.") \
  X (CASE, "case", "A gold case of an evaluator.")                                                 \
  X (ANSWER, "answer", "A model's answer to the parent case, asked by an evaluator.")              \
  X (AUDIT, "audit", "The parent pair with other images, to be judged again.")

typedef enum {
#define VJ__KIND_ENUM(name, text, doc) VJ_RECORD_##name,
  VJ_RECORD_KIND_TABLE (VJ__KIND_ENUM)
#undef VJ__KIND_ENUM
  VJ_RECORD_N_KINDS
} VjRecordKind;

typedef enum {
  VJ_FIELD_TEXT,    /* UTF-8 string                                                       */
  VJ_FIELD_CHOICE,  /* one of `choices`, a string                                         */
  VJ_FIELD_INTEGER, /* 0 or more, 53 bits                                                 */
  VJ_FIELD_REAL,    /* finite                                                             */
  VJ_FIELD_FLAG,    /* true, false                                                        */
  VJ_FIELD_IMAGES,  /* array of pixel digests                                             */
  VJ_FIELD_MESSAGES, /* array of {speaker, text, images}: what a model was shown, in order */
  VJ_FIELD_CHANGES  /* array of {chosen, before, rejected, after}: see record/spans.h      */
} VjFieldType;

/* X (KIND, name, type, required, choices separated by '|', doc) */
#define VJ_RECORD_FIELDS(X)                                                                                         \
  X (QUESTION, "prompt", TEXT, 1, "", "The question as it is asked.")                                               \
  X (QUESTION, "form", CHOICE, 1, "open|closed", "Open: long answers. Closed: a number, a word, a letter.")         \
  X (QUESTION, "images", IMAGES, 1, "", "Pixel digests, in the order they are shown.")                              \
  X (QUESTION, "category", TEXT, 0, "", "The source's own grouping.")                                               \
  X (QUESTION, "source", TEXT, 0, "", "Name of the source plugin.")                                                 \
  X (QUESTION, "key", TEXT, 0, "", "Name within the source.")                                                       \
  X (RESPONSE, "text", TEXT, 1, "", "The answer.")                                                                  \
  X (RESPONSE, "model", TEXT, 0, "", "Name of the model in the recipe.")                                            \
  X (RESPONSE, "finish", CHOICE, 0, "stop|length", "Why the text ended.")                                           \
  X (PAIR, "chosen", TEXT, 1, "", "The better answer.")                                                             \
  X (PAIR, "rejected", TEXT, 1, "", "The worse answer.")                                                            \
  X (PAIR, "how", TEXT, 1, "", "What makes the rejected answer worse: an injection's kind, or the vote.")           \
  X (PAIR, "change", TEXT, 0, "", "What was altered, e.g. red -> blue.")                                            \
  X (PAIR, "changes", CHANGES, 0, "", "Where both answers differ: offsets in characters, and what stands there.")   \
  X (PAIR, "degraded", IMAGES, 0, "", "What the rejected answer was said of, where not of the question's images.")  \
  X (PAIR, "plugin", TEXT, 0, "", "Name of the injector or sampler.")                                               \
  X (JUDGMENT, "chosen_is_a", FLAG, 1, "", "The order: whether answer A is the chosen one.")                        \
  X (JUDGMENT, "sample", INTEGER, 1, "", "Number among the samples of this order, from 0.")                         \
  X (JUDGMENT, "verdict", CHOICE, 1, "A|B|unparsed", "What the judge said.")                                        \
  X (JUDGMENT, "right", FLAG, 1, "", "Whether the verdict agrees with the construction; in a control, with its coin.")                           \
  X (JUDGMENT, "text", TEXT, 1, "", "The reasoning trace, verdict included.")                                       \
  X (JUDGMENT, "finish", CHOICE, 0, "stop|length", "Why the text ended.")                                           \
  X (JUDGMENT, "messages", MESSAGES, 0, "", "What the judge was shown.")                                            \
  X (JUDGMENT, "picture", CHOICE, 0, "real|blank|swapped", "Of the parent audit: which images the judge was shown.") \
  X (CASE, "prompt", TEXT, 1, "", "The question as it is asked.")                                                   \
  X (CASE, "form", CHOICE, 1, "open|closed", "Open: long answers. Closed: a number, a word, a letter.")             \
  X (CASE, "images", IMAGES, 1, "", "Pixel digests, in the order they are shown.")                                  \
  X (CASE, "category", TEXT, 0, "", "The evaluator's own grouping.")                                                \
  X (CASE, "evaluator", TEXT, 0, "", "Name of the evaluator plugin.")                                               \
  X (CASE, "key", TEXT, 0, "", "Name within the evaluator's data.")                                                 \
  X (CASE, "chosen", TEXT, 0, "", "The better answer, when the case is a pair.")                                    \
  X (CASE, "rejected", TEXT, 0, "", "The worse answer, when the case is a pair.")                                   \
  X (CASE, "how", TEXT, 0, "", "What makes the rejected answer worse.")                                             \
  X (ANSWER, "text", TEXT, 1, "", "The answer.")                                                                    \
  X (ANSWER, "draw", INTEGER, 0, "", "Number among the draws of the request, from 0.")                              \
  X (ANSWER, "request", INTEGER, 0, "", "Number of the request within the case, from 0.")                           \
  X (ANSWER, "finish", CHOICE, 0, "stop|length", "Why the text ended.")                                             \
  X (AUDIT, "blank", IMAGES, 0, "", "Pixel digests of the blank images.")                                           \
  X (AUDIT, "swapped", IMAGES, 0, "", "Pixel digests of other pairs' images.")

typedef struct {
  const char *id;       /* no control characters, 1 to 200 bytes */
  VjRecordKind kind;
  guint iteration;      /* 0: before the first                   */
  char **parents;       /* NULL-terminated ids; never NULL       */
  json_t *fields;       /* object; only fields of the kind       */
} VjRecord;

/* A new record without parents or fields. */
VJ_API VjRecord *vj_record_new (VjRecordKind kind, guint iteration, const char *id);
VJ_API void vj_record_free (VjRecord *record);
VJ_API void vj_record_add_parent (VjRecord *record, const char *id);

VJ_API const char *vj_record_kind_name (VjRecordKind kind);
VJ_API gboolean vj_record_kind_from_name (const char *name, VjRecordKind *ret_kind);

/* Setting: the last value counts; NULL text sets nothing. Text that is not UTF-8 is mended by g_utf8_make_valid. */
VJ_API void vj_record_set_text (VjRecord *record, const char *field, const char *text);
VJ_API void vj_record_set_integer (VjRecord *record, const char *field, gint64 value);
VJ_API void vj_record_set_real (VjRecord *record, const char *field, double value);
VJ_API void vj_record_set_flag (VjRecord *record, const char *field, gboolean value);
VJ_API void vj_record_add_image (VjRecord *record, const char *digest); /* to "images", which a question and a case always has */
VJ_API void vj_record_add_degraded (VjRecord *record, const char *digest); /* to "degraded" */
/* Sets "changes" of a pair whose answers are set and whose spans hold (vj_spans_hold). */
VJ_API void vj_record_set_changes (VjRecord *record, const VjSpan *spans, gsize n);
/* To "messages"; speaker is "system", "user" or "assistant"; digests is NULL-terminated or NULL. */
VJ_API void vj_record_add_message (VjRecord *record, const char *speaker, const char *text, const char *const *digests);

/* Reading: what is absent reads as NULL, 0, FALSE. Borrowed. */
VJ_API const char *vj_record_text (const VjRecord *record, const char *field);
VJ_API gint64 vj_record_integer (const VjRecord *record, const char *field);
VJ_API double vj_record_real (const VjRecord *record, const char *field);
VJ_API gboolean vj_record_flag (const VjRecord *record, const char *field);
VJ_API gsize vj_record_n_images (const VjRecord *record);
VJ_API const char *vj_record_image (const VjRecord *record, gsize index); /* a digest */
VJ_API const json_t *vj_record_changes (const VjRecord *record);          /* NULL: none told */
/* Each digest that any field of the record names, in the order of the fields: index from 0, NULL after the last. */
VJ_API const char *vj_record_digest (const VjRecord *record, gsize index);

/* Whether the record has every required field of its kind, no other, and each of its type: VJ_EXIT_BUG if not. */
VJ_API gboolean vj_record_check (const VjRecord *record, GError **error);

/* One flat object: id, kind, iteration, parents, then the fields. New reference. */
VJ_API json_t *vj_record_to_json (const VjRecord *record);
/* Reads and checks; `where` names the origin in messages. NULL on error (VJ_EXIT_DATA). */
VJ_API VjRecord *vj_record_from_json (const json_t *json, const char *where, GError **error);
VJ_API char *vj_record_to_text (const VjRecord *record); /* canonical, one line, no newline */
VJ_API VjRecord *vj_record_from_text (const char *text, gsize length, const char *where, GError **error);

/* Canonical JSON: sorted keys, no spaces, UTF-8 unescaped, reals with 17 digits. NULL when a number is not finite. */
VJ_API char *vj_json_canonical (const json_t *json) G_GNUC_WARN_UNUSED_RESULT;
/* The same for people to read: reals in the fewest digits that read back as the same number, 0.05 and not
 * 0.050000000000000003. What is digested or compared stays canonical. */
VJ_API char *vj_json_readable (const json_t *json) G_GNUC_WARN_UNUSED_RESULT;
/* Hostile JSON text: duplicate keys, nesting beyond 64 and text after the value are refused (VJ_EXIT_DATA). */
VJ_API json_t *vj_json_parse (const char *text, gsize length, const char *where, GError **error);

/* The JSON Schema (draft 2020-12) of an exported record, as text: the content of schemas/record.schema.json. */
VJ_API char *vj_record_schema (void);

G_DEFINE_AUTOPTR_CLEANUP_FUNC (VjRecord, vj_record_free)

#endif
