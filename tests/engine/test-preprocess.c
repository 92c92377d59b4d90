/* Preprocessing: tiles equal to transformers' MllamaImageProcessorPil bit for bit
 * (tests/peers/make_preprocess_vectors.py), and refusal of broken files. */
#include "engine/json.h"
#include "engine/preprocess.h"

#include <glib/gstdio.h>
#include <string.h>

/* The formula of the script. */
static guint8 *
draw (guint64 width, guint64 height, gboolean noise)
{
  guint8 *rgb = g_malloc (width * height * 3), *out = rgb;
  for (guint64 y = 0; y < height; y++)
    for (guint64 x = 0; x < width; x++)
      for (guint64 c = 0; c < 3; c++) {
        guint32 v = (guint32) (x * 374761393u + y * 668265263u + c * 2246822519u);
        v ^= v >> 13;
        v *= 1274126177u;
        *out++ = noise ? (guint8) (v >> 24) : (guint8) (x * (c + 1) * 255 / width + y * 128 / height);
      }
  return rgb;
}

static void
check_case (const VjPreprocess *p, const json_t *item)
{
  g_autoptr (GError) error = NULL;
  g_auto (VjTiles) tiles = {0};
  guint32 width = (guint32) json_integer_value (json_object_get (item, "width"));
  guint32 height = (guint32) json_integer_value (json_object_get (item, "height"));
  g_autofree guint8 *rgb = draw (width, height, strcmp (vj_json_peek_string (item, "kind"), "noise") == 0);
  VjPixels pixels = {rgb, width, height, "digest"};
  g_assert_true (vj_preprocess_image (p, &pixels, &tiles, &error));
  g_assert_no_error (error);
  g_test_message ("tile %u, %u tiles at most, image %u x %u", p->tile_size, p->max_tiles, width, height);
  g_assert_cmpuint (tiles.n_tiles, ==, json_integer_value (json_object_get (item, "n_tiles")));
  g_assert_cmpuint (tiles.rows * tiles.columns, ==, tiles.n_tiles);
  g_assert_cmpuint (tiles.aspect_ratio_id, ==, json_integer_value (json_object_get (item, "aspect_ratio_id")));
  for (gsize i = 0; i < 4; i++)
    g_assert_cmpfloat (tiles.pixels[i], ==, (float) json_number_value (json_array_get (json_object_get (item, "first"), i)));
  gsize n = (gsize) tiles.n_tiles * 3 * p->tile_size * p->tile_size;
  g_autofree char *sum = g_compute_checksum_for_data (G_CHECKSUM_SHA256, (const guchar *) tiles.pixels, n * sizeof (float));
  g_assert_cmpstr (sum, ==, vj_json_peek_string (item, "sha256"));
}

static void
test_equals_transformers (void)
{
  g_autofree char *file = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/preprocess/vectors.json", NULL);
  json_t *root = json_load_file (file, 0, NULL), *set, *item;
  gsize i, k;
  g_assert_cmpuint (json_array_size (root), >=, 6);
  json_array_foreach (root, i, set)
  {
    g_autoptr (GError) error = NULL;
    VjPreprocess p;
    char *config = json_dumps (json_object_get (set, "config"), 0);
    g_assert_true (vj_preprocess_parse ("config", config, strlen (config), &p, &error));
    g_assert_no_error (error);
    json_array_foreach (json_object_get (set, "cases"), k, item) check_case (&p, item);
    free (config);
  }
  json_decref (root);
}

static void
test_ratios_are_counted (void)
{
  g_assert_cmpuint (vj_preprocess_ratios (1), ==, 1);
  g_assert_cmpuint (vj_preprocess_ratios (4), ==, 8);
}

static void
test_absurd_images_are_refused (void)
{
  static const guint8 black[3] = {0};
  static const VjPixels images[] = {{black, 0, 1, "d"}, {black, 1, 0, "d"}, {NULL, 1, 1, "d"}, {black, 65536, 1, NULL}, {black, 1, G_MAXUINT32, "d"}};
  VjPreprocess p;
  g_assert_true (vj_preprocess_parse ("here", "{}", 2, &p, NULL));
  for (gsize i = 0; i < G_N_ELEMENTS (images); i++) {
    g_autoptr (GError) error = NULL;
    VjTiles tiles = {0};
    g_assert_false (vj_preprocess_image (&p, &images[i], &tiles, &error));
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
    g_assert_null (tiles.pixels);
  }
}

/* Which file speaks when there are two: as in transformers, processor_config.json if it has an image processor. */
static void
test_newer_file_goes_first (void)
{
  static const struct { const char *newer, *older; guint32 size; } cases[] = {
    {NULL, "{\"size\":{\"height\":16,\"width\":16}}", 16},
    {"{\"processor_class\":\"MllamaProcessor\"}", "{\"size\":{\"height\":16,\"width\":16}}", 16},
    {"{\"image_processor\":null}", "{\"size\":{\"height\":16,\"width\":16}}", 16},
    {"{\"image_processor\":{\"size\":{\"height\":24,\"width\":24}}}", "{\"size\":{\"height\":16,\"width\":16}}", 24},
    {"{\"image_processor\":{\"size\":{\"height\":24,\"width\":24}}}", NULL, 24},
    {"broken", "{\"size\":{\"height\":16,\"width\":16}}", 16},
  };
  for (gsize i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *dir = g_dir_make_tmp ("vj-preprocess-XXXXXX", NULL), *newer = g_build_filename (dir, "processor_config.json", NULL),
                    *older = g_build_filename (dir, "preprocessor_config.json", NULL);
    VjPreprocess p;
    if (cases[i].newer != NULL)
      g_assert_true (g_file_set_contents (newer, cases[i].newer, -1, NULL));
    if (cases[i].older != NULL)
      g_assert_true (g_file_set_contents (older, cases[i].older, -1, NULL));
    g_autofree char *file = vj_preprocess_file (dir);
    vj_preprocess_load (file, &p, &error);
    g_assert_no_error (error);
    g_assert_cmpuint (p.tile_size, ==, cases[i].size);
    g_unlink (newer);
    g_unlink (older);
    g_rmdir (dir);
  }
}

typedef struct {
  const char *name, *json, *part;
} Fault;

static const Fault faults[] = {
    {"not JSON", "{", "JSON"},
    {"a list", "[]", "object"},
    {"size that is text", "{\"size\":\"big\"}", "'size'"},
    {"size with one side", "{\"size\":{\"height\":16}}", "'size'"},
    {"size that is not square", "{\"size\":{\"height\":16,\"width\":32}}", "'size'"},
    {"size zero", "{\"size\":{\"height\":0,\"width\":0}}", "'height'"},
    {"size absurd", "{\"size\":{\"height\":1000000,\"width\":1000000}}", "'height'"},
    {"size negative", "{\"size\":{\"height\":-5,\"width\":-5}}", "'height'"},
    {"size with a fraction", "{\"size\":{\"height\":16.5,\"width\":16.5}}", "'height'"},
    {"tiles zero", "{\"max_image_tiles\":0}", "'max_image_tiles'"},
    {"tiles absurd", "{\"max_image_tiles\":100000000000}", "'max_image_tiles'"},
    {"tiles that are text", "{\"max_image_tiles\":\"4\"}", "'max_image_tiles'"},
    {"two means", "{\"image_mean\":[1,2]}", "'image_mean'"},
    {"a mean that is text", "{\"image_mean\":[1,2,\"3\"]}", "'image_mean'"},
    {"a deviation of zero", "{\"image_std\":[1,0,1]}", "'image_std'"},
    {"a negative deviation", "{\"image_std\":-1}", "'image_std'"},
    {"a huge factor", "{\"rescale_factor\":1e300}", "'rescale_factor'"},
    {"a factor that is text", "{\"rescale_factor\":\"x\"}", "'rescale_factor'"},
    {"do_rescale that is a number", "{\"do_rescale\":1}", "'do_rescale'"},
    {"no resize", "{\"do_resize\":false}", "'do_resize'"},
    {"no padding", "{\"do_pad\":false}", "'do_pad'"},
    {"another filter", "{\"resample\":3}", "'resample'"},
    {"another processor", "{\"image_processor_type\":\"CLIPImageProcessor\"}", "'image_processor_type'"},
    {"a key twice", "{\"resample\":2,\"resample\":2}", "duplicate"},
};

static void
test_broken_file_is_refused (gconstpointer data)
{
  const Fault *fault = data;
  g_autoptr (GError) error = NULL;
  VjPreprocess p = {.tile_size = 77};
  g_assert_false (vj_preprocess_parse ("here", fault->json, strlen (fault->json), &p, &error));
  g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  g_test_message ("%s", error->message);
  g_assert_true (g_str_has_prefix (error->message, "here"));
  g_assert_nonnull (strstr (error->message, fault->part));
  g_assert_cmpuint (p.tile_size, ==, 77); /* untouched on failure */
}

/* Seeded byte changes: refused or read into range, never a crash. */
static void
test_mangled_bytes_do_no_harm (void)
{
  static const char sound[] = "{\"size\":{\"height\":16,\"width\":16},\"max_image_tiles\":4,\"image_mean\":[0.5,0.4,0.3],"
                              "\"image_std\":[0.2,0.2,0.2],\"resample\":2,\"do_pad\":true,\"rescale_factor\":0.003}";
  g_autoptr (GRand) rand = g_rand_new_with_seed (4);
  static const guint8 rgb[12];
  guint read = 0;
  for (int i = 0; i < 3000; i++) {
    char copy[sizeof sound];
    memcpy (copy, sound, sizeof sound);
    for (int k = i % 3; k >= 0; k--)
      copy[g_rand_int_range (rand, 0, sizeof sound - 1)] = "0123456789-.eE\"{}[]:,tfn"[g_rand_int_range (rand, 0, 24)];
    g_autoptr (GError) error = NULL;
    g_auto (VjTiles) tiles = {0};
    VjPreprocess p;
    if (!vj_preprocess_parse ("here", copy, sizeof sound - 1, &p, &error)) {
      g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
      continue;
    }
    g_assert_cmpuint (p.tile_size, >=, 1);
    g_assert_cmpuint (p.tile_size, <=, 4096);
    read++;
    VjPixels pixels = {rgb, 2, 2, "x"};
    if (p.tile_size < 200)
      g_assert_true (vj_preprocess_image (&p, &pixels, &tiles, NULL));
  }
  g_assert_cmpuint (read, >, 20);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/preprocess/equals-transformers", test_equals_transformers);
  g_test_add_func ("/preprocess/ratios-are-counted", test_ratios_are_counted);
  g_test_add_func ("/preprocess/absurd-images-are-refused", test_absurd_images_are_refused);
  g_test_add_func ("/preprocess/newer-file-goes-first", test_newer_file_goes_first);
  g_test_add_func ("/preprocess/mangled-bytes-do-no-harm", test_mangled_bytes_do_no_harm);
  for (gsize i = 0; i < G_N_ELEMENTS (faults); i++) {
    g_autofree char *path = g_strdup_printf ("/preprocess/refused/%s", faults[i].name);
    g_test_add_data_func (path, &faults[i], test_broken_file_is_refused);
  }
  return g_test_run ();
}
