/* engine/mllama/adapter-targets: which modules an adapter's config names. */
#include "engine/mllama/adapter-targets.h"

/* target_modules mean the modules that PEFT takes by them (tests/peers/make_target_vectors.py). */
static void
test_target_modules (void)
{
  g_autofree char *file = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/lora/targets.json", NULL);
  json_t *root = json_load_file (file, 0, NULL), *modules = json_object_get (root, "modules"), *cases = json_object_get (root, "cases"), *c, *module;
  gsize i, m;
  g_assert_cmpuint (json_array_size (cases), >, 20);
  json_array_foreach (cases, i, c) {
    g_autoptr (GError) error = NULL;
    g_autoptr (VjAdapterTargets) targets = vj_adapter_targets_new ("config", c, &error);
    const json_t *taken = json_object_get (c, "taken");
    gsize n = 0;
    g_assert_no_error (error);
    json_array_foreach (modules, m, module) {
      gboolean want = n < json_array_size (taken) && json_equal (json_array_get (taken, n), module);
      n += want;
      if (vj_adapter_targets_have (targets, json_string_value (module)) != want)
        g_error ("case %zu: %s: PEFT says %d", i, json_string_value (module), want);
    }
    g_assert_cmpuint (n, ==, json_array_size (taken));
    g_assert_true (vj_adapter_targets_complete (targets));
  }
  json_decref (root);
  json_t *narrowed = json_pack ("{s:[s], s:[i]}", "target_modules", "q_proj", "layers_to_transform", 1), *all = json_pack ("{s:s}", "target_modules", "all-linear");
  g_autoptr (VjAdapterTargets) one = vj_adapter_targets_new ("config", narrowed, NULL), any = vj_adapter_targets_new ("config", all, NULL);
  g_assert_false (vj_adapter_targets_complete (one));
  g_assert_true (vj_adapter_targets_have (any, "whatever"));
  g_assert_false (vj_adapter_targets_complete (any));
  json_decref (narrowed);
  json_decref (all);
}

int
main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  g_test_add_func ("/adapter-targets/as-peft", test_target_modules);
  return g_test_run ();
}
