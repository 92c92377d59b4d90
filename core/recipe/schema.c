/* From option tables to JSON Schema. */
#include "recipe/schema.h"
#include "recipe/recipe-private.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *
ref (const char *name)
{
  g_autofree char *target = g_strconcat ("#/$defs/", name, NULL);
  return json_pack ("{s:s}", "$ref", target);
}

static json_t *
typed (const char *type, const char *description)
{
  return description != NULL ? json_pack ("{s:s, s:s}", "type", type, "description", description) : json_pack ("{s:s}", "type", type);
}

static json_t *
bounded (const char *description, int64_t least, int64_t most)
{
  return json_pack ("{s:s, s:s, s:I, s:I}", "type", "integer", "description", description, "minimum", (json_int_t) least, "maximum",
                    (json_int_t) most);
}

static json_t *
texts (const char *const *choices)
{
  json_t *list = json_array ();
  for (; *choices != NULL; choices++)
    json_array_append_new (list, json_string (*choices));
  return list;
}

static json_t *
choice (const char *description, const char *const *choices)
{
  return json_pack ("{s:o, s:s}", "enum", texts (choices), "description", description);
}

/* A whole number stays one, so that 3 is not printed as 3.0. */
static json_t *
number (double value)
{
  return value == (double) (int64_t) value ? json_integer ((json_int_t) value) : json_real (value);
}

static json_t *
preset_value (const VjOption *option)
{
  switch (option->type) {
  case VJ_OPTION_INT:
    return json_integer (g_ascii_strtoll (option->preset, NULL, 10));
  case VJ_OPTION_REAL:
    return number (g_ascii_strtod (option->preset, NULL));
  case VJ_OPTION_BOOL:
    return json_boolean (strcmp (option->preset, "true") == 0);
  case VJ_OPTION_LIST: {
    g_auto (GStrv) items = g_strsplit (option->preset, ",", -1);
    json_t *list = json_array ();
    for (guint i = 0; items[i] != NULL && *option->preset != '\0'; i++)
      json_array_append_new (list, json_string (g_strstrip (items[i])));
    return list;
  }
  default:
    return json_string (option->preset);
  }
}

static json_t *
option_schema (const VjOption *option)
{
  json_t *schema = json_object ();
  switch (option->type) {
  case VJ_OPTION_INT:
  case VJ_OPTION_REAL:
    json_object_set_new (schema, "type", json_string (option->type == VJ_OPTION_INT ? "integer" : "number"));
    json_object_set_new (schema, "minimum", number (option->min));
    json_object_set_new (schema, "maximum", number (option->max));
    break;
  case VJ_OPTION_BOOL:
    json_object_set_new (schema, "type", json_string ("boolean"));
    break;
  case VJ_OPTION_STRING:
  case VJ_OPTION_PATH:
    json_object_set_new (schema, "type", json_string ("string"));
    break;
  case VJ_OPTION_CHOICE:
    json_object_set_new (schema, "enum", texts (option->choices));
    break;
  case VJ_OPTION_LIST:
    json_object_set_new (schema, "type", json_string ("array"));
    json_object_set_new (schema, "items", option->choices != NULL ? json_pack ("{s:o}", "enum", texts (option->choices)) : typed ("string", NULL));
    break;
  }
  gboolean unit = option->unit != NULL && *option->unit != '\0';
  g_autofree char *doc = g_strdup_printf ("%s%s%s%s", option->doc, unit ? " (" : "", unit ? option->unit : "", unit ? ")" : "");
  json_object_set_new (schema, "description", json_string (doc));
  if (option->preset != NULL)
    json_object_set_new (schema, "default", preset_value (option));
  return schema;
}

static json_t *
share (const char *description, int most)
{
  return json_pack ("{s:s, s:s, s:i, s:i}", "type", "number", "description", description, "minimum", 0, "maximum", most);
}

static json_t *
host_key_schema (const char *key)
{
  if (strcmp (key, "model") == 0)
    return typed ("string", "Key of the section models.");
  if (strcmp (key, "weight") == 0)
    return json_pack ("{s:s, s:s, s:i, s:i}", "type", "number", "description", "How often this injector is chosen, against the others; default 1.",
                      "exclusiveMinimum", 0, "maximum", 1000000);
  if (strcmp (key, "count") == 0)
    return bounded ("At most this many records; default: all.", 1, G_MAXINT32);
  if (strcmp (key, "samples") == 0)
    return bounded ("Draws for each order; default 1.", 1, 1024);
  if (strcmp (key, "orders") == 0)
    return choice ("Whether both orders of a pair are judged; default both.", vj_order_choices);
  if (strcmp (key, "replay") == 0)
    return share ("Examples of the model's own answers in this iteration for each kept trace, against forgetting; default 0.", 100);
  if (strcmp (key, "replay_closed") == 0)
    return share ("Share of closed questions in the replay, answered by their majority; default 0.5.", 1);
  if (strcmp (key, "replay_rewrites") == 0)
    return share ("Share of injectors' requests and accepted replies in the replay; default 0. Open questions are the rest.", 1);
  return choice ("Of the weights to write; default bf16.", vj_dtype_choices);
}

/* The section compute may give a backend or trainer what its entry leaves out, so nothing of theirs is required here. */
static json_t *
plugin_schema (const VjPlugin *plugin)
{
  json_t *properties = json_object (), *required = json_pack ("[s]", "use");
  json_object_set_new (properties, "use", json_pack ("{s:s, s:s}", "const", plugin->name, "description", plugin->summary));
  const char *const *host = vj_recipe_host_keys (plugin->role);
  for (guint i = 1; host[i] != NULL; i++)
    json_object_set_new (properties, host[i], host_key_schema (host[i]));
  for (const VjOption *option = plugin->options; option != NULL && option->name != NULL; option++) {
    json_object_set_new (properties, option->name, option_schema (option));
    if (vj_option_required (option))
      json_array_append_new (required, json_string (option->name));
  }
  return json_pack ("{s:s, s:s, s:o, s:o, s:b}", "type", "object", "description", plugin->summary, "properties", properties, "required",
                    required, "additionalProperties", 0);
}

/* Chosen by `use`, so that an editor tells the faults of the plugin meant and not of all. */
static json_t *
role_schema (VjRole role, const VjPlugin *const *plugins, gsize n_plugins)
{
  json_t *names = json_array (), *rules = json_array ();
  for (gsize i = 0; i < n_plugins; i++) {
    if (plugins[i]->role != role)
      continue;
    g_autofree char *name = g_strdup_printf ("%s.%s", vj_role_name (role), plugins[i]->name);
    json_array_append_new (names, json_string (plugins[i]->name));
    json_array_append_new (rules, json_pack ("{s:{s:{s:{s:s}}}, s:o}", "if", "properties", "use", "const", plugins[i]->name, "then", ref (name)));
  }
  g_autofree char *need = g_strdup_printf ("Name of a %s plugin.", vj_role_name (role));
  json_t *schema = json_pack ("{s:s, s:{s:{s:s, s:o}}, s:[s]}", "type", "object", "properties", "use", "description", need, "enum", names,
                              "required", "use");
  if (json_array_size (rules) > 0)
    json_object_set (schema, "allOf", rules);
  json_decref (rules);
  return schema;
}

static json_t *
list_of (const char *role, int least)
{
  return json_pack ("{s:s, s:o, s:i}", "type", "array", "items", ref (role), "minItems", least);
}

static json_t *
closed (json_t *properties, json_t *required)
{
  return json_pack ("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties, "required", required, "additionalProperties", 0);
}

static json_t *
respond_schema (void)
{
  json_t *properties = json_object ();
  json_object_set_new (properties, "model", host_key_schema ("model"));
  for (const VjOption *option = vj_respond_options; option->name != NULL; option++)
    json_object_set_new (properties, option->name, option_schema (option));
  return closed (properties, json_pack ("[s]", "model"));
}

static json_t *
options_schema (const VjOption *options)
{
  json_t *properties = json_object ();
  for (const VjOption *option = options; option->name != NULL; option++)
    json_object_set_new (properties, option->name, option_schema (option));
  return closed (properties, json_array ());
}

static json_t *
audit_schema (void)
{
  return closed (json_pack ("{s:o, s:o}", "images", options_schema (vj_audit_images_options), "shortcut",
                            options_schema (vj_audit_shortcut_options)),
                 json_array ());
}

static json_t *
iteration_schema (void)
{
  json_t *open_ended = closed (json_pack ("{s:o, s:o}", "respond", respond_schema (), "inject", list_of ("injector", 1)),
                               json_pack ("[s, s]", "respond", "inject"));
  json_t *closed_form = closed (json_pack ("{s:o, s:o}", "sample", ref ("sampler"), "gold",
                                           choice ("Whether pairs whose chosen answer is not the question's gold are dropped: an ablation, "
                                                   "after which the judge is no longer trained without labels; default ignore.",
                                                   vj_gold_choices)),
                                json_pack ("[s]", "sample"));
  json_t *properties = json_pack ("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "questions", list_of ("source", 1), "open_ended", open_ended,
                                  "closed_form", closed_form, "audit", audit_schema (), "judge", ref ("judge"), "labels",
                                  choice ("Which verdict counts as right; all but construction are controls for ablation: a seeded coin for each "
                                          "pair in each order, or for each pair. Default construction.", vj_label_choices),
                                  "filters", list_of ("filter", 0), "train", ref ("trainer"));
  return closed (properties, json_pack ("[s, s, s]", "questions", "judge", "train"));
}

static json_t *
pretrain_schema (void)
{
  json_t *course = closed (json_pack ("{s:o, s:o}", "lessons", list_of ("source", 1), "train", ref ("trainer")),
                           json_pack ("[s, s]", "lessons", "train"));
  json_t *properties = json_pack ("{s:o, s:o, s:{s:s, s:i, s:o}}", "init", typed ("string", "Directory with config.json and tokenizer.json to start from."),
                                  "dtype", choice ("Of the weights to write; default bf16.", vj_dtype_choices), "courses", "type", "array",
                                  "minItems", 1, "items", course);
  return closed (properties, json_pack ("[s, s]", "init", "courses"));
}

/* A section of the host's whose keys are a table. */
static json_t *
table_schema (const VjOption *options)
{
  json_t *properties = json_object ();
  for (; options->name != NULL; options++)
    json_object_set_new (properties, options->name, option_schema (options));
  return properties;
}

static json_t *
repeat_schema (void)
{
  json_t *repeat = table_schema (vj_repeat_options), *gate = table_schema (vj_gate_options), *section;
  json_object_set_new (gate, "questions", list_of ("source", 1));
  section = closed (gate, json_array ());
  json_object_set_new (section, "description", json_string ("Each candidate is compared with the judge on held-out synthetic pairs, made "
                                                            "without gold, before it may replace it."));
  json_object_set_new (repeat, "gate", section);
  return closed (repeat, json_array ());
}

static json_t *
compute_schema (void)
{
  return closed (json_pack ("{s:o, s:o, s:o}", "use", typed ("string", "Compute plugin, or auto."), "threads",
                            json_pack ("{s:s, s:s}", "type", "integer", "description", "Threads of the native engine; 0: all processors."), "memory_limit",
                            json_pack ("{s:[s, s], s:s}", "type", "integer", "number", "description", "Memory of the native engine.")),
                 json_array ());
}

static json_t *
sections (void)
{
  json_t *all = json_object ();
  json_object_set_new (all, "recipe", json_pack ("{s:i, s:s}", "const", 1, "description", "Format of this file."));
  json_object_set_new (all, "name", json_pack ("{s:s, s:s, s:s}", "type", "string", "description", "What the run is called.", "pattern",
                                               "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"));
  json_object_set_new (all, "extends", typed ("string", "Another recipe, by its path from this file: what stands here is laid over it, maps key by key, "
                                                        "lists as a whole; a null takes a key away."));
  json_object_set_new (all, "seed", bounded ("Seed of every random choice; default 1.", 0, G_MAXINT64));
  json_object_set_new (all, "models", json_pack ("{s:s, s:{s:s}, s:o}", "type", "object", "propertyNames", "pattern", "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
                                                 "additionalProperties", ref ("backend")));
  json_object_set_new (all, "compute", compute_schema ());
  json_object_set_new (all, "iteration", iteration_schema ());
  json_object_set_new (all, "judge", ref ("judge"));
  json_object_set_new (all, "evaluate", list_of ("evaluator", 0));
  json_object_set_new (all, "repeat", repeat_schema ());
  json_object_set_new (all, "pretrain", pretrain_schema ());
  return all;
}

char *
vj_recipe_schema (const VjPlugin *const *plugins, gsize n_plugins)
{
  json_t *defs = json_object ();
  for (guint role = 0; role < VJ_ROLE_COMPUTE; role++)
    json_object_set_new (defs, vj_role_name ((VjRole) role), role_schema ((VjRole) role, plugins, n_plugins));
  for (gsize i = 0; i < n_plugins; i++) {
    g_autofree char *name = g_strdup_printf ("%s.%s", vj_role_name (plugins[i]->role), plugins[i]->name);
    if (plugins[i]->role != VJ_ROLE_COMPUTE)
      json_object_set_new (defs, name, plugin_schema (plugins[i]));
  }
  json_t *schema = json_pack ("{s:s, s:s, s:s, s:s, s:o, s:[s, s], s:b, s:o}", "$schema", "https://json-schema.org/draft/2020-12/schema", "$comment",
                              "made by `make regenerate` from the plugins' option tables; do not edit", "title", "vjrun recipe", "type", "object",
                              "properties", sections (), "required", "recipe", "name", "additionalProperties", 0, "$defs", defs);
  char *dumped = json_dumps (schema, JSON_INDENT (1) | JSON_REAL_PRECISION (12));
  char *text = g_strconcat (dumped, "\n", NULL);
  free (dumped);
  json_decref (schema);
  return text;
}
