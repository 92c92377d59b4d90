/* odd: an injector that breaks the contract of its verb, for tests of the host. Not installed. */
#include <vj/plugin.h>

enum { ODD_SPANS, ODD_BEYOND, ODD_UTF8, ODD_NO_TEXT, ODD_NO_KIND, ODD_IMAGE };
static const char *const ways[] = {"spans", "beyond", "utf8", "no-text", "no-kind", "image", NULL};

typedef struct {
  int64_t how;
} Odd;

/* Spans of another change; spans that reach beyond both texts; bytes that are no text; no text; no kind; no image. */
static VjFlow
tell (const void *self, VjRun *run, const VjQuestion *question, const char *response, const VjReplies *replies,
      VjInjection *ret_injection, GError **error)
{
  const Odd *odd = self;
  VjSpan span = odd->how == ODD_BEYOND ? (VjSpan){0, 4000000000u, 0, 4000000000u} : (VjSpan){1, 1, 1, 1};
  (void) run, (void) question, (void) replies, (void) error;
  ret_injection->text = odd->how == ODD_NO_TEXT ? NULL : g_strconcat (response, odd->how == ODD_UTF8 ? "\xff" : " Or not.", NULL);
  ret_injection->kind = odd->how == ODD_NO_KIND ? NULL : "odd";
  if (odd->how == ODD_SPANS || odd->how == ODD_BEYOND) {
    ret_injection->spans = g_memdup2 (&span, sizeof span);
    ret_injection->n_spans = 1;
  }
  if (odd->how == ODD_IMAGE) {
    ret_injection->images = g_new0 (VjImage *, 1);
    ret_injection->n_images = 1;
  }
  return VJ_FLOW_OK;
}

static const VjOption options[] = {VJ_OPTION_CHOICE (Odd, how, "spans", ways, "What is broken."), VJ_OPTION_END};

VJ_DEFINE_INJECTOR (Odd, tell, NULL, .name = "odd", .version = "1.0", .license = "Apache-2.0",
                    .summary = "Breaks its contract.", .options = options)
