/* The network itself: forward passes shared by generation and training, backward passes for training.
 * Everything here works on device memory through the op table; who calls decides where activations live
 * and whether they are kept.
 *
 * Letters as in weights.h; R text rows of all sequences packed one after another, rows of sequences with
 * images first; Rx how many those are; X rows of cross-attention states; B image rows (padding included). */
#ifndef VJ_ENGINE_MLLAMA_NET_H
#define VJ_ENGINE_MLLAMA_NET_H

#include "engine/mllama/mllama.h"
#include "engine/mllama/weights.h"

/* What the rows of a product stand for, each with its array of dropout seeds; FEW are those of TEXT that go on (vj_net_last_begin). */
typedef enum { VJ_ROWS_TEXT, VJ_ROWS_STATES, VJ_ROWS_VISION, VJ_ROWS_FEW, VJ_N_ROW_KINDS } VjMllamaRowKind;

/* The trained factors of one weight [N, K]; a NULL: it has none. */
typedef struct {
  VjF32 *a, *b;   /* [rank, K], [N, rank] */
  VjF32 *da, *db; /* their gradients      */
} VjMllamaLora;

typedef struct {
  guint rank;
  float scale, dropout;          /* alpha / rank; share of the input that is dropped                     */
  VjMllamaLora *of;              /* [weights]                                                            */
  VjI32 *seeds[VJ_N_ROW_KINDS];  /* per row, with dropout; these and the scratch are of one micro-batch  */
  VjF32 *x, *h, *d;              /* scratch: [rows, K] with dropout, [rows, rank] each                   */
} VjMllamaLoras;

typedef struct {
  VjCompute *compute;   /* borrowed */
  VjMllamaPlan *plan;   /* borrowed */
  VjF32 **value;        /* [weights] device address, or NULL where only a matrix is kept */
  VjMatrix **matrix;    /* [weights]; training: NULL but for bf16 weights that stay as they are */
  VjNumbers numbers;    /* what products multiply */
  gboolean training;
  VjF32 **grad;         /* training: [weights] device address of its gradient, NULL where none is made; else NULL */
  gboolean *fresh;      /* training: [weights] the next product writes this weight's gradient, rather than adds to it */
  gboolean remake;      /* training: layers share n1, n2 and act, and backward makes a layer's anew */
  VjMllamaLoras *lora;  /* training: NULL without */
  VjF32 *rope;          /* [max_position_embeddings, D] */
  VjF32 *wide;          /* training: VJ_WIDE_ELEMENTS, or a row, of a matrix as f32; NULL without matrices */
  VjI32 *counts;        /* with it: 0, 1, 2, ... to the most rows of a matrix */
} VjMllamaNet;

#define VJ_WIDE_ELEMENTS ((gsize) 4 << 20)

/* Bump allocation of device memory. With base NULL it only counts, so one layout function serves both the
 * sizing and the real pass. */
typedef struct {
  VjF32 *base;
  gsize used, size; /* elements */
} VjArena;

VjF32 *vj_arena_take (VjArena *arena, gsize elements);

/* -- text ------------------------------------------------------------------ */

/* The rows of one call, on the device; or those of them that go on after the last self-attention layer (see vj_net_last_begin). */
typedef struct {
  gsize rows, image_rows;
  VjI32 *index;                     /* [R] tokens; of those that go on: which row each is */
  VjI32 *positions;                 /* [R] */
  VjI32 *self_last;                 /* [R] keys a row sees in its own sequence: position + 1 */
  VjI32 *cross_first, *cross_last;  /* [Rx] states a row sees */
  VjI32 *seen;                      /* [Rx] the row itself, or -1 where it sees no image: its cross MLP is masked */
  VjAttentionSegment *self, *cross; /* host; k and v are set per layer */
  gsize n_self, n_cross;
} VjMllamaRows;

/* Memory for the index arrays of rows->rows, and what they hold: columns in the order of the members, index to seen. */
void vj_net_rows_layout (VjMllamaRows *rows, VjArena *arena);
void vj_net_rows_upload (const VjCompute *compute, const VjMllamaRows *rows, gint32 *const columns[6]);

/* Activations of one decoder layer. Members a layer kind does not use are NULL; those only backward needs
 * (rstd*, lse, raw) are NULL in generation. */
typedef struct {
  VjF32 *x;                /* [R, H] input                                         */
  VjF32 *n1, *rstd1;       /* [R, H], [R]                                          */
  VjF32 *qkv;              /* self [R, Q + 2 KV]; cross: q before its norm [Rx, Q]; last self: of all [R, 2 KV], of few [R, Q] */
  VjF32 *q, *q_rstd;       /* cross: normed q [Rx, Q], [Rx heads]                  */
  VjF32 *k_raw, *k_rstd;   /* cross, training: [X, KV], [X kv_heads]               */
  VjF32 *k, *v;            /* cross, training: [X, KV]                             */
  VjF32 *att, *lse;        /* [R, Q], [R heads]                                    */
  VjF32 *branch;           /* cross: attention output [Rx, H]                      */
  VjF32 *x2;               /* [R, H] after attention                               */
  VjF32 *n2, *rstd2;       /* [R, H], [R]                                          */
  VjF32 *gu, *act;         /* [R, 2 F], [R, F]                                     */
  VjF32 *mlp;              /* cross: MLP output [Rx, H]                            */
  VjF32 *out;              /* [R, H]; may be x                                     */
} VjMllamaText;

/* y[rows, N] = x w^T (+ bias weight when bias >= 0), N summed over `joined` neighbouring weights from `w`. */
void vj_net_linear (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, guint joined, gssize bias, VjF32 *y, gsize ldy);

/* A product with the operations before and after it: one operation where the compute has it and nothing need be kept for
 * backward, else one by one through `made` and `branch`. */
typedef struct {
  gsize rows;
  VjInput input;
  VjF32 *made, *stats;  /* what input makes, [rows, K], and its norm's stats or NULL; NULL with VJ_INPUT_PLAIN */
  guint w, joined;      /* as vj_net_linear */
  gssize bias;
  const VjF32 *add;     /* as VjProduct; [rows, N] contiguous */
  VjGate mode;
  const VjF32 *gate;
  const VjI32 *only;
  VjF32 *branch;        /* [rows, N], with a gate or `only` */
  VjF32 *y;             /* [rows, N] contiguous */
} VjMllamaProduct;

void vj_net_product (const VjMllamaNet *net, const VjMllamaProduct *product);

/* y[r] += c(gate) table[index[r]], as add_rows, with weight w as a table of rows of `cols`; gate -1: none. */
void vj_net_add_table (const VjMllamaNet *net, gsize rows, gsize cols, guint w, const VjI32 *index, VjGate mode, gssize gate, VjF32 *y);

void vj_net_embed (const VjMllamaNet *net, const VjMllamaRows *rows, VjF32 *ret_x);
/* Up to the point where keys and values stand in t->qkv; the caller then places k, v in rows->self. */
void vj_net_self_begin (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t);
void vj_net_self_end (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t);

/* The last self-attention layer makes keys and values of all rows. Nothing after that looks at another row, so only those go on
 * whose logits are wanted: `few`, of which `last` are the activations; vj_net_pick finds them. On CPUs they give the same bits as
 * if all did (vj/compute.h). few->rows may be 0: then keys and values are stored and that is all. */
void vj_net_last_begin (const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaText *t);
void vj_net_pick (const VjMllamaNet *net, const VjMllamaRows *few, const VjF32 *x, VjF32 *ret_x);
/* `kv`: those that vj_net_last_begin left in its t->qkv. */
void vj_net_last_end (const VjMllamaNet *net, const VjMllamaRows *few, const VjMllamaText *last, const VjF32 *kv);
/* Keys and values of n_states states for one cross layer; k_raw and k_rstd may be scratch and NULL. */
void vj_net_cross_states (const VjMllamaNet *net, guint layer, gsize n_states, const VjF32 *states, VjF32 *k_raw,
                          VjF32 *k_rstd, VjF32 *ret_k, VjF32 *ret_v);
/* rows->cross carries k and v of this layer. */
void vj_net_cross (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t);

/* The table of cosines and sines in f32, [P, D]. */
void vj_net_rope_table (const VjMllamaConfig *config, float *ret_table);

/* Which states a token sees. `tiles`[n_images] real tiles of each image; positions of the image tokens
 * follow from `tokens`. FALSE when their number is not n_images. ret arrays hold n_tokens entries. */
gboolean vj_net_cross_ranges (const VjMllamaConfig *config, const guint32 *tokens, gsize n_tokens, const guint32 *tiles,
                              gsize n_images, gint32 *ret_first, gint32 *ret_last, gboolean *ret_seen);

/* -- low-rank factors: lora.c ------------------------------------------------ */

VjMllamaRowKind vj_net_row_kind (const VjMllamaPlan *plan, guint w);

/* Scratch and seeds for a micro-batch with so many rows of each kind. */
void vj_net_lora_layout (const VjMllamaPlan *plan, VjMllamaLoras *loras, const gsize counts[VJ_N_ROW_KINDS], VjArena *arena);

/* The dropout seed of a row: from the step's seed, the row's kind, the example's number in the step and the place in it. */
gint32 vj_lora_seed (guint64 step, guint64 kind, guint64 example, guint64 place);

/* y (leading dimension ldy) += what the factors of w, if it has any, make of x. */
void vj_net_lora (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, VjF32 *y, gsize ldy);
/* Gradients of the factors are added to; dx as well, or NULL. */
void vj_net_lora_backward (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, const VjF32 *dy, gsize ld_dy, VjF32 *dx);

/* w[n, k] += scale b[n, rank] a[rank, k], on the host. */
VJ_API void vj_lora_merge (const float *a, const float *b, gsize n, gsize k, guint rank, float scale, float *w);

/* -- vision ---------------------------------------------------------------- */

typedef struct {
  VjF32 *x;           /* [B, W] */
  VjF32 *n1, *stats1; /* [B, W], [B, 2] */
  VjF32 *qkv;         /* [B, 3 W] */
  VjF32 *att, *lse;   /* [B, W], [B heads] */
  VjF32 *branch;      /* global layers: attention output [B, W] */
  VjF32 *x2;
  VjF32 *n2, *stats2;
  VjF32 *f1, *act;    /* [B, M] */
  VjF32 *mlp;         /* global layers [B, W] */
  VjF32 *out;
} VjMllamaEnc;

/* Of the layers' activations: none; all that backward reads; only each layer's output, the rest being made again. */
typedef enum { VJ_KEEP_NONE, VJ_KEEP_ALL, VJ_KEEP_OUTPUTS } VjMllamaKeep;

/* The images of one call. An image has T N token rows in the published order, then T P padding rows. */
typedef struct {
  VjMllamaKeep keep;
  gsize n_images, rows, token_rows, patch_rows; /* B = n T (N + P); n T N; n T (N - 1) */
  VjI32 *patch_index;    /* [n T N] row of the patch embedding, -1 for the class token  */
  VjI32 *class_index;    /* [n T N] 0 for the class token, else -1                       */
  VjI32 *tile_index;     /* [n T N] row of pre_tile, -1 for the class token              */
  VjI32 *position_index; /* [n T N] row of position                                      */
  VjI32 *tile_position_index; /* [n T N] row of tile_position                            */
  VjI32 *token_index;    /* [B] row among the n T N, -1 for padding                      */
  VjI32 *post_tile_index;/* [B] row of post_tile                                         */
  VjI32 *last;           /* [B] keys a row sees */
  VjAttentionSegment *segments; /* host, n */
  /* activations */
  VjF32 *patches;        /* [n T (N - 1), 3 S S] uploaded                                */
  VjF32 *patch_out;      /* [n T (N - 1), W]                                             */
  VjF32 *embed, *pre, *pre_stats; /* [n T N, W], same, [n T N, 2]                        */
  VjF32 *post, *post_stats;       /* [B, W], [B, 2]                                      */
  VjF32 *features;       /* [n T N, O] */
  VjF32 *states;         /* [n T N, H] */
  VjMllamaEnc local[VJ_MLLAMA_MAX_LAYERS], global[VJ_MLLAMA_MAX_LAYERS];
} VjMllamaImages;

guint32 vj_net_padding (const VjMllamaConfig *config); /* P: padding rows of a tile, to a multiple of 8 */

/* Lays the index arrays and activations of n images out. */
void vj_net_images_layout (const VjMllamaConfig *config, gsize n, VjMllamaKeep keep, VjArena *arena, VjMllamaImages *ret_images);
/* Checks the images and uploads indices and patches into the layout. */
gboolean vj_net_images_upload (const VjMllamaNet *net, const VjMllamaImage *const *images, VjMllamaImages *at, GError **error);
void vj_net_vision (const VjMllamaNet *net, const VjMllamaImages *at);
/* One layer of it, from e->x to e->out. */
void vj_net_vision_layer (const VjMllamaNet *net, const VjMllamaEncoder *w, gboolean gated, const VjMllamaImages *at, const VjMllamaEnc *e);

/* -- backward -------------------------------------------------------------- */

/* Scratch of the backward passes, sized for the larger of the two towers. */
typedef struct {
  VjF32 *d;       /* gradient of the residual stream, in and out */
  VjF32 *wide;    /* [rows, max (2 F, M)] */
  VjF32 *wide2;   /* the same */
  VjF32 *qkv;     /* [rows, max (Q + 2 KV, 3 W)] */
  VjF32 *narrow;  /* [rows, max (H, W)] */
  VjF32 *branch;  /* the same */
  VjF32 *k, *v;   /* [X, KV] */
  VjF32 *raw;     /* [X, KV] */
} VjMllamaScratch;

VjF32 *vj_net_grad (const VjMllamaNet *net, guint w); /* address of a weight's gradient; NULL when it stays as it is */
/* Of vj_net_linear with contiguous y: dw, db are added to unless frozen; dx is written, or NULL. */
void vj_net_linear_backward (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, guint joined, gssize bias,
                             const VjF32 *dy, VjF32 *dx);
/* The same for one weight without a bias; dx is added to, or NULL. */
void vj_net_linear_backward_add (const VjMllamaNet *net, gsize rows, const VjF32 *x, guint w, const VjF32 *dy, VjF32 *dx);
void vj_net_self_backward (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, const VjMllamaText *t, const VjMllamaScratch *s);
/* s->d of few becomes that of all rows. */
void vj_net_pick_backward (const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaRows *few, const VjMllamaScratch *s);
/* Of vj_net_last_begin (t) and vj_net_last_end (last): s->d is that of few, then that of all rows. */
void vj_net_last_backward (const VjMllamaNet *net, const VjMllamaRows *rows, const VjMllamaRows *few, const VjMllamaText *t, const VjMllamaText *last,
                           const VjMllamaScratch *s);
/* d_states [X, H] is added to, or NULL. */
void vj_net_cross_backward (const VjMllamaNet *net, guint layer, const VjMllamaRows *rows, gsize n_states, const VjF32 *states,
                            const VjMllamaText *t, const VjMllamaScratch *s, VjF32 *d_states);
/* d_states [n T N, H] in; d_features [n T N, O] scratch. */
void vj_net_vision_backward (const VjMllamaNet *net, const VjMllamaImages *at, const VjF32 *d_states, const VjMllamaScratch *s,
                             VjF32 *d_features);

#endif
