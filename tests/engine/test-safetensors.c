/* safetensors: what is written is read back bit for bit; every hostile header is refused with its reason. */
#include "tensor/safetensors.h"

#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

static char *
scratch_file (const char *dir, const char *name)
{
  return g_build_filename (dir, name, NULL);
}

static void
put_file (const char *file, guint64 length, const char *header, gsize data)
{
  g_autoptr (GByteArray) bytes = g_byte_array_new ();
  guint64 le = GUINT64_TO_LE (length);
  g_byte_array_append (bytes, (const guint8 *) &le, 8);
  g_byte_array_append (bytes, (const guint8 *) header, (guint) strlen (header));
  gsize at = bytes->len;
  g_byte_array_set_size (bytes, (guint) (at + data));
  memset (bytes->data + at, 0, data);
  g_assert_true (g_file_set_contents (file, (const char *) bytes->data, (gssize) bytes->len, NULL));
}

/* Each is refused; `says` is part of the message. */
static const struct { const char *header; gsize data; const char *says; } faults[] = {
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "reversed or ends beyond" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 12, "bytes after the last" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8, "reversed" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8, "do not make the length" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12, "gap" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "overlaps" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "duplicate" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],\"data_offsets\":[0,8]}}", 8, "overflows" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904],\"data_offsets\":[0,8]}}", 8, "do not make the length" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8, "non-negative" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2.0],\"data_offsets\":[0,8]}}", 8, "non-negative" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],\"data_offsets\":[0,8]}}", 8, "at most 8" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,18446744073709551616]}}", 8, "too big" },
  { "{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "lacks" },
  { "{\"a\":{\"dtype\":7,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, "lacks" },
  { "{\"a\":[]}", 0, "lacks" },
  { "[]", 0, "not a JSON object" },
  { "{", 0, "" },
  { "", 0, "" },
};

static void
test_faults (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vj-safetensors-XXXXXX", NULL), *file = scratch_file (dir, "x.safetensors");
  for (guint i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autoptr (GError) error = NULL;
    put_file (file, strlen (faults[i].header), faults[i].header, faults[i].data);
    g_assert_null (vj_safetensors_open (file, &error));
    g_test_message ("%s", error->message);
    g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
    g_assert_nonnull (strstr (error->message, faults[i].says));
  }
  static const guint64 lengths[] = { 3, 100000001, G_MAXUINT64, G_MAXUINT64 - 7 }; /* beyond the file or the cap */
  for (guint i = 0; i < G_N_ELEMENTS (lengths); i++) {
    g_autoptr (GError) error = NULL;
    put_file (file, lengths[i], "{}", 0);
    g_assert_null (vj_safetensors_open (file, &error));
    g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_safetensors_open (dir, &error)); /* not a regular file */
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_unlink (file);
  g_rmdir (dir);
}

static void
test_round_trip (void)
{
  g_autofree char *dir = g_dir_make_tmp ("vj-safetensors-XXXXXX", NULL), *file = scratch_file (dir, "x.safetensors");
  g_autoptr (GError) error = NULL;
  const float a[6] = { 1, -0.0f, 3e38f, 1e-45f, INFINITY, 5 };
  const guint16 b[2] = { 0x3f80, 0xffff };
  const VjTensor tensors[] = {
    { .name = "z.first", .dtype = VJ_DTYPE_F32, .n_dims = 2, .dims = { 2, 3 }, .n_elements = 6, .data = a },
    { .name = "a.second", .dtype = VJ_DTYPE_BF16, .n_dims = 1, .dims = { 2 }, .n_elements = 2, .data = b },
    { .name = "scalar", .dtype = VJ_DTYPE_F32, .n_dims = 0, .n_elements = 1, .data = a },
    { .name = "empty", .dtype = VJ_DTYPE_F32, .n_dims = 1, .dims = { 0 }, .n_elements = 0, .data = a },
  };
  const char *const metadata[] = { "format", "pt", NULL };
  g_assert_true (vj_safetensors_save (file, tensors, 4, metadata, &error));
  g_assert_no_error (error);
  g_autoptr (VjSafetensors) opened = vj_safetensors_open (file, &error);
  g_assert_no_error (error);
  gsize n;
  g_assert_cmpstr (vj_safetensors_list (opened, &n)[0].name, ==, "a.second");
  g_assert_cmpuint (n, ==, 4);
  for (guint i = 0; i < 4; i++) {
    const VjTensor *t = vj_safetensors_find (opened, tensors[i].name);
    g_assert_cmpuint (t->dtype, ==, tensors[i].dtype);
    g_assert_cmpmem (t->dims, t->n_dims * sizeof *t->dims, tensors[i].dims, tensors[i].n_dims * sizeof *t->dims);
    g_assert_cmpmem (t->data, t->n_elements * vj_dtype_size (t->dtype), tensors[i].data, tensors[i].n_elements * vj_dtype_size (t->dtype));
  }
  g_assert_null (vj_safetensors_find (opened, "none"));
  g_assert_false (vj_safetensors_is_cut (opened));
  g_assert_cmpint (truncate (file, 20), ==, 0);
  g_assert_true (vj_safetensors_is_cut (opened));
  g_autofree char *beyond = scratch_file (dir, "no/such/dir.safetensors");
  g_assert_false (vj_safetensors_save (beyond, tensors, 4, NULL, &error));
  g_assert_error (error, VJ_ERROR, VJ_EXIT_STORE);
  g_unlink (file);
  g_rmdir (dir);
}

/* An index whose shards lie outside, are missing, or do not hold what it says. */
static void
test_index (void)
{
  static const struct { const char *index; gboolean good; } cases[] = {
    { "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"two.safetensors\"}}", TRUE },
    { "{\"weight_map\":{\"a\":\"../one.safetensors\"}}", FALSE },
    { "{\"weight_map\":{\"a\":\"/etc/one.safetensors\"}}", FALSE },
    { "{\"weight_map\":{\"a\":\"missing.safetensors\"}}", FALSE },
    { "{\"weight_map\":{\"c\":\"one.safetensors\"}}", FALSE },
    { "{\"weight_map\":{\"a\":\"one.safetensors\",\"b\":\"copy.safetensors\"}}", FALSE }, /* both hold a */
    { "{\"weight_map\":{\"a\":3}}", FALSE },
    { "{\"weight_map\":[]}", FALSE },
    { "{}", FALSE },
    { "nonsense", FALSE },
  };
  g_autofree char *dir = g_dir_make_tmp ("vj-safetensors-XXXXXX", NULL), *index = scratch_file (dir, "model.safetensors.index.json");
  const char *const names[] = { "one.safetensors", "two.safetensors", "copy.safetensors" }, *const keys[] = { "a", "b", "a" };
  const float value = 1;
  for (guint i = 0; i < 3; i++) {
    g_autofree char *file = scratch_file (dir, names[i]);
    VjTensor tensor = { .name = keys[i], .n_dims = 1, .dims = { 1 }, .n_elements = 1, .data = &value };
    g_assert_true (vj_safetensors_save (file, &tensor, 1, NULL, NULL));
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_assert_true (g_file_set_contents (index, cases[i].index, -1, NULL));
    g_autoptr (VjSafetensors) file = vj_safetensors_open_dir (dir, &error);
    g_assert_cmpint (file != NULL, ==, cases[i].good);
    if (!cases[i].good)
      g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  }
  g_unlink (index);
  for (guint i = 0; i < 3; i++) {
    g_autofree char *file = scratch_file (dir, names[i]);
    g_unlink (file);
  }
  g_autoptr (GError) error = NULL;
  g_assert_null (vj_safetensors_open_dir (dir, &error)); /* nothing there */
  g_assert_error (error, VJ_ERROR, VJ_EXIT_DATA);
  g_rmdir (dir);
}

/* All 65,536 halves survive the way to f32 and back; ties round to even. */
static void
test_dtypes (void)
{
  for (guint i = 0; i < 65536; i++) {
    guint16 half = (guint16) i, back;
    for (guint t = VJ_DTYPE_BF16; t <= VJ_DTYPE_F16; t++) {
      float value;
      vj_dtype_to_f32 ((VjDtype) t, &half, 1, &value);
      vj_dtype_from_f32 ((VjDtype) t, &value, 1, &back);
      if (isnan (value)) {
        vj_dtype_to_f32 ((VjDtype) t, &back, 1, &value);
        g_assert_true (isnan (value));
      } else {
        g_assert_cmphex (back, ==, half);
      }
    }
  }
  static const struct { float value; guint16 bf16, f16; } ties[] = {
    { 1.00390625f, 0x3f80, 0x3c04 },       /* 1 + 2^-8: a tie in bf16, to even   */
    { 1.01171875f, 0x3f82, 0x3c0c },       /* 1 + 3 x 2^-8: a tie, to even       */
    { 1.00048828125f, 0x3f80, 0x3c00 },    /* 1 + 2^-11: a tie in f16            */
    { 65520.0f, 0x4780, 0x7c00 },          /* rounds to infinity in f16          */
    { 65519.0f, 0x4780, 0x7bff },
    { 2.98023224e-8f, 0x3300, 0x0000 },    /* half of the least f16: to even     */
    { 8.94069672e-8f, 0x33c0, 0x0002 },    /* 1.5 of the least f16: to even      */
  };
  for (guint i = 0; i < G_N_ELEMENTS (ties); i++) {
    guint16 bf16, f16;
    vj_dtype_from_f32 (VJ_DTYPE_BF16, &ties[i].value, 1, &bf16);
    vj_dtype_from_f32 (VJ_DTYPE_F16, &ties[i].value, 1, &f16);
    g_assert_cmphex (bf16, ==, ties[i].bf16);
    g_assert_cmphex (f16, ==, ties[i].f16);
  }
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/safetensors/refuses", test_faults);
  g_test_add_func ("/safetensors/round-trip", test_round_trip);
  g_test_add_func ("/safetensors/index", test_index);
  g_test_add_func ("/dtype/conversions", test_dtypes);
  return g_test_run ();
}
