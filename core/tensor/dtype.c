/* Element types: see dtype.h. */
#include "tensor/tensor.h"

#include <string.h>

static const struct {
  gsize size;
  const char *name;
} types[] = {
#define VJ_DTYPE_ROW(name, size, key) { size, key },
  VJ_DTYPE_TABLE (VJ_DTYPE_ROW)
#undef VJ_DTYPE_ROW
};

gsize
vj_dtype_size (VjDtype dtype)
{
  return types[dtype].size;
}

const char *
vj_dtype_name (VjDtype dtype)
{
  return types[dtype].name;
}

gboolean
vj_dtype_parse (const char *name, VjDtype *ret_dtype)
{
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (strcmp (types[i].name, name) == 0) {
      *ret_dtype = (VjDtype) i;
      return TRUE;
    }
  return FALSE;
}

static float
bits_to_float (guint32 bits)
{
  float value;
  memcpy (&value, &bits, 4);
  return value;
}

static guint32
float_to_bits (float value)
{
  guint32 bits;
  memcpy (&bits, &value, 4);
  return bits;
}

static guint16
load16 (const guint8 *at)
{
  return (guint16) (at[0] | at[1] << 8);
}

static void
store16 (guint8 *at, guint16 value)
{
  at[0] = (guint8) value;
  at[1] = (guint8) (value >> 8);
}

/* IEEE 754 binary16 to binary32. */
static float
half_to_float (guint16 half)
{
  guint32 sign = (guint32) (half & 0x8000) << 16, exponent = (half >> 10) & 31, mantissa = half & 0x3ff;
  if (exponent == 31)
    return bits_to_float (sign | 0x7f800000 | mantissa << 13);
  if (exponent != 0)
    return bits_to_float (sign | (exponent + 112) << 23 | mantissa << 13);
  float value = (float) mantissa * 0x1p-24f; /* subnormal or zero: exact in f32 */
  return sign ? -value : value;
}

/* Rounds to nearest, ties to even, by letting f32 arithmetic do it at the right magnitude. */
static guint16
float_to_half (float value)
{
  guint32 bits = float_to_bits (value);
  guint16 sign = (guint16) (bits >> 16 & 0x8000);
  guint32 magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000)
    return sign | 0x7e00;
  if (magnitude >= 0x477ff000) /* 65520 and above round to infinity */
    return sign | 0x7c00;
  if (magnitude < 0x38800000) { /* below 2^-14: a subnormal half; 0.5 + x has a spacing of 2^-24 */
    guint32 sum = float_to_bits (bits_to_float (magnitude) + 0.5f);
    return (guint16) (sign | (sum - float_to_bits (0.5f)));
  }
  guint32 rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
  return (guint16) (sign | ((rounded >> 13) - (112 << 10)));
}

static guint16
float_to_bf16 (float value)
{
  guint32 bits = float_to_bits (value);
  if ((bits & 0x7fffffff) > 0x7f800000)
    return (guint16) (bits >> 16 | 0x40);
  return (guint16) ((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

void
vj_dtype_to_f32 (VjDtype dtype, const void *data, gsize n, float *ret_values)
{
  const guint8 *bytes = data;
  switch (dtype) {
  case VJ_DTYPE_BF16:
    for (gsize i = 0; i < n; i++)
      ret_values[i] = bits_to_float ((guint32) load16 (bytes + 2 * i) << 16);
    break;
  case VJ_DTYPE_F16:
    for (gsize i = 0; i < n; i++)
      ret_values[i] = half_to_float (load16 (bytes + 2 * i));
    break;
  default:
    memcpy (ret_values, data, n * 4);
  }
}

void
vj_dtype_from_f32 (VjDtype dtype, const float *values, gsize n, void *ret_data)
{
  guint8 *bytes = ret_data;
  switch (dtype) {
  case VJ_DTYPE_BF16:
    for (gsize i = 0; i < n; i++)
      store16 (bytes + 2 * i, float_to_bf16 (values[i]));
    break;
  case VJ_DTYPE_F16:
    for (gsize i = 0; i < n; i++)
      store16 (bytes + 2 * i, float_to_half (values[i]));
    break;
  default:
    memcpy (ret_data, values, n * 4);
  }
}

char *
vj_tensor_describe (guint n_dims, const gsize *dims)
{
  GString *text = g_string_new ("[");
  for (guint i = 0; i < n_dims; i++)
    g_string_append_printf (text, "%s%" G_GSIZE_FORMAT, i ? ", " : "", dims[i]);
  g_string_append_c (text, ']');
  return g_string_free (text, FALSE);
}
