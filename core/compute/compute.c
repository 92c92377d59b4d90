/* Finding and opening a compute: see compute.h. */
#include "compute/cpu.h"

#include <string.h>

/* Set once by the host before any engine opens, so no two threads or instances can disagree about it. */
static struct {
  VjComputeFind find;
  void *data;
} host;

void
vj_compute_set_find (VjComputeFind find, void *data)
{
  host.find = find;
  host.data = data;
}

/* A GPU before any processor. Of the processor's, the host's own: its bf16 kernels were nowhere measured slower than
 * oneDNN's, nor its f32 kernel on AVX-512 than OpenBLAS's, which is the faster one on anything less (doc/performance.md). */
static const VjComputeOps *
find_best (void)
{
  const VjComputeOps *gpu = host.find == NULL ? NULL : host.find (host.data, "cublas", NULL), *blas = NULL;
  if (gpu != NULL && gpu->prepare != NULL && gpu->prepare (NULL))
    return gpu;
  if (!vj_cpu_is_wide () && host.find != NULL)
    blas = host.find (host.data, "openblas", NULL);
  return blas != NULL ? blas : &vj_compute_cpu;
}

static const char *const built_in[] = { VJ_COMPUTE_BUILT_IN, NULL };

/* Of a plugin; who asked for a name that nothing has is told the built-in ones as well. */
static const VjComputeOps *
find_plugin (const char *name, GError **error)
{
  g_autoptr (GError) cause = NULL;
  const VjComputeOps *ops = host.find (host.data, name, &cause);
  if (ops != NULL)
    return ops;
  g_autofree char *list = g_strjoinv (", ", (char **) built_in);
  if (vj_error_exit (cause) == VJ_EXIT_RECIPE)
    vj_fail (error, VJ_EXIT_RECIPE, "%s; built in are %s", cause->message, list);
  else
    g_propagate_error (error, g_steal_pointer (&cause));
  return NULL;
}

static const VjComputeOps *
find_ops (const char *name, GError **error)
{
  if (name == NULL || strcmp (name, "auto") == 0)
    return find_best ();
  if (strcmp (name, "ref") == 0)
    return &vj_compute_ref;
  if (g_strv_contains (built_in, name))
    return &vj_compute_cpu;
  if (host.find != NULL)
    return find_plugin (name, error);
  vj_fail (error, VJ_EXIT_PLUGIN, "compute: '%s': not found: no compute plugins are loaded; use 'auto', 'cpu' or 'ref'", name);
  return NULL;
}

VjCompute *
vj_compute_open (const char *name, guint threads, GError **error)
{
  const VjComputeOps *ops = find_ops (name, error);
  if (ops == NULL)
    return NULL;
  if (ops->abi != VJ_COMPUTE_ABI || ops->size < sizeof (VjComputeOps)) {
    vj_fail (error, VJ_EXIT_PLUGIN, "compute: '%s': its table does not fit: ABI %u of %u bytes, this host wants %u of %u; rebuild the plugin",
             name, ops->abi, ops->size, VJ_COMPUTE_ABI, (guint) sizeof (VjComputeOps));
    return NULL;
  }
  const VjComputeOps *table = ops->open == NULL && ops->sgemm != NULL ? &vj_compute_cpu : ops;
  if (ops->prepare != NULL && !ops->prepare (error))
    return NULL;
  void *device = table->open (threads, error);
  if (device == NULL)
    return NULL;
  if (table != ops)
    vj_cpu_set_products (device, ops->sgemm, ops->halves);
  if (name != NULL && g_str_has_prefix (name, "cpu:") && !vj_cpu_set_kernel (device, name + 4, error)) {
    table->close (device);
    return NULL;
  }
  VjCompute *compute = g_new (VjCompute, 1);
  *compute = (VjCompute) { table, device, ops->name, table != &vj_compute_cpu || vj_cpu_has_bf16 (device), table == &vj_compute_cpu ? vj_cpu_peek_kernel (device) : NULL };
  return compute;
}

void
vj_compute_close (VjCompute *compute)
{
  if (compute == NULL)
    return;
  compute->ops->close (compute->device);
  g_free (compute);
}
