/* Which model a stage asks, noted for `vjrun explain`. */
#include "pipeline/context.h"

#include <string.h>
#include "report/lineage.h"

char *
vj_context_label (const VjContext *context, const char *path)
{
  return g_strdup (path + strlen (vj_store_dir (context->store)) + 1);
}

/* No path of this machine: a run directory may be moved, and a model handed on. */
char *
vj_context_model_label (const VjContext *context, const char *name)
{
  const char *path = vj_models_path (context->models, name), *dir = vj_store_dir (context->store);
  if (path == NULL || !vj_path_lies_in (path, dir))
    return g_strconcat ("models.", name, NULL);
  return vj_context_label (context, path);
}

gboolean
vj_step_note_model (VjContext *context, const VjStep *step, const char *name, const VjModel *model, GError **error)
{
  g_autofree char *label = vj_context_model_label (context, name);
  VjLineageModel noted = {.model = label, .identity = model->identity};
  return vj_lineage_put_model (context->store, step->iteration, step->name, &noted, error);
}
