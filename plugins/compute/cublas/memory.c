/* Memory of the cublas compute, its errors, and the ring of pinned slots that uploads pass through. */
#include "plugins/compute/cublas/ops.h"

#include <string.h>

/* -- errors ---------------------------------------------------------------- */

gboolean
vj_cublas_check (VjCublas *device, const char *place, int error)
{
  device->last = place;
  if (error != 0 && device->error == 0) {
    device->error = error;
    device->place = place;
  }
  return error == 0;
}

static const char *
error_text (int error)
{
  switch (error) {
  case VJ_CUBLAS_TOO_MANY: return "more than one call takes";
  case VJ_CUBLAS_HEAD: return "head_dim is larger than " G_STRINGIFY (VJ_HEAD_MAX);
  default: return vj_gpu_error_text (error);
  }
}

gboolean
vj_cublas_finish (void *device_, GError **error)
{
  VjCublas *device = device_;
  const char *last = device->last != NULL ? device->last : "open";
  int met = vj_gpu_wait (device->gpu);
  if (met != 0 && device->error == 0) {
    device->error = met;
    device->place = last;
  }
  int first = device->error;
  device->error = 0;
  if (first == 0)
    return TRUE;
  if (vj_gpu_error_is_memory (first))
    return vj_fail (error, VJ_EXIT_LIMIT, "compute: 'cublas': %s: the GPU's memory is used up; "
                                          "lower the batch or use a smaller model", device->place);
  if (first < 0)
    return vj_fail (error, VJ_EXIT_LIMIT, "compute: 'cublas': %s: %s; use compute 'cpu'", device->place, error_text (first));
  return vj_fail (error, VJ_EXIT_BACKEND, "compute: 'cublas': noticed in or after %s: %s (%d); the same command resumes; "
                                          "if it comes again, see nvidia-smi, or use compute 'cpu'",
                  device->place, error_text (first), first);
}

/* -- memory ---------------------------------------------------------------- */

void *
vj_cublas_open (guint threads, GError **error)
{
  VjGpu *gpu = vj_gpu_open (threads, error);
  if (gpu == NULL)
    return NULL;
  VjCublas *device = g_new0 (VjCublas, 1);
  device->gpu = gpu;
  return device;
}

void
vj_cublas_close (void *device_)
{
  VjCublas *device = device_;
  for (guint i = 0; i < VJ_N_SCRATCH; i++)
    vj_cublas_release (device, device->scratch[i].memory);
  vj_gpu_close (device->gpu);
  g_free (device);
}

void *
vj_cublas_alloc (void *device_, gsize bytes, GError **error)
{
  VjCublas *device = device_;
  void *memory = NULL;
  int met = bytes > G_MAXSSIZE ? VJ_CUBLAS_TOO_MANY : vj_gpu_alloc (device->gpu, MAX (bytes, 64), &memory);
  if (met != 0) {
    vj_fail (error, VJ_EXIT_LIMIT, "compute: 'cublas': %" G_GSIZE_FORMAT " bytes of GPU memory cannot be allocated: %s; "
                                   "lower the batch or use a smaller model",
             bytes, error_text (met));
    return NULL;
  }
  vj_cublas_zero (device, memory, MAX (bytes, 64));
  return memory;
}

void
vj_cublas_release (void *device_, void *memory)
{
  VjCublas *device = device_;
  if (memory != NULL)
    vj_cublas_check (device, "release", vj_gpu_free (device->gpu, memory));
}

void *
vj_cublas_scratch (VjCublas *device, VjScratch which, gsize bytes, const char *place)
{
  if (bytes > device->scratch[which].bytes) {
    vj_cublas_release (device, device->scratch[which].memory);
    device->scratch[which].memory = NULL;
    device->scratch[which].bytes = 0;
    if (!vj_cublas_check (device, place, vj_gpu_alloc (device->gpu, bytes, &device->scratch[which].memory)))
      return NULL;
    device->scratch[which].bytes = bytes;
  }
  return device->scratch[which].memory;
}

VjGrid
vj_cublas_grid (VjCublas *device, const char *place, gsize x)
{
  if (x <= G_MAXINT32)
    return (VjGrid) { (unsigned) x, 1, 1 };
  vj_cublas_check (device, place, VJ_CUBLAS_TOO_MANY);
  return (VjGrid) { 0, 1, 1 };
}

void
vj_cublas_upload (void *device_, void *to, const void *from_host, gsize bytes)
{
  VjCublas *device = device_;
  for (gsize done = 0; done < bytes;) {
    gsize part = MIN (VJ_GPU_SLOT_BYTES, bytes - done);
    guint slot = device->next_slot;
    void *pinned = NULL;
    if (!vj_cublas_check (device, "upload", vj_gpu_slot_wait (device->gpu, slot, &pinned)))
      return;
    memcpy (pinned, (const char *) from_host + done, part);
    if (!vj_cublas_check (device, "upload", vj_gpu_slot_send (device->gpu, slot, (char *) to + done, part)))
      return;
    device->next_slot = (slot + 1) % VJ_GPU_SLOTS;
    done += part;
  }
}

void
vj_cublas_download (void *device_, void *to_host, const void *from, gsize bytes)
{
  VjCublas *device = device_;
  if (bytes > 0 && !vj_cublas_check (device, "download", vj_gpu_download (device->gpu, to_host, from, bytes)))
    memset (to_host, 0xff, bytes); /* not numbers, rather than what lay there */
}

void
vj_cublas_zero (void *device_, void *memory, gsize bytes)
{
  VjCublas *device = device_;
  if (bytes > 0)
    vj_cublas_check (device, "zero", vj_gpu_zero (device->gpu, memory, bytes));
}
