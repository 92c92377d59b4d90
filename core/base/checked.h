/* Checked arithmetic: numbers read from a file pass through here before they
 * size or index anything. Each returns FALSE, output untouched, on overflow. */
#ifndef VJ_BASE_CHECKED_H
#define VJ_BASE_CHECKED_H

#include <glib.h>

static inline gboolean
vj_checked_add (gsize a, gsize b, gsize *ret_sum)
{
  return g_size_checked_add (ret_sum, a, b);
}

static inline gboolean
vj_checked_multiply (gsize a, gsize b, gsize *ret_product)
{
  return g_size_checked_mul (ret_product, a, b);
}

/* Whether [offset, offset + length) lies inside [0, total). */
static inline gboolean
vj_checked_range (gsize offset, gsize length, gsize total)
{
  return offset <= total && length <= total - offset;
}

#endif
