/* SPDX-License-Identifier: MIT */
#ifndef FMC_TROUBLE_H
#define FMC_TROUBLE_H

/* What a reader of files has to say. It says nothing itself, so that it can be tested, and loaded, without the command. */

struct fmc_trouble {
    int exit_code; /* an fmc_exit */
    char text[512];
    char remedy[512]; /* "" if there is none */
    char note[512];   /* without an error: what the user should know, "" if nothing */
};

#endif
