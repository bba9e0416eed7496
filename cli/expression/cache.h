/* SPDX-License-Identifier: MIT */
#ifndef FMC_CACHE_H
#define FMC_CACHE_H

/*
 * A directory of compiled expressions: ${XDG_CACHE_HOME:-~/.cache}/forkmap, mode 0700. What lies there is loaded and run, so
 * neither it nor a file in it is used that somebody else could have written. Several commands may use it at once: an entry
 * gets its name when it is whole. Where there is no such directory and none can be made (no home, a full or read-only disk), a
 * directory under $TMPDIR takes its place, and goes with the command.
 */

#define FMC_CACHE_ENTRIES 256 /* more, and those that were not used for longest go */

struct fmc_cache {
    char *path;    /* NULL: not open */
    int fd;        /* of the directory */
    int temporary; /* removed by fmc_cache_close() */
};

/* Finds or makes it. Returns 0 or FMC_ENVIRONMENT; it has said why. */
int fmc_cache_open(struct fmc_cache *cache);

/* The path of a file in it, to be freed; NULL: no memory. */
char *fmc_cache_path(const struct fmc_cache *cache, const char *name);

/* 1 if the entry is there and nobody else can have written it; it counts as used now. */
int fmc_cache_has(const struct fmc_cache *cache, const char *name);

/* Gives the file `made` the name of an entry, for good, and removes entries that are too many. Returns 0 or -errno. */
int fmc_cache_put(const struct fmc_cache *cache, const char *made, const char *name);

void fmc_cache_remove(const struct fmc_cache *cache, const char *name);

void fmc_cache_close(struct fmc_cache *cache);

#endif
