/* A safetensors file of any bytes: refused as data, or all its tensors lie within the file, side by side. */
#define _GNU_SOURCE /* memfd_create */
#include "replay.h"
#include "tensor/safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

static void
check_sound (const VjSafetensors *file, size_t size)
{
  gsize n, total = 0;
  volatile guint8 sum = 0; /* so that the bytes are read */
  const VjTensor *list = vj_safetensors_list (file, &n);
  for (gsize i = 0; i < n; i++) {
    gsize bytes = list[i].n_elements * vj_dtype_size (list[i].dtype), elements = 1;
    for (guint d = 0; d < list[i].n_dims; d++)
      elements *= list[i].dims[d];
    g_assert_cmpuint (elements, ==, list[i].n_elements);
    g_assert_true (vj_safetensors_find (file, list[i].name) == &list[i]);
    g_assert_null (vj_safetensors_foreign (file, list[i].name));
    for (gsize b = 0; b < bytes; b++)
      sum = sum ^ ((const guint8 *) list[i].data)[b];
    total += bytes;
  }
  g_assert_cmpuint (total, <=, size);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  int fd = memfd_create ("fuzz", MFD_CLOEXEC);
  g_autofree char *path = g_strdup_printf ("/proc/self/fd/%d", fd);
  g_assert_cmpint (fd, >=, 0);
  g_assert_cmpint (write (fd, size ? (const void *) data : "", size), ==, (gssize) size);
  g_autoptr (VjSafetensors) file = vj_safetensors_open (path, &error);
  if (file != NULL)
    check_sound (file, size);
  else
    g_assert_cmpint (vj_error_exit (error), ==, VJ_EXIT_DATA);
  close (fd);
  return 0;
}
