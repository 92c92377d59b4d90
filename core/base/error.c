/* The error domain and its exit codes. */
#include "vj/error.h"

G_DEFINE_QUARK (vj-error-quark, vj_error)

gboolean
vj_fail (GError **error, VjExit exit, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  if (error != NULL) {
    g_return_val_if_fail (*error == NULL, FALSE);
    *error = g_error_new_valist (VJ_ERROR, (int) exit, format, args);
  }
  va_end (args);
  return FALSE;
}

VjExit
vj_error_exit (const GError *error)
{
  return error != NULL && error->domain == VJ_ERROR ? (VjExit) error->code : VJ_EXIT_BUG;
}

const char *
vj_exit_meaning (VjExit exit)
{
  switch (exit) {
#define VJ_EXIT_CASE(name, code, meaning) \
  case VJ_EXIT_##name:                    \
    return meaning;
    VJ_EXIT_TABLE (VJ_EXIT_CASE)
#undef VJ_EXIT_CASE
  }
  return NULL;
}
