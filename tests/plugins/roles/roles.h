/* The tests of the role plugins: one file each, one program for all. */
#ifndef ROLES_H
#define ROLES_H

#include "../../tools/bench.h"

/* X (plugin): each has roles/PLUGIN.c, which adds its tests in add_PLUGIN_tests */
#define ROLES_TABLE(X) \
  X (text) X (verdict) X (both_orders) X (balance) X (cap) X (dedup) X (minhash) X (quote) X (consistent) X (pairwise) \
  X (majority) X (even) X (kinds) X (rewrite) X (swap_words) X (modified_instruction) X (degraded_image) X (jsonl) X (llava) \
  X (pairs) X (scenes)

#define ROLES_DECLARE(plugin) void add_##plugin##_tests (void);
ROLES_TABLE (ROLES_DECLARE)

/* A trace for filters: question "q", chosen "yes", rejected "no". */
#define TRACE(id_, pair_, a_first_, verdict_)                                                               \
  {.id = (id_), .pair = (pair_), .question = &trace_question, .chosen = "yes", .rejected = "no", .how = "", \
   .chosen_is_a = (a_first_), .verdict = VJ_VERDICT_##verdict_, .text = "",                                 \
   .right = VJ_VERDICT_##verdict_ == ((a_first_) ? VJ_VERDICT_A : VJ_VERDICT_B)}
static const VjQuestion trace_question G_GNUC_UNUSED = {.id = "q", .prompt = "q", .category = ""};

#endif
