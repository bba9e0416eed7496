/* SPDX-License-Identifier: MIT */
#ifndef FMC_KEYFILE_H
#define FMC_KEYFILE_H

/* Files with the key of a manager: of this user, which nobody else may read. */

#include <forkmap/manager.h>

struct fmc_key {
    unsigned char bytes[FM_MANAGER_MAX_KEY_BYTES];
    size_t n;
};

/* Reads the key. `may_make`: a file that is not there is made, with 32 random bytes. Returns 0, or an exit code after a message. */
int fmc_key_read(struct fmc_key *key, const char *path, int may_make);

/* Wipes it. */
void fmc_key_forget(struct fmc_key *key);

#endif
