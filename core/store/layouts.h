/* What one line of a training layout looks like. Inside core/store only. */
#ifndef VJ_STORE_LAYOUTS_H
#define VJ_STORE_LAYOUTS_H

#include "record/record.h"

/* Gives the file name of an image in the export ("images/DIGEST.png"); borrowed until the export ends, NULL when the
 * image cannot be had. */
typedef const char *(*VjImageNamer) (gpointer exporting, const char *digest);

/* Each returns a new object, or NULL when an image could not be named. `judgment` has messages. */
json_t *vj_layout_llamafactory_sft (const VjRecord *judgment, VjImageNamer namer, gpointer exporting);
json_t *vj_layout_llamafactory_preference (const VjRecord *question, const VjRecord *pair, VjImageNamer namer,
                                           gpointer exporting);
json_t *vj_layout_llamafactory_info (void);
json_t *vj_layout_trl_sft (const VjRecord *judgment, VjImageNamer namer, gpointer exporting);
json_t *vj_layout_trl_preference (const VjRecord *question, const VjRecord *pair, VjImageNamer namer, gpointer exporting);

#endif
