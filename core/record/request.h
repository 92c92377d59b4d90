/* Requests: the canonical form and key of one draw. Equal keys mean interchangeable replies. */
#ifndef VJ_RECORD_REQUEST_H
#define VJ_RECORD_REQUEST_H

#include "vj/plugin.h"
#include <jansson.h>

/* Canonical JSON of all that the draws of a request share: messages (speaker, text, image digests), the backend's
 * identity, temperature, top_k, top_p, max_tokens, and min_p, repetition_penalty, stop where they are switched on.
 * Neither n nor seeds. Text that is not UTF-8, no message, or a number that is not finite is VJ_EXIT_PLUGIN; NULL then.
 * Free with g_free. */
VJ_API char *vj_request_canonical (const VjRequest *request, const char *identity, GError **error);

/* The key of the draw with `seed`: SHA-256 of the canonical form and the seed, 64 hexadecimal digits. Free with g_free. */
VJ_API char *vj_request_key (const char *canonical, guint64 seed);

/* "system", "user", "assistant"; "stop", "length". Static. */
VJ_API const char *vj_speaker_name (VjSpeaker speaker);
VJ_API gboolean vj_speaker_from_name (const char *name, VjSpeaker *ret_speaker);
VJ_API const char *vj_finish_name (VjFinish finish);
VJ_API gboolean vj_finish_from_name (const char *name, VjFinish *ret_finish);

#endif
