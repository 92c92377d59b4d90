/* Offers the built compute plugins to the engine, without the plugin loader: openblas, onednn, cublas, and as `cublas-emulated`
 * the latter on the emulated GPU of tests/engine/emulated/. */
#ifndef VJ_TESTS_PLUGINS_H
#define VJ_TESTS_PLUGINS_H

#include "compute/compute.h"
#include "vj/plugin.h"

#include <dlfcn.h>
#include <string.h>

static const VjComputeOps *
plugins_find (G_GNUC_UNUSED void *data, const char *name, GError **error)
{
  static const char *const files[][2] = { { "openblas", "plugins/compute/openblas.so" }, { "onednn", "plugins/compute/onednn.so" }, { "cublas", "plugins/compute/cublas.so" },
                                          { "cublas-emulated", "tests/engine/emulated/cublas.so" } };
  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *file = g_build_filename (g_getenv ("VJ_BUILDDIR") ? g_getenv ("VJ_BUILDDIR") : ".", files[i][1], NULL);
    if (strcmp (name, files[i][0]) != 0)
      continue;
    void *so = dlopen (file, RTLD_NOW | RTLD_LOCAL), *symbol = so == NULL ? NULL : dlsym (so, "vj_plugin_query");
    const VjPlugin *(*query) (void) = NULL;
    memcpy (&query, &symbol, sizeof query);
    if (query != NULL)
      return query ()->ops;
    if (g_file_test (file, G_FILE_TEST_EXISTS))
      g_error ("%s: %s", file, dlerror ()); /* built, but not as it should be */
  }
  vj_fail (error, VJ_EXIT_PLUGIN, "compute: '%s': not found: it was not built", name);
  return NULL;
}

static void
plugins_offer (void)
{
  vj_compute_set_find (plugins_find, NULL);
}

/* Why this compute cannot be opened here; NULL: it can. Free with g_free. */
static G_GNUC_UNUSED char *
compute_missing (const char *name)
{
  g_autoptr (GError) error = NULL;
  VjCompute *compute = vj_compute_open (name, 1, &error);
  vj_compute_close (compute);
  return compute != NULL ? NULL : g_strdup (error->message);
}

/* With one thread or more; NULL, and the test is skipped, where it cannot be opened here. */
static G_GNUC_UNUSED VjCompute *
open_or_skip (const char *name, guint threads)
{
  g_autoptr (GError) error = NULL;
  VjCompute *compute = vj_compute_open (name, threads, &error);
  if (compute == NULL) {
    g_assert_error (error, VJ_ERROR, VJ_EXIT_PLUGIN);
    g_test_skip (error->message);
  }
  return compute;
}

/* The test under `path` for each compute that runs on CPUs. */
static G_GNUC_UNUSED void
add_for_cpus (const char *path, GTestDataFunc test)
{
  static const char *const names[] = { "cpu", "cpu:generic", "cpu:avx512", "cpu:amx", "openblas", "onednn" };
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *full = g_strconcat (path, "/", names[i], NULL);
    g_test_add_data_func (full, names[i], test);
  }
}

#endif
