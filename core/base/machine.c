/* Machine: see machine.h. */
#include "base/machine.h"

#include <string.h>

/* The number after `key` at the beginning of a line; FALSE: there is none. */
static gboolean
find_number (const char *text, const char *key, guint64 *ret_number)
{
  gsize length = strlen (key);
  for (const char *line = text; line != NULL; line = strchr (line, '\n')) {
    line += *line == '\n';
    if (strncmp (line, key, length) != 0 || !g_ascii_isspace (line[length]))
      continue;
    const char *number = line + length + strspn (line + length, " \t");
    if (!g_ascii_isdigit (*number))
      return FALSE;
    *ret_number = g_ascii_strtoull (number, NULL, 10);
    return TRUE;
  }
  return FALSE;
}

static char *
read_text (const char *folder, const char *name)
{
  g_autofree char *path = g_build_filename (folder, name, NULL);
  char *text = NULL;
  return g_file_get_contents (path, &text, NULL, NULL) ? text : NULL;
}

/* What one control group leaves; a group without a limit, or one that cannot be read, leaves everything. */
static gsize
group_leaves (const char *folder)
{
  g_autofree char *most = read_text (folder, "memory.max"), *current = read_text (folder, "memory.current"),
                  *stat = read_text (folder, "memory.stat");
  guint64 droppable = 0;
  if (most == NULL || current == NULL || !g_ascii_isdigit (*most))
    return G_MAXSIZE;
  if (stat != NULL)
    find_number (stat, "inactive_file", &droppable);
  guint64 limit = g_ascii_strtoull (most, NULL, 10), used = g_ascii_strtoull (current, NULL, 10);
  used -= MIN (used, droppable);
  return (gsize) (limit - MIN (limit, used));
}

/* The least that any group from this process's up to the root leaves. */
static gsize
groups_leave (const char *proc, const char *cgroup)
{
  g_autofree char *own = read_text (proc, "self/cgroup");
  const char *line = own != NULL ? strstr (own, "0::/") : NULL;
  gsize least = G_MAXSIZE;
  if (line == NULL || (line != own && line[-1] != '\n'))
    return least;
  g_autofree char *path = g_strndup (line + 3, strcspn (line + 3, "\n"));
  for (;;) {
    g_autofree char *folder = g_build_filename (cgroup, path, NULL);
    least = MIN (least, group_leaves (folder));
    char *end = strrchr (path, '/');
    if (end == NULL || path[1] == '\0')
      return least;
    end[end == path] = '\0';
  }
}

gsize
vj_machine_memory_at (const char *proc, const char *cgroup)
{
  g_autofree char *info = read_text (proc, "meminfo");
  guint64 kibibytes;
  gsize available = G_MAXSIZE;
  if (info != NULL && find_number (info, "MemAvailable:", &kibibytes))
    available = (gsize) MIN (kibibytes, G_MAXSIZE >> 10) << 10;
  return MIN (available, groups_leave (proc, cgroup));
}

gsize
vj_machine_memory (void)
{
  return vj_machine_memory_at ("/proc", "/sys/fs/cgroup");
}
