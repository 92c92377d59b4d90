/* Logistic regression without an intercept on sparse rows. */
#include "report/logistic.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define NEWTON_MAX 100
#define CONJUGATE_MAX 200
#define GRADIENT_LEAST 1e-9 /* of the first gradient's length */
#define HALVINGS_MAX 40

typedef struct {
  const VjSparse *x;
  const gboolean *use;
  double strength;
  double *margin; /* [rows] x_i w */
  double *curve;  /* [rows] strength * s (1 - s), s = 1 / (1 + exp (-margin)) */
} Problem;

double
vj_sparse_dot (const VjSparse *x, gsize row, const double *w)
{
  double sum = 0;
  for (gsize at = x->starts[row]; at < x->starts[row + 1]; at++)
    sum += x->value[at] * w[x->column[at]];
  return sum;
}

static void
add_row (const VjSparse *x, gsize row, double factor, double *out)
{
  for (gsize at = x->starts[row]; at < x->starts[row + 1]; at++)
    out[x->column[at]] += factor * x->value[at];
}

static double
dot (const double *a, const double *b, gsize n)
{
  double sum = 0;
  for (gsize i = 0; i < n; i++)
    sum += a[i] * b[i];
  return sum;
}

/* log (1 + exp (-margin)) without overflow. */
static double
loss_of (double margin)
{
  return margin > 0 ? log1p (exp (-margin)) : log1p (exp (margin)) - margin;
}

/* The objective at w, with the margins that belong to it. */
static double
objective (Problem *problem, const double *w)
{
  double sum = dot (w, w, problem->x->columns) / 2;
  for (gsize i = 0; i < problem->x->rows; i++) {
    if (!problem->use[i])
      continue;
    problem->margin[i] = vj_sparse_dot (problem->x, i, w);
    sum += problem->strength * loss_of (problem->margin[i]);
  }
  return sum;
}

/* At the margins of the last objective. */
static void
gradient (Problem *problem, const double *w, double *ret_g)
{
  memcpy (ret_g, w, problem->x->columns * sizeof *w);
  for (gsize i = 0; i < problem->x->rows; i++) {
    if (!problem->use[i])
      continue;
    double wrong = 1 / (1 + exp (problem->margin[i]));
    problem->curve[i] = problem->strength * wrong * (1 - wrong);
    add_row (problem->x, i, -problem->strength * wrong, ret_g);
  }
}

static void
hessian_times (const Problem *problem, const double *v, double *ret_product)
{
  memcpy (ret_product, v, problem->x->columns * sizeof *v);
  for (gsize i = 0; i < problem->x->rows; i++)
    if (problem->use[i])
      add_row (problem->x, i, problem->curve[i] * vj_sparse_dot (problem->x, i, v), ret_product);
}

/* Solves H step = -g up to a residual of `tolerance`. `work` is [3, columns]. */
static void
newton_step (const Problem *problem, const double *g, double tolerance, double *work, double *ret_step)
{
  gsize n = problem->x->columns;
  double *residual = work, *direction = work + n, *product = work + 2 * n;

  memset (ret_step, 0, n * sizeof *ret_step);
  for (gsize i = 0; i < n; i++)
    direction[i] = residual[i] = -g[i];
  double square = dot (residual, residual, n);
  for (guint k = 0; k < CONJUGATE_MAX && sqrt (square) > tolerance; k++) {
    hessian_times (problem, direction, product);
    double length = square / dot (direction, product, n), before = square;
    for (gsize i = 0; i < n; i++) {
      ret_step[i] += length * direction[i];
      residual[i] -= length * product[i];
    }
    square = dot (residual, residual, n);
    for (gsize i = 0; i < n; i++)
      direction[i] = residual[i] + square / before * direction[i];
  }
}

/* Moves w along the step as far as the objective falls enough (Armijo). Close to the optimum it changes by less than it
 * is rounded; there a step is taken on trust, since the gradient says when to stop. FALSE: it falls no more, w stays.
 */
static gboolean
walk (Problem *problem, const double *step, double slope, double *value, double *trial, double *w)
{
  gsize n = problem->x->columns;
  double length = 1, rounding = 4 * DBL_EPSILON * fabs (*value);
  for (guint k = 0; k < HALVINGS_MAX; k++, length /= 2) {
    for (gsize i = 0; i < n; i++)
      trial[i] = w[i] + length * step[i];
    double there = objective (problem, trial);
    if (there <= *value + 1e-4 * length * slope + rounding) {
      memcpy (w, trial, n * sizeof *w);
      *value = there;
      return TRUE;
    }
  }
  return FALSE;
}

guint
vj_logistic_fit (const VjSparse *x, const gboolean *use, double strength, double *ret_w)
{
  gsize n = x->columns;
  g_autofree double *margin = g_new0 (double, x->rows + 1), *curve = g_new0 (double, x->rows + 1);
  g_autofree double *g = g_new (double, n + 1), *step = g_new (double, n + 1), *work = g_new (double, 3 * n + 1);
  Problem problem = {x, use, strength, margin, curve};
  guint taken = 0;

  memset (ret_w, 0, n * sizeof *ret_w);
  double value = objective (&problem, ret_w), first = 0;
  for (; taken < NEWTON_MAX; taken++) {
    gradient (&problem, ret_w, g);
    double length = sqrt (dot (g, g, n));
    if (taken == 0)
      first = length;
    if (length <= GRADIENT_LEAST * first)
      break;
    newton_step (&problem, g, MIN (0.1, sqrt (length / first)) * length, work, step);
    if (!walk (&problem, step, dot (g, step, n), &value, work, ret_w))
      break;
  }
  return taken;
}
