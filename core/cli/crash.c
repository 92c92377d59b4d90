/* Last words of a process that dies: whose code was running. The ledger needs none: it survives any death. */
#include "cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "plugin/verb.h"

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP};

/* What was there before us (a sanitizer's handler, say) has its turn afterwards. Written once, before any plugin runs. */
static struct sigaction former[G_N_ELEMENTS (signals)];

/* A stack that overflowed cannot carry the handler. */
static char spare_stack[64 * 1024];

/* Set by the first thread that dies: it alone speaks. */
static int dying;

/* -- from here on only what is safe in a signal handler ------------------------- */

static void
say (const char *text)
{
  ssize_t written = write (STDERR_FILENO, text, strlen (text));
  (void) written;
}

static gboolean
is_some (VjVerb verb)
{
  return verb.plugin != NULL || verb.file != NULL;
}

static void
say_whose (VjVerb verb)
{
  if (verb.file != NULL) {
    say ("while loading ");
    say (verb.file);
    say (": report it to the plugin's author, or take the file away\n");
    return;
  }
  say ("in the verb '");
  say (verb.verb);
  say ("' of the ");
  say (vj_role_name (verb.plugin->role));
  say (" plugin '");
  say (verb.plugin->name);
  say ("': report it to the plugin's author; what was answered is kept, and the same command goes on\n");
}

static const char *
signal_text (int number)
{
  switch (number) {
  case SIGSEGV: return "SIGSEGV";
  case SIGBUS: return "SIGBUS";
  case SIGILL: return "SIGILL";
  case SIGFPE: return "SIGFPE";
  case SIGTRAP: return "SIGTRAP";
  default: return "SIGABRT";
  }
}

static void
on_fatal (int number)
{
  VjVerb verb = vj_verb_now ();

  while (__atomic_exchange_n (&dying, 1, __ATOMIC_RELAXED) != 0)
    pause (); /* until the first has ended the process */
  say ("\nerror: vjrun crashed (");
  say (signal_text (number));
  say (") ");
  if (is_some (verb))
    say_whose (verb);
  else
    say ("outside of any plugin: a bug in vjrun, please report it\n");
  if (number == SIGBUS)
    say ("SIGBUS most often means that another program cut a file short while it was in use, such as a model's weights; "
         "look at those first\n");
  /* All of them: a sanitizer's handler of this signal ends by another, which must not come here to wait. */
  for (guint i = 0; i < G_N_ELEMENTS (signals); i++)
    sigaction (signals[i], &former[i], NULL);
  raise (number); /* blocked until this returns; then the former action, which by default ends the process */
}

/* -- */

/* A plugin that calls exit() would end a run as if it were done. */
static void
on_exit_called (void)
{
  VjVerb verb = vj_verb_now ();
  if (!is_some (verb))
    return;
  say ("\nerror: exit() was called ");
  say_whose (verb);
  _exit (VJ_EXIT_PLUGIN);
}

void
vj_cli_catch_crashes (void)
{
  stack_t own = {.ss_sp = spare_stack, .ss_size = sizeof spare_stack};
  struct sigaction action = {.sa_handler = on_fatal, .sa_flags = SA_ONSTACK};

  sigaltstack (&own, NULL);
  sigemptyset (&action.sa_mask);
  /* A fault within the handler ends the process at once, for its signal is blocked. */
  for (guint i = 0; i < G_N_ELEMENTS (signals); i++)
    sigaddset (&action.sa_mask, signals[i]);
  for (guint i = 0; i < G_N_ELEMENTS (signals); i++)
    sigaction (signals[i], &action, &former[i]);
  atexit (on_exit_called);
}
