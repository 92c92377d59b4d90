/* Offers the built openblas plugin to the engine, without the plugin loader. */
#ifndef VJ_TESTS_OPENBLAS_H
#define VJ_TESTS_OPENBLAS_H

#include "compute/compute.h"
#include "vj/plugin.h"

#include <dlfcn.h>
#include <string.h>

static const VjComputeOps *
openblas_find (G_GNUC_UNUSED void *data, const char *name, GError **error)
{
  g_autofree char *file = g_build_filename (g_getenv ("VJ_BUILDDIR") ? g_getenv ("VJ_BUILDDIR") : ".", "plugins/compute/openblas.so", NULL);
  void *so = strcmp (name, "openblas") == 0 ? dlopen (file, RTLD_NOW | RTLD_LOCAL) : NULL;
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

static void
openblas_offer (void)
{
  vj_compute_set_find (openblas_find, NULL);
}

static G_GNUC_UNUSED gboolean
openblas_available (void)
{
  return openblas_find (NULL, "openblas", NULL) != NULL;
}

#endif
