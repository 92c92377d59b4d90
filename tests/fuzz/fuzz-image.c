/* Image bytes: whatever they are, the answer is an image whose pixels have its size and digest, or an error that says
 * something. */
#include "image/image.h"
#include "replay.h"

#include <string.h>

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (VjImage) image = vj_image_new_from_data (data, size, "fuzz", &error);
  VjPixels pixels;

  g_assert_true ((image == NULL) == (error != NULL));
  if (image == NULL) {
    g_assert_true (g_error_matches (error, VJ_ERROR, VJ_EXIT_DATA) || g_error_matches (error, VJ_ERROR, VJ_EXIT_LIMIT));
    g_assert_true (g_str_has_prefix (error->message, "fuzz: ") && strlen (error->message) > 20);
    return 0;
  }
  /* The same pixels again: none that a broken file left unset. */
  if (!vj_image_decode (image, &pixels, &error))
    g_error ("an image that was read is refused later: %s", error->message);
  g_assert_cmpuint ((guint64) pixels.width * pixels.height, <=, VJ_IMAGE_MAX_PIXELS);
  g_assert_cmpuint (pixels.width, ==, vj_image_width (image));
  g_free ((void *) pixels.rgb);
  return 0;
}
