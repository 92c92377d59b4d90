/* older: an injector as one built with the headers of ABI 2.0, whose result ends before `spans`. Not installed. */
#include <vj/plugin.h>

typedef struct {
  char *text;
  const char *kind;
  char *change, *reason;
} Injection20;

G_STATIC_ASSERT (offsetof (VjInjection, spans) == sizeof (Injection20)); /* structs only grow at their ends */

static VjFlow
tell (const void *self, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *replies,
      VjInjection *ret_injection, GError **error)
{
  Injection20 *made = (Injection20 *) ret_injection;
  (void) self, (void) run, (void) question, (void) replies, (void) error;
  *made = (Injection20){.text = g_strconcat ("Not so: ", response, NULL), .kind = "older"};
  return VJ_FLOW_OK;
}

VJ_DEFINE_INJECTOR (Injection20, tell, NULL, .name = "older", .version = "1.0", .license = "Apache-2.0",
                    .summary = "Knows of no spans.", .abi_minor = 0)
