/* From YAML events to nodes, under limits. libyaml itself has none: its document loader is quadratic in
 * anchors, and it accepts duplicate keys, aliases to the node around them and second documents. */
#include "base/log.h"
#include "recipe/node-private.h"

#include <string.h>
#include <yaml.h>

typedef struct {
  VjNode *node;
  GHashTable *keys; /* of a map: key -> node, so that duplicates are found in linear time */
  char *key;        /* of a map: read, its value not yet */
  guint key_line, key_column;
} Frame;

typedef struct {
  const VjNodeOrigin *origin;
  gboolean placeless;
  const char *bytes;
  gsize length;
  Frame stack[VJ_NODE_DEPTH];
  guint depth, nodes, documents;
  VjNode *root;
} Builder;

static gboolean
fail_at (const Builder *b, yaml_mark_t mark, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);

static gboolean
fail_at (const Builder *b, yaml_mark_t mark, GError **error, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_autofree char *place = vj_place (b->origin, b->placeless ? 0 : (guint) mark.line + 1, (guint) mark.column + 1);
  return vj_fail (error, VJ_EXIT_RECIPE, "%s: %s", place, text);
}

static void
frame_done (Frame *frame)
{
  g_clear_pointer (&frame->keys, g_hash_table_unref);
  g_clear_pointer (&frame->key, g_free);
  frame->node = NULL;
}

/* Hangs a finished or opened node where it belongs; takes it, also on failure. */
static gboolean
place_node (Builder *b, VjNode *node, yaml_mark_t mark, GError **error)
{
  if (++b->nodes > VJ_NODE_COUNT) {
    vj_node_free (node);
    return fail_at (b, mark, error, "the recipe has more than %d values; split it", VJ_NODE_COUNT);
  }
  if (b->depth == 0) {
    b->root = node;
    return TRUE;
  }
  Frame *frame = &b->stack[b->depth - 1];
  if (frame->node->kind == VJ_NODE_MAP) {
    node->key = g_steal_pointer (&frame->key);
    node->key_line = frame->key_line;
    node->key_column = frame->key_column;
    g_hash_table_insert (frame->keys, node->key, node);
  }
  vj_node_append (frame->node, node);
  return TRUE;
}

static gboolean
expects_key (const Builder *b)
{
  return b->depth > 0 && b->stack[b->depth - 1].node->kind == VJ_NODE_MAP && b->stack[b->depth - 1].key == NULL;
}

static gboolean
take_key (Builder *b, const yaml_event_t *event, GError **error)
{
  Frame *frame = &b->stack[b->depth - 1];
  const char *key = (const char *) event->data.scalar.value;
  const VjNode *other = g_hash_table_lookup (frame->keys, key);
  if (strcmp (key, "<<") == 0)
    return fail_at (b, event->start_mark, error, "'<<': merge keys are not read; write the values out");
  if (other != NULL)
    return fail_at (b, event->start_mark, error, "'%s': this key stands twice in one map, first at line %u, column %u; remove one of them",
                    key, other->key_line, other->key_column);
  frame->key = g_strdup (key);
  frame->key_line = b->placeless ? 0 : (guint) event->start_mark.line + 1;
  frame->key_column = (guint) event->start_mark.column + 1;
  return TRUE;
}

static VjNode *
node_at (const Builder *b, VjNodeKind kind, yaml_mark_t mark)
{
  return vj_node_new (kind, b->origin, b->placeless ? 0 : (guint) mark.line + 1, (guint) mark.column + 1);
}

/* The core schema's name of a tag: "str" for "tag:yaml.org,2002:str"; "" for none; NULL for any other tag. */
static const char *
core_tag (const yaml_char_t *tag)
{
  static const char *const known[] = {"str", "int", "float", "bool", "null", "map", "seq", NULL};
  if (tag == NULL)
    return "";
  if (strcmp ((const char *) tag, "!") == 0)
    return "str";
  if (!g_str_has_prefix ((const char *) tag, "tag:yaml.org,2002:"))
    return NULL;
  const char *name = (const char *) tag + strlen ("tag:yaml.org,2002:");
  return g_strv_contains (known, name) ? name : NULL;
}

static gboolean
tag_fits (const char *tag, VjNodeKind kind)
{
  static const char *const names[] = {"null", "bool", "int", "float", "str", "seq", "map"};
  return *tag == '\0' || strcmp (tag, names[kind]) == 0 || (kind == VJ_NODE_INT && strcmp (tag, "float") == 0);
}

static gboolean
check_properties (const Builder *b, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag,
                  GError **error)
{
  const yaml_char_t *property = anchor != NULL ? anchor : tag;
  g_autofree char *shown = property != NULL ? vj_text_excerpt ((const char *) property, 60) : NULL;
  if (anchor != NULL)
    return fail_at (b, event->start_mark, error, "'&%s': anchors and aliases are not read; write the values out", shown);
  if (core_tag (tag) == NULL)
    return fail_at (b, event->start_mark, error, "'%s': this tag is not known; remove it", shown);
  return TRUE;
}

static gboolean
check_text (const Builder *b, const yaml_event_t *event, GError **error)
{
  const char *text = (const char *) event->data.scalar.value;
  for (gsize i = 0; i < event->data.scalar.length; i++) {
    guchar c = (guchar) text[i];
    if ((c < 0x20 && c != '\n' && c != '\t' && c != '\r') || c == 0x7f)
      return fail_at (b, event->start_mark, error, "the text holds the control character \\x%02x; remove it", c);
  }
  return TRUE;
}

static gboolean
take_scalar (Builder *b, const yaml_event_t *event, GError **error)
{
  const yaml_char_t *tag_text = event->data.scalar.tag;
  if (!check_properties (b, event, event->data.scalar.anchor, tag_text, error) || !check_text (b, event, error))
    return FALSE;
  if (expects_key (b))
    return take_key (b, event, error);
  const char *tag = core_tag (tag_text);
  gboolean plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE && strcmp (tag, "str") != 0;
  VjNode *node = node_at (b, VJ_NODE_STRING, event->start_mark);
  node->text = g_strndup ((const char *) event->data.scalar.value, event->data.scalar.length);
  node->key = b->depth > 0 ? g_strdup (b->stack[b->depth - 1].key) : NULL; /* for the message */
  gboolean ok = vj_scalar_resolve (node, plain || (*tag != '\0' && strcmp (tag, "str") != 0), error);
  g_clear_pointer (&node->key, g_free);
  if (ok && !tag_fits (tag, node->kind))
    ok = fail_at (b, event->start_mark, error, "this is %s, but its tag says !!%s; remove the tag", vj_node_kind_name (node->kind), tag);
  if (!ok) {
    vj_node_free (node);
    return FALSE;
  }
  return place_node (b, node, event->start_mark, error);
}

static gboolean
open_collection (Builder *b, const yaml_event_t *event, VjNodeKind kind, GError **error)
{
  gboolean map = kind == VJ_NODE_MAP;
  const yaml_char_t *tag = map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
  const yaml_char_t *anchor = map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor;
  if (!check_properties (b, event, anchor, tag, error))
    return FALSE;
  if (!tag_fits (core_tag (tag), kind))
    return fail_at (b, event->start_mark, error, "this is %s, but its tag says !!%s; remove the tag", vj_node_kind_name (kind),
                    core_tag (tag));
  if (expects_key (b))
    return fail_at (b, event->start_mark, error, "a key must be a word, not %s; quote it if it begins with a bracket or brace",
                    vj_node_kind_name (kind));
  if (b->depth == VJ_NODE_DEPTH)
    return fail_at (b, event->start_mark, error, "maps and lists are nested more than %d deep; flatten them", VJ_NODE_DEPTH);
  VjNode *node = node_at (b, kind, event->start_mark);
  if (!place_node (b, node, event->start_mark, error))
    return FALSE;
  Frame *frame = &b->stack[b->depth++];
  *frame = (Frame) {.node = node, .keys = map ? g_hash_table_new (g_str_hash, g_str_equal) : NULL};
  return TRUE;
}

static gboolean
take_event (Builder *b, const yaml_event_t *event, GError **error)
{
  switch (event->type) {
  case YAML_DOCUMENT_START_EVENT:
    if (++b->documents > 1)
      return fail_at (b, event->start_mark, error, "a second document begins here; keep one recipe in one file");
    return TRUE;
  case YAML_ALIAS_EVENT:
    return fail_at (b, event->start_mark, error, "'*%s': anchors and aliases are not read; write the values out",
                    (const char *) event->data.alias.anchor); /* libyaml allows a-z, 0-9, _ and - in it */
  case YAML_SCALAR_EVENT:
    return take_scalar (b, event, error);
  case YAML_SEQUENCE_START_EVENT:
    return open_collection (b, event, VJ_NODE_SEQUENCE, error);
  case YAML_MAPPING_START_EVENT:
    return open_collection (b, event, VJ_NODE_MAP, error);
  case YAML_SEQUENCE_END_EVENT:
  case YAML_MAPPING_END_EVENT:
    frame_done (&b->stack[--b->depth]);
    return TRUE;
  default:
    return TRUE;
  }
}

/* Whether a tab stands in the white space that opens the line of `mark`, the usual cause of a syntax error. */
static gboolean
line_opens_with_tab (const Builder *b, yaml_mark_t mark)
{
  const char *at = b->bytes, *end = b->bytes + b->length;
  for (gsize line = 0; line < mark.line; line++) {
    at = memchr (at, '\n', (gsize) (end - at));
    if (at == NULL)
      return FALSE;
    at++;
  }
  while (at < end && *at == ' ')
    at++;
  return at < end && *at == '\t';
}

static gboolean
fail_syntax (const Builder *b, const yaml_parser_t *parser, GError **error)
{
  yaml_mark_t mark = parser->problem_mark;
  if (parser->error == YAML_MEMORY_ERROR)
    return vj_fail (error, VJ_EXIT_LIMIT, "%s: out of memory while reading YAML; free some", b->origin->name);
  if (parser->error == YAML_READER_ERROR)
    return vj_fail (error, VJ_EXIT_RECIPE, "%s: byte %zu: %s (%#x); remove it", b->origin->name, parser->problem_offset,
                    parser->problem, parser->problem_value < 0 ? 0 : (guint) parser->problem_value);
  if (line_opens_with_tab (b, mark)) {
    mark.column = 0;
    return fail_at (b, mark, error, "a tab indents this line; indent by spaces");
  }
  const char *context = parser->context != NULL ? parser->context : "";
  return fail_at (b, mark, error, "not YAML: %s%s%s; mend the line (quote text that holds ': ', '#', brackets or ${VARIABLE})", context,
                  *context != '\0' ? ", " : "", parser->problem != NULL ? parser->problem : "unexpected end");
}

/* Bad UTF-8 and NUL, with their place. */
static gboolean
check_bytes (const Builder *b, GError **error)
{
  const char *end = NULL;
  if (b->length > VJ_NODE_BYTES)
    return vj_fail (error, VJ_EXIT_RECIPE, "%s: the file has %zu bytes; expected at most %d; is this a recipe?", b->origin->name,
                    b->length, VJ_NODE_BYTES);
  if (g_utf8_validate_len (b->bytes, b->length, &end))
    return TRUE;
  yaml_mark_t mark = {0};
  for (const char *at = b->bytes; at < end; at = g_utf8_next_char (at)) {
    mark.column++;
    if (*at == '\n')
      mark.line++, mark.column = 0;
  }
  if (*end == '\0')
    return fail_at (b, mark, error, "a NUL byte; expected UTF-8 text; remove it");
  return fail_at (b, mark, error, "the byte 0x%02x is not UTF-8; save the file as UTF-8", (guchar) *end);
}

static gboolean
run_parser (Builder *b, yaml_parser_t *parser, GError **error)
{
  for (gboolean more = TRUE; more;) {
    yaml_event_t event;
    if (!yaml_parser_parse (parser, &event))
      return fail_syntax (b, parser, error);
    more = event.type != YAML_STREAM_END_EVENT;
    gboolean ok = take_event (b, &event, error);
    yaml_event_delete (&event);
    if (!ok)
      return FALSE;
  }
  return TRUE;
}

VjNode *
vj_parse_document (const char *bytes, gsize length, const VjNodeOrigin *origin, gboolean placeless, GError **error)
{
  /* A byte order mark is no part of the text; libyaml, told the encoding, would read it as some. */
  gsize mark = length >= 3 && memcmp (bytes, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
  Builder b = {.origin = origin, .placeless = placeless, .bytes = bytes != NULL ? bytes + mark : "", .length = length - mark};
  if (!check_bytes (&b, error))
    return NULL;
  yaml_parser_t parser;
  if (!yaml_parser_initialize (&parser)) {
    vj_fail (error, VJ_EXIT_LIMIT, "%s: out of memory while reading YAML; free some", origin->name);
    return NULL;
  }
  yaml_parser_set_encoding (&parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string (&parser, (const unsigned char *) b.bytes, b.length);
  gboolean ok = run_parser (&b, &parser, error);
  yaml_parser_delete (&parser);
  while (b.depth > 0)
    frame_done (&b.stack[--b.depth]);
  if (ok && b.root == NULL) {
    yaml_mark_t start = {0};
    ok = fail_at (&b, start, error, "the recipe is empty; expected a map of sections (recipe, name, models, ...)");
  }
  if (!ok) {
    vj_node_free (b.root);
    return NULL;
  }
  return b.root;
}

VjTree *
vj_tree_parse (const char *bytes, gsize length, const char *name, const char *directory, GError **error)
{
  g_autoptr (VjTree) tree = vj_tree_new ();
  VjNodeOrigin *origin = vj_tree_origin (tree, name, directory);
  tree->root = vj_parse_document (bytes, length, origin, FALSE, error);
  if (tree->root == NULL)
    return NULL;
  if (tree->root->kind != VJ_NODE_MAP) {
    vj_fail (error, VJ_EXIT_RECIPE, "%s:%u:%u: this is %s; expected a map of sections (recipe, name, models, ...)", name,
             tree->root->line, tree->root->column, vj_node_kind_name (tree->root->kind));
    return NULL;
  }
  return g_steal_pointer (&tree);
}
