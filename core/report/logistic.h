/* Logistic regression without an intercept on sparse rows, to its only optimum. */
#ifndef VJ_REPORT_LOGISTIC_H
#define VJ_REPORT_LOGISTIC_H

#include "vj/error.h"

G_BEGIN_DECLS

/* A sparse matrix [rows, columns] of f64, row by row: row i is entries starts[i] to starts[i + 1]. */
typedef struct {
  gsize rows, columns;
  const gsize *starts;   /* [rows + 1]                     */
  const guint32 *column; /* [starts[rows]], below columns  */
  const double *value;   /* [starts[rows]], finite         */
} VjSparse;

/* The w [columns] that minimises |w|^2 / 2 + strength * sum over rows i with use[i] of log (1 + exp (-x_i w)): each row
 * is the difference of what is to win and what is to lose. Newton steps whose equations are solved by conjugate
 * gradients (Lin, Weng and Keerthi, Journal of Machine Learning Research 9 (2008) 627-650), with a line search in place
 * of their trust region. The same input gives the same bytes. strength > 0. Returns the number of Newton steps. */
VJ_API guint vj_logistic_fit (const VjSparse *x, const gboolean *use, double strength, double *ret_w);

/* x_i w. */
VJ_API double vj_sparse_dot (const VjSparse *x, gsize row, const double *w);

G_END_DECLS
#endif
