/* Machine: how much memory this process may still take. */
#ifndef VJ_BASE_MACHINE_H
#define VJ_BASE_MACHINE_H

#include <glib.h>
#include "vj/error.h"

/* Bytes that can be taken without swapping or being killed: the least of what the kernel estimates for the machine
 * (MemAvailable) and what each control group (v2) above this process has left, its droppable file pages counted as
 * free. G_MAXSIZE when neither is known. */
VJ_API gsize vj_machine_memory (void);

/* The same read below other folders than /proc and /sys/fs/cgroup. */
VJ_API gsize vj_machine_memory_at (const char *proc, const char *cgroup);

#endif
