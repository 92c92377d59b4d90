/* Every compute that was built and runs on this machine, without the plugin loader. */
#ifndef VJ_TESTS_COMPUTES_H
#define VJ_TESTS_COMPUTES_H

#include "compute/compute.h"
#include "vj/plugin.h"

#include <dlfcn.h>
#include <string.h>

static char *
computes_folder (void)
{
  return g_build_filename (g_getenv ("VJ_BUILDDIR") ? g_getenv ("VJ_BUILDDIR") : ".", "plugins/compute", NULL);
}

static const VjComputeOps *
computes_find (G_GNUC_UNUSED void *data, const char *name, GError **error)
{
  g_autofree char *folder = computes_folder (), *file = g_strdup_printf ("%s/%s.so", folder, name);
  void *so = dlopen (file, RTLD_NOW | RTLD_LOCAL);
  const VjPlugin *(*query) (void) = NULL;
  if (so != NULL) {
    void *symbol = dlsym (so, "vj_plugin_query");
    memcpy (&query, &symbol, sizeof query);
  }
  if (query != NULL)
    return query ()->ops;
  vj_fail (error, VJ_EXIT_PLUGIN, "compute: '%s': not found: %s; build it", name, file);
  return NULL;
}

static gint
computes_by_name (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Names, in a fixed order, of those that open. Offers the plugins to the engine. Free with g_ptr_array_unref. */
static GPtrArray *
computes_list (void)
{
  static const char *const kernels[] = {"cpu:generic", "cpu:avx512", "cpu:amx", "cpu"};
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  g_autofree char *folder = computes_folder ();
  g_autoptr (GDir) dir = g_dir_open (folder, 0, NULL);
  vj_compute_set_find (computes_find, NULL);
  for (const char *file; dir != NULL && (file = g_dir_read_name (dir)) != NULL;)
    if (g_str_has_suffix (file, ".so"))
      g_ptr_array_add (names, g_strndup (file, strlen (file) - 3));
  g_ptr_array_sort (names, computes_by_name);
  for (guint i = 0; i < G_N_ELEMENTS (kernels); i++)
    g_ptr_array_insert (names, 0, g_strdup (kernels[i]));
  g_ptr_array_insert (names, 0, g_strdup ("ref"));
  for (guint i = names->len; i-- > 0;) {
    g_autoptr (GError) error = NULL;
    g_autoptr (VjCompute) compute = vj_compute_open (names->pdata[i], 1, &error);
    g_test_message ("compute %s: %s", (const char *) names->pdata[i], compute != NULL ? "runs here" : error->message);
    if (compute == NULL)
      g_ptr_array_remove_index (names, i);
  }
  return g_steal_pointer (&names);
}

#endif
