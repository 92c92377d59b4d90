/* What the files of one micro-batch of training share; nobody else includes it. */
#ifndef VJ_ENGINE_MLLAMA_BATCH_H
#define VJ_ENGINE_MLLAMA_BATCH_H

#include "engine/mllama/trainer.h"

typedef struct {
  VjMllamaTrainer *trainer;
  const VjMllamaConfig *c;
  const VjMllamaExample **examples; /* with images first */
  gsize n, n_shown;                 /* examples with targets; those of them with images */
  gsize n_states;                   /* X: states of all images of all examples */
  gboolean train_vision;
  GPtrArray *images;                /* const VjMllamaImage: the distinct ones */
  gint32 *state_index;              /* [X] row of the encoded distinct images */
  /* device */
  VjMllamaRows rows, few;           /* few: rows that predict a target, from the last self-attention layer on */
  VjMllamaText *layers;             /* [num_hidden_layers + 1]; the last one's x is the decoder's output, of few */
  VjMllamaText last;                /* the last self-attention layer's few; its keys and values are in layers */
  gsize taken[VJ_N_ROW_KINDS];      /* rows of each kind that dropout has seeds for */
  VjMllamaImages at;
  VjI32 *state_rows, *target_tokens;
  VjF32 *target_weights, *losses;
  VjF32 *states, *d_states, *d_encoded, *d_features;
  VjF32 *normed, *final_rstd, *logits, *d_normed;
  VjMllamaScratch s;
} VjMllamaBatch;

/* -- batch-rows.c: examples to rows ------------------------------------------- */

/* Checks the examples (VJ_EXIT_DATA) and counts what those with targets have; the others are left out. */
gboolean vj_batch_count (VjMllamaBatch *b, const VjMllamaExample *const *examples, gsize n, GError **error);
/* Finds the distinct images and what each state row is a copy of. */
void vj_batch_index_states (VjMllamaBatch *b);
/* Uploads all index arrays. `targets`: target tokens of the whole step. */
void vj_batch_fill (VjMllamaBatch *b, gsize targets);

/* -- batch-layout.c: where they lie ------------------------------------------- */

/* Index arrays, activations and scratch in the arena. */
void vj_batch_layout (VjMllamaBatch *b, VjArena *arena);

#endif
