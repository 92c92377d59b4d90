/* The vectors of tests/vectors/mllama (made by tests/peers/make_mllama_vectors.py), for the tests of the engine. */
#ifndef VJ_TESTS_MLLAMA_CASES_H
#define VJ_TESTS_MLLAMA_CASES_H

#include "engine/mllama/train.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#define TOLERANCE 1e-4 /* of the largest value of a tensor */
#define MAX_CASES 8
#define MAX_IMAGES 4

typedef struct {
  gsize n_tokens, n_images;
  guint32 *tokens;
  guint8 *targets;
  VjMllamaImage images[MAX_IMAGES];
  char *digests[MAX_IMAGES];
} Case;

typedef struct {
  char *dir;
  VjSafetensors *expected;
  guint n;
  Case cases[MAX_CASES];
} Model;

static const char *const model_names[] = { "one-tile", "four-tiles", "tied" };

static G_GNUC_UNUSED const VjTensor *
expect (const Model *model, const char *format, ...) G_GNUC_PRINTF (2, 3);

static const VjTensor *
expect (const Model *model, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *name = g_strdup_vprintf (format, args);
  va_end (args);
  return vj_safetensors_find (model->expected, name);
}

static void
model_load (const char *name, Model *model)
{
  g_autoptr (GError) error = NULL;
  model->dir = g_build_filename (g_getenv ("VJ_SRCDIR"), "tests/vectors/mllama", name, NULL);
  g_autofree char *file = g_build_filename (model->dir, "expected.safetensors", NULL);
  model->expected = vj_safetensors_open (file, &error);
  g_assert_no_error (error);
  for (model->n = 0; expect (model, "%u.tokens", model->n) != NULL; model->n++) {
    Case *c = &model->cases[model->n];
    const VjTensor *tokens = expect (model, "%u.tokens", model->n), *targets = expect (model, "%u.targets", model->n),
                   *ratios = expect (model, "%u.ratios", model->n);
    c->n_tokens = tokens->n_elements;
    c->n_images = ratios->n_elements;
    c->tokens = g_new (guint32, c->n_tokens);
    c->targets = g_new (guint8, c->n_tokens);
    for (gsize i = 0; i < c->n_tokens; i++) {
      c->tokens[i] = (guint32) ((const float *) tokens->data)[i];
      c->targets[i] = ((const float *) targets->data)[i] > 0;
    }
    for (gsize i = 0; i < c->n_images; i++) {
      const VjTensor *tiles = expect (model, "%u.tiles.%u", model->n, (guint) i);
      c->images[i] = (VjMllamaImage) { tiles->data, (guint32) tiles->dims[0], (guint32) ((const float *) ratios->data)[i] };
      c->digests[i] = g_strdup_printf ("%u.%u", model->n, (guint) i);
    }
  }
}

static void
model_done (Model *model)
{
  for (guint i = 0; i < model->n; i++) {
    g_free (model->cases[i].tokens);
    g_free (model->cases[i].targets);
    for (guint k = 0; k < MAX_IMAGES; k++)
      g_free (model->cases[i].digests[k]);
  }
  vj_safetensors_free (model->expected);
  g_free (model->dir);
}

static G_GNUC_UNUSED void
model_examples (const Model *model, VjMllamaExample *ret_examples)
{
  for (guint i = 0; i < model->n; i++) {
    const Case *c = &model->cases[i];
    ret_examples[i] = (VjMllamaExample) { c->tokens, c->targets, c->n_tokens, c->images, (const char *const *) c->digests, c->n_images, 1 };
  }
}

/* Largest difference, relative to the largest expected value. */
static G_GNUC_UNUSED double
distance (const float *have, const float *want, gsize n)
{
  double worst = 0, scale = 1e-6;
  for (gsize i = 0; i < n; i++) {
    double d = fabs ((double) have[i] - want[i]);
    worst = d > worst || isnan (d) ? d : worst;
    scale = MAX (scale, fabs (want[i]));
  }
  return isnan (worst) ? HUGE_VAL : worst / scale;
}

#endif
