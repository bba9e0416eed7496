/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_WATCH_H
#define CHAOS_WATCH_H

/*
 * What the watchdog sees from outside. It is the parent of all hosts and a sub-reaper: whoever is left without a parent becomes its child. So a host with all
 * that it started has ended when the watchdog has no child any more.
 *
 * Where it is allowed (root), the run has process numbers, a /proc and a /dev/shm of its own: nothing of it can meet another program. Else names of others are
 * in /dev/shm, too, and what is new and stays for a second is taken for a host's.
 * Memory: a memfd is known by device and inode; those of a host are noted while it lives.
 */

#include "board.h"

#include <sys/types.h>

/* Before any host. Returns, in the process that is to go on, 1 if the run is apart from other programs. */
int chaos_watch_begin(void);

/* What the host has open; before its end. */
void chaos_watch_note_memory(pid_t host);

/* Reaps whoever has ended, `host` too. 1: it was the host, and *status is how. */
int chaos_watch_reap(pid_t host, int *status);

/*
 * After the host's end: waits until all are gone, and finds who is not (board.h): they are killed. Then names and memory are looked for. Returns how
 * long it took until all were gone [ns].
 */
int64_t chaos_watch_end(struct chaos_board *board);

/* All that is below this process, to stderr: state, what it waits for in the kernel; `with_stacks` by gdb, too, if there is one. */
void chaos_watch_dump(int with_stacks);

/* Kills and reaps until there is no child. */
void chaos_watch_kill_all(void);

#endif
