/* One run a directory: an open-file-description lock, which the kernel drops with the process. */
#include <config.h>

#include "base/file.h"
#include "store/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The process id that the holder wrote; 0: not written yet. */
static long
holder (int fd)
{
  char text[32];
  ssize_t n = pread (fd, text, sizeof text - 1, 0);
  if (n <= 0)
    return 0;
  text[n] = '\0';
  return strtol (text, NULL, 10);
}

static gboolean
fail_busy (const char *dir, int fd, GError **error)
{
  long pid = holder (fd);
  if (pid > 0)
    return vj_fail (error, VJ_EXIT_BUSY, "%s: another run (process %ld) holds this directory; wait for it, stop it, or "
                    "choose another --run-dir", dir, pid);
  return vj_fail (error, VJ_EXIT_BUSY, "%s: another run holds this directory; wait for it, stop it, or choose another "
                  "--run-dir", dir);
}

gboolean
vj_store_lock (const char *dir, int *ret_fd, GError **error)
{
  g_autofree char *path = g_build_filename (dir, "lock", NULL);
  g_autofree char *shown = vj_quote (path, 0), *shown_dir = vj_quote (dir, 0);
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  char text[32];
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600);

  if (fd < 0)
    return vj_fail (error, VJ_EXIT_STORE, "%s: cannot open: %s; make the run directory writable or choose another --run-dir",
                    shown, g_strerror (errno));
  if (fcntl (fd, F_OFD_SETLK, &whole) != 0) {
    if (errno == EAGAIN || errno == EACCES)
      fail_busy (shown_dir, fd, error);
    else
      vj_fail (error, VJ_EXIT_STORE, "%s: cannot lock: %s; choose a --run-dir on a file system with locks", shown,
               g_strerror (errno));
    close (fd);
    return FALSE;
  }
  /* For the message of a second run; nothing depends on it. */
  int n = g_snprintf (text, sizeof text, "%ld\n", (long) getpid ());
  if (ftruncate (fd, 0) != 0 || pwrite (fd, text, (size_t) n, 0) != n)
    errno = 0;
  *ret_fd = fd;
  return TRUE;
}

void
vj_store_unlock (int fd)
{
  if (fd < 0)
    return;
  if (ftruncate (fd, 0) != 0)
    errno = 0; /* as above: only the message of a second run */
  close (fd);
}
