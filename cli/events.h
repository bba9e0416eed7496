/* SPDX-License-Identifier: MIT */
#ifndef FMC_EVENTS_H
#define FMC_EVENTS_H

/* JSON lines: one object per line, each with its "event" first. */

#include <jansson.h>
#include <stdio.h>

/* A new object {"event": name}. Ends the program when there is no memory for it. */
json_t *fmc_event(const char *name);

/* A string; bytes that are not UTF-8 become '?'. Never NULL. */
json_t *fmc_event_text(const char *text);

/* Writes one line (on stdout at once) and drops the reference. Returns 0 or -errno. */
int fmc_event_write(FILE *file, json_t *event);

#endif
