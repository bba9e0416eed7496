/* SPDX-License-Identifier: MIT */
#ifndef CHAOS_HOST_H
#define CHAOS_HOST_H

/* The life of one host: some pools, each with a killer and maps, one after the other; see plan.h. */

#include "board.h"

/* In a forked child; it does not come back. Exit code 0; 1 if it could not go on, which was found. */
_Noreturn void chaos_host_run(struct chaos_board *board, uint64_t seed, uint64_t number);

#endif
