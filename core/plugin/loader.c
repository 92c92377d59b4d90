/* One plugin file, from path to descriptor. Nothing of the file runs before its place and its first bytes are
 * checked; no verb runs before the descriptor is. A plugin is trusted code: this keeps out accidents and files that
 * others could have put there, not malice. */
#include "plugin/registry.h"
#include "plugin/verb.h"
#include "vj/compute.h"

#include <dlfcn.h>
#include <link.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INSTANCE_MAX (16u << 20) /* bytes; more is a slip in the descriptor */

/* -- the file ------------------------------------------------------------------ */

/* Ours, root's, or of whoever owns the program: that one could change vjrun itself. */
static gboolean
owner_is_trusted (uid_t owner)
{
  struct stat self;
  return owner == 0 || owner == geteuid () || (stat ("/proc/self/exe", &self) == 0 && self.st_uid == owner);
}

/* Whether the group is its owner's alone: where each user has a group of his own name, a umask of 002 is common and lets
 * nobody else in. Where the system knows neither by name, as in a container, the numbers must be the same. */
static gboolean
group_is_private (uid_t owner, gid_t group)
{
  char names[2][16384]; /* more than any entry of a group that is private */
  struct passwd user, *has_user = NULL;
  struct group members, *has_group = NULL;

  getpwuid_r (owner, &user, names[0], sizeof names[0], &has_user);
  getgrgid_r (group, &members, names[1], sizeof names[1], &has_group);
  if (has_user == NULL || has_group == NULL)
    return has_user == NULL && has_group == NULL && (guint64) owner == (guint64) group;
  for (char **member = has_group->gr_mem; *member != NULL; member++)
    if (strcmp (*member, has_user->pw_name) != 0)
      return FALSE;
  return has_user->pw_gid == group && strcmp (has_user->pw_name, has_group->gr_name) == 0;
}

static gboolean
check_hands (const char *path, const struct stat *st, GError **error)
{
  if (st->st_mode & S_IWGRP && !group_is_private (st->st_uid, st->st_gid))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: its group %u may write here, so the code of others could run; chmod g-w '%s'", path,
                    (guint) st->st_gid, path);
  if (st->st_mode & S_IWOTH)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: anyone may write here, so anyone's code could run; chmod o-w '%s'", path, path);
  if (!owner_is_trusted (st->st_uid))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: belongs to user %u, neither you, root nor the owner of vjrun; chown it or copy it to a place of yours",
                    path, (guint) st->st_uid);
  return TRUE;
}

/* Whether every segment lies inside the file: mapping a file that was cut short would end in SIGBUS. */
static gboolean
is_whole (int fd, guint64 size)
{
  ElfW (Ehdr) head;
  if (pread (fd, &head, sizeof head, 0) != (ssize_t) sizeof head || head.e_phentsize != sizeof (ElfW (Phdr)))
    return FALSE;
  for (guint i = 0; i < head.e_phnum; i++) {
    ElfW (Phdr) segment;
    if (head.e_phoff > size
        || pread (fd, &segment, sizeof segment, (off_t) (head.e_phoff + i * sizeof segment)) != (ssize_t) sizeof segment
        || segment.p_offset > size || segment.p_filesz > size - segment.p_offset)
      return FALSE;
  }
  return TRUE;
}

static gboolean
check_open_file (int fd, const char *file, GError **error)
{
  struct stat st;
  char head[4] = {0};
  if (fstat (fd, &st) != 0)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: cannot be examined: %s; check the path", file, g_strerror (errno));
  if (!S_ISREG (st.st_mode))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: is not a regular file; a plugin is a .so file", file);
  if (!check_hands (file, &st, error))
    return FALSE;
  if (pread (fd, head, sizeof head, 0) != (ssize_t) sizeof head || memcmp (head, "\177ELF", 4) != 0)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: is no shared object (no ELF header); build it with cc -shared -fPIC", file);
  if (!is_whole (fd, (guint64) st.st_size))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: is cut short: its segments reach past its end; build or copy it again", file);
  return TRUE;
}

gboolean
vj_loader_check_folder (const char *folder, GError **error)
{
  struct stat st;
  if (stat (folder, &st) != 0)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: cannot be examined: %s; check the path", folder, g_strerror (errno));
  return check_hands (folder, &st, error);
}

static gboolean
check_file (const char *file, GError **error)
{
  if (!g_path_is_absolute (file))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: is not an absolute path; plugins are never searched for by name", file);
  g_autofree char *folder = g_path_get_dirname (file);
  if (!vj_loader_check_folder (folder, error))
    return FALSE;
  int fd = open (file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: cannot be opened: %s; check the path and its permissions", file, g_strerror (errno));
  gboolean ok = check_open_file (fd, file, error);
  close (fd);
  return ok;
}

/* -- the descriptor ------------------------------------------------------------
 * Structs grow at their end, with a minor version. A plugin built with more than this host knows (by its author, say) is
 * fine: what lies behind is not read. One with less is an older minor's; the sizes below are those of 1.0, the oldest, and
 * a host that knows a later minor gives such a plugin's structs, padded with zeros, in their place. */

typedef struct {
  gsize size;
  struct {
    const char *name;
    gsize offset;
  } verbs[4]; /* the required ones */
} RoleShape;

#define VERB(Ops, verb) {#verb, offsetof (Ops, verb)}

static const RoleShape *
role_shape (VjRole role)
{
  static const RoleShape shapes[VJ_N_ROLES] = {
    [VJ_ROLE_SOURCE] = {sizeof (VjSourceOps), {VERB (VjSourceOps, next)}},
    [VJ_ROLE_INJECTOR] = {sizeof (VjInjectorOps), {VERB (VjInjectorOps, tell)}},
    [VJ_ROLE_SAMPLER] = {sizeof (VjSamplerOps), {VERB (VjSamplerOps, ask), VERB (VjSamplerOps, tell)}},
    [VJ_ROLE_JUDGE] = {sizeof (VjJudgeOps), {VERB (VjJudgeOps, ask), VERB (VjJudgeOps, tell)}},
    [VJ_ROLE_FILTER] = {sizeof (VjFilterOps), {VERB (VjFilterOps, keep)}},
    [VJ_ROLE_TRAINER] = {sizeof (VjTrainerOps), {VERB (VjTrainerOps, train)}},
    [VJ_ROLE_EVALUATOR] = {sizeof (VjEvaluatorOps), {VERB (VjEvaluatorOps, next)}},
    [VJ_ROLE_BACKEND] = {sizeof (VjBackendOps), {VERB (VjBackendOps, submit), VERB (VjBackendOps, poll), VERB (VjBackendOps, identity)}},
    [VJ_ROLE_COMPUTE] = {sizeof (VjComputeOps), {{NULL, 0}}}, /* the conformance table looks at each op */
  };
  return &shapes[role];
}

static gboolean
check_ops (const VjPlugin *plugin, const char *where, GError **error)
{
  const RoleShape *shape = role_shape (plugin->role);
  const char *role = vj_role_name (plugin->role);
  if (plugin->ops == NULL)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: has no ops; define it by VJ_DEFINE_...", where);
  uint32_t size = *(const uint32_t *) plugin->ops;
  if (size < shape->size)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: its %s ops have %u bytes, expected at least %zu; rebuild it with this vjrun's headers", where, role,
                    size, shape->size);
  for (guint i = 0; i < G_N_ELEMENTS (shape->verbs) && shape->verbs[i].name != NULL; i++) {
    gpointer verb;
    memcpy (&verb, (const char *) plugin->ops + shape->verbs[i].offset, sizeof verb);
    if (verb == NULL)
      return vj_fail (error, VJ_EXIT_PLUGIN, "%s: lacks the verb '%s', which every %s needs; write it", where, shape->verbs[i].name, role);
  }
  if (plugin->role == VJ_ROLE_EVALUATOR) {
    const VjEvaluatorOps *ops = plugin->ops;
    if ((ops->ask == NULL) != (ops->tell == NULL))
      return vj_fail (error, VJ_EXIT_PLUGIN, "%s: has one of the verbs 'ask' and 'tell'; they go together: write both or neither", where);
  }
  return TRUE;
}

static gboolean
name_is_sound (const char *name)
{
  return name != NULL && g_ascii_islower (*name) && strlen (name) <= 64
         && strspn (name, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen (name);
}

static gboolean
check_header (const VjPlugin *plugin, const char *where, GError **error)
{
  if (plugin == NULL)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: vj_plugin_query gives no descriptor; define it by VJ_DEFINE_...", where);
  if (plugin->magic != VJ_PLUGIN_MAGIC)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: its descriptor does not begin with vjrun's magic (%#x, expected %#x); define it by VJ_DEFINE_...",
                    where, plugin->magic, VJ_PLUGIN_MAGIC);
  if (plugin->abi_major != VJ_ABI_MAJOR)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: was built for plugin ABI %u, this vjrun has %d; rebuild it with this vjrun's headers", where,
                    plugin->abi_major, VJ_ABI_MAJOR);
  if (plugin->abi_minor > VJ_ABI_MINOR)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: needs plugin ABI %u.%u, newer than this vjrun's %d.%d; install a newer vjrun", where,
                    plugin->abi_major, plugin->abi_minor, VJ_ABI_MAJOR, VJ_ABI_MINOR);
  if (plugin->size < sizeof (VjPlugin))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: its descriptor has %u bytes, expected at least %zu; rebuild it with this vjrun's headers", where,
                    plugin->size, sizeof (VjPlugin));
  return TRUE;
}

static gboolean
check_identity (const VjPlugin *plugin, VjRole role, const char *name, const char *where, GError **error)
{
  if ((guint) plugin->role >= VJ_N_ROLES)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: its role is %d, which is none; define it by VJ_DEFINE_...", where, (int) plugin->role);
  if (!name_is_sound (plugin->name))
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: its name '%.64s' must be a-z, 0-9 and '-', beginning with a letter", where,
                    plugin->name != NULL ? plugin->name : "");
  if (role != VJ_N_ROLES && plugin->role != role)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: is a %s but lies among the %s; move it to %s/", where, vj_role_name (plugin->role),
                    vj_role_folder (role), vj_role_folder (plugin->role));
  if (name != NULL && strcmp (name, plugin->name) != 0)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: calls itself '%s'; rename the file to %s.so", where, plugin->name, plugin->name);
  const char *const texts[][2] = {{"version", plugin->version}, {"summary", plugin->summary}, {"license", plugin->license}};
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    if (texts[i][1] == NULL || *texts[i][1] == '\0')
      return vj_fail (error, VJ_EXIT_PLUGIN, "%s: its descriptor has no %s; add .%s", where, texts[i][0], texts[i][0]);
  return TRUE;
}

static gboolean
check_options (const VjPlugin *plugin, const char *where, GError **error)
{
  if (plugin->instance_size > INSTANCE_MAX)
    return vj_fail (error, VJ_EXIT_PLUGIN, "%s: asks for an instance of %u bytes, at most %u are given; allocate the rest in start", where,
                    plugin->instance_size, INSTANCE_MAX);
  if (!vj_options_sound (plugin->options, plugin->instance_size, where, error))
    return FALSE;
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++)
    if (strcmp (option->name, "model") == 0 || /* a count may be the plugin's own affair */
        (strcmp (option->name, "count") != 0 && g_strv_contains (vj_recipe_host_keys (plugin->role), option->name)))
      return vj_fail (error, VJ_EXIT_PLUGIN, "%s: option '%s': this key is the host's own; rename the option", where, option->name);
  return TRUE;
}

gboolean
vj_loader_check (const VjPlugin *plugin, VjRole role, const char *name, const char *where, GError **error)
{
  return check_header (plugin, where, error) && check_identity (plugin, role, name, where, error) && check_ops (plugin, where, error)
         && check_options (plugin, where, error);
}

/* Runs the file's constructors and its query; its descriptor may be anything. */
static const VjPlugin *
open_and_query (const char *file, VjRole role, GError **error)
{
  /* Never closed again: threads, caches and function pointers of the plugin may outlive any instance. */
  void *handle = dlopen (file, RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    const char *why = dlerror ();
    vj_fail (error, VJ_EXIT_PLUGIN, "%s: cannot be loaded: %s; install what it needs, or rebuild it", file, why != NULL ? why : "no reason given");
    return NULL;
  }
  const VjPlugin *(*query) (void) = NULL;
  *(void **) &query = dlsym (handle, "vj_plugin_query");
  if (query == NULL) {
    vj_fail (error, VJ_EXIT_PLUGIN, "%s: exports no vj_plugin_query; define the plugin by VJ_DEFINE_...", file);
    return NULL;
  }
  g_autofree char *base = g_path_get_basename (file);
  if (g_str_has_suffix (base, ".so"))
    base[strlen (base) - 3] = '\0';
  const VjPlugin *plugin = query ();
  return vj_loader_check (plugin, role, base, file, error) ? plugin : NULL;
}

const VjPlugin *
vj_loader_load (const char *file, VjRole role, GError **error)
{
  if (!check_file (file, error))
    return NULL;
  VjVerb before = vj_verb_begin_load (file);
  const VjPlugin *plugin = open_and_query (file, role, error);
  vj_verb_end (before);
  return plugin;
}
