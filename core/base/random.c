/* Seeded random streams (xoshiro256**, names hashed by SHA-256). */
#include "base/random.h"

#include <math.h>
#include <string.h>

static guint64
splitmix (guint64 *state)
{
  guint64 z = (*state += G_GUINT64_CONSTANT (0x9e3779b97f4a7c15));
  z = (z ^ (z >> 30)) * G_GUINT64_CONSTANT (0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * G_GUINT64_CONSTANT (0x94d049bb133111eb);
  return z ^ (z >> 31);
}

static guint64
rotate (guint64 x, int k)
{
  return (x << k) | (x >> (64 - k));
}

void
vj_random_init (VjRandom *random, guint64 seed)
{
  for (int i = 0; i < 4; i++)
    random->state[i] = splitmix (&seed);
}

guint64
vj_random_seed_named (guint64 seed, const char *stage, const char *id, guint64 draw)
{
  g_autoptr (GChecksum) sum = g_checksum_new (G_CHECKSUM_SHA256);
  guint64 words[2] = {GUINT64_TO_LE (seed), GUINT64_TO_LE (draw)};
  guint8 digest[32];
  gsize length = sizeof digest;
  guint64 result;

  /* Each string is followed by its terminator, so no two names run together. */
  g_checksum_update (sum, (const guchar *) words, sizeof words);
  g_checksum_update (sum, (const guchar *) (stage ? stage : ""), (gssize) strlen (stage ? stage : "") + 1);
  g_checksum_update (sum, (const guchar *) (id ? id : ""), (gssize) strlen (id ? id : "") + 1);
  g_checksum_get_digest (sum, digest, &length);
  memcpy (&result, digest, sizeof result);
  return GUINT64_FROM_LE (result);
}

void
vj_random_init_named (VjRandom *random, guint64 seed, const char *stage, const char *id, guint64 draw)
{
  vj_random_init (random, vj_random_seed_named (seed, stage, id, draw));
}

guint64
vj_random_next (VjRandom *random)
{
  guint64 *s = random->state;
  guint64 result = rotate (s[1] * 5, 7) * 9;
  guint64 t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = rotate (s[3], 45);
  return result;
}

guint32
vj_random_below (VjRandom *random, guint32 below)
{
  if (below == 0)
    return 0;
  /* Lemire's multiply-shift with rejection: exactly uniform. */
  guint32 threshold = -below % below;
  for (;;) {
    guint64 product = (vj_random_next (random) >> 32) * (guint64) below;
    if ((guint32) product >= threshold)
      return (guint32) (product >> 32);
  }
}

double
vj_random_real (VjRandom *random)
{
  return (double) (vj_random_next (random) >> 11) * 0x1.0p-53;
}

double
vj_random_normal (VjRandom *random)
{
  double u = 1.0 - vj_random_real (random); /* in (0, 1], so the logarithm is finite */
  double v = vj_random_real (random);
  return sqrt (-2.0 * log (u)) * cos (2.0 * G_PI * v);
}

void
vj_random_shuffle (VjRandom *random, gpointer *items, guint n)
{
  for (guint i = n; i > 1; i--) {
    guint j = vj_random_below (random, i);
    gpointer other = items[j];
    items[j] = items[i - 1];
    items[i - 1] = other;
  }
}
