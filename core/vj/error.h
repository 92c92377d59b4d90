/* vj/error.h - what can go wrong, declared once. The code of a GError in the
 * VJ_ERROR domain is the exit code of the command that ends with it. */
#ifndef VJ_ERROR_H
#define VJ_ERROR_H

#include <glib.h>

G_BEGIN_DECLS

/* Host functions that plugins may call. Everything else is built hidden. */
#define VJ_API __attribute__ ((visibility ("default")))

/* X (NAME, exit code, meaning) */
#define VJ_EXIT_TABLE(X)                                                        \
  X (DONE, 0, "done")                                                           \
  X (PARTIAL, 1, "done, but some records failed")                               \
  X (USAGE, 2, "wrong command line")                                            \
  X (RECIPE, 3, "the recipe is not valid")                                      \
  X (DATA, 4, "a data set, image or model is missing or broken")                \
  X (BACKEND, 5, "a backend failed")                                            \
  X (STORE, 6, "the run directory, or standard output, cannot be read or written")                   \
  X (BUSY, 7, "another run holds the run directory")                            \
  X (PLUGIN, 8, "a plugin was refused or failed")                               \
  X (NONFINITE, 9, "training met a loss or gradient that is not finite")        \
  X (LIMIT, 10, "a resource limit was reached")                                 \
  X (AUDIT, 11, "an audit found the pairs unfit to train on")                   \
  X (BUG, 70, "an internal law was broken: a bug in vjrun")                     \
  X (INTERRUPTED, 130, "stopped by SIGINT; the same command resumes")           \
  X (TERMINATED, 143, "stopped by SIGTERM; the same command resumes")

typedef enum {
#define VJ_EXIT_ENUM(name, code, meaning) VJ_EXIT_##name = code,
  VJ_EXIT_TABLE (VJ_EXIT_ENUM)
#undef VJ_EXIT_ENUM
} VjExit;

#define VJ_ERROR (vj_error_quark ())
VJ_API GQuark vj_error_quark (void);

/* Sets *error (when not NULL) to code `exit` with a printf message of the form
 * `where: 'what': what failed: cause; what to do`. Always returns FALSE. */
VJ_API gboolean vj_fail (GError **error, VjExit exit, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* The exit code of an error: its own in the VJ_ERROR domain, else VJ_EXIT_BUG. */
VJ_API VjExit vj_error_exit (const GError *error);

/* The meaning column of the table above; NULL for an unknown code. Static. */
VJ_API const char *vj_exit_meaning (VjExit exit);

G_END_DECLS
#endif
