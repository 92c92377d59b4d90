/* What audits found out about an iteration's pairs: from counts to figures (JSON, kept in the store), from figures to
 * text. */
#ifndef VJ_REPORT_AUDIT_H
#define VJ_REPORT_AUDIT_H

#include "report/shortcut.h"
#include "store/store.h"

G_BEGIN_DECLS

/* -- whether the pairs need their images --------------------------------------------- */

typedef enum { VJ_PICTURE_REAL, VJ_PICTURE_BLANK, VJ_PICTURE_SWAPPED, VJ_N_PICTURES } VjPicture;
VJ_API const char *vj_picture_name (VjPicture picture); /* "real", "blank", "swapped". Static. */

/* Pairs of one kind, judged in both orders with each picture. */
typedef struct {
  char *kind; /* "all": every pair */
  VjPairCounts counts[VJ_N_PICTURES];
  guint64 only_real[VJ_N_PICTURES];  /* pairs right in both orders with the real picture, not with this one */
  guint64 only_other[VJ_N_PICTURES]; /* the other way round                                                 */
} VjImageKind;

typedef struct {
  GPtrArray *kinds; /* of VjImageKind: "all" first, then in order of first mention */
} VjImageAudit;

VJ_API void vj_image_audit_init (VjImageAudit *audit);
VJ_API void vj_image_audit_clear (VjImageAudit *audit);
/* Adds one pair: its answers by picture, each when the chosen one stood first and when it stood second. */
VJ_API void vj_image_audit_add (VjImageAudit *audit, const char *kind, const VjAnswer answers[VJ_N_PICTURES][2]);

/* How an audit ends. */
typedef enum {
  VJ_AUDIT_CLEAN,
  VJ_AUDIT_UNSURE, /* too few pairs to tell, which is no finding; what there is to say is said       */
  VJ_AUDIT_PARTLY, /* single kinds are at fault; a finding says which                                */
  VJ_AUDIT_FOUND   /* the set is at fault                                                            */
} VjAuditOutcome;

/* The figures as one line of JSON; kinds are sorted by name. *ret_finding (owned) says in one sentence what is wrong,
 * NULL: nothing is. CLEAN, PARTLY: with the real image the judge is right in both orders more often than with a blank one,
 * by the exact McNemar test at 5 %. FOUND: it is not, and by the 95 % interval the image helps with no more than a tenth of
 * the pairs. UNSURE: neither can be told. PARTLY: a kind's accuracy with the blank image lies above a half by its whole
 * Wilson interval. */
VJ_API char *vj_image_audit_figures (VjImageAudit *audit, guint iteration, VjAuditOutcome *ret_outcome,
                                     char **ret_finding);

/* -- whether the text gives the better answer away ------------------------------------- */

/* As above. FOUND: the text's area under the curve, or that of length alone in either direction, leaks
 * (vj_shortcut_leaks) over all pairs, or over those of a kind with at least 50. UNSURE: too few groups. */
VJ_API char *vj_shortcut_figures (const VjShortcut *shortcut, guint iteration, double max_auc,
                                  VjAuditOutcome *ret_outcome, char **ret_finding);

/* -- out of the store -------------------------------------------------------------------- */

/* Appends the figures of all audits, as text of at most 100 columns, or as elements of the array. */
gboolean vj_audits_append (GString *out, VjStore *store, GError **error);
gboolean vj_audits_json (VjStore *store, json_t *array, GError **error);

G_END_DECLS
#endif
