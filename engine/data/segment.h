/* SPDX-License-Identifier: MIT */
#ifndef FMI_SEGMENT_H
#define FMI_SEGMENT_H

/*
 * A named segment: a file in /dev/shm that begins with a header of one page, and then has the data. Programs of any age, and damaged or
 * hostile ones, may have written it; what is read of it is a private copy, once.
 *
 *                                                                who writes
 *      0:  | magic (8) | layout (4)  | header_bytes (4) |        creator, before the file has its name
 *     16:  | data_bytes (8)          | start (8)        |        the same
 *     32:  | namespaces (8)          | created_ns (8)   |        the same
 *     48:  | pid (4)   | uid (4)     | checksum (8)     |        the same
 *     64:  | state (4) | pad (4)                        |        creator: MAKING before the name, READY when all else is done
 *   page:  | data ...                                   |        anyone who may
 *
 *   state    | what there is                       | attach          | goes on with             | the creator dies here
 *   (none)   | a file without a name               | -ENOENT         | header, name             | nothing is left
 *   MAKING   | name, header; some of the memory    | -EAGAIN         | reserve all, then READY  | attach: FM_ECORRUPT; gc finds it
 *   READY    | all                                 | 0               | -                        | it stays; gc finds it
 *   (unnamed)| memory of those who have it mapped  | -ENOENT         | -                        | goes with the last of them
 *
 * Where /dev/shm has no files without a name, the name comes first, with an empty file: attach says -EAGAIN, and gc, which removes nothing
 * without a header, leaves what a creator that died within these microseconds has left.
 *
 * I1  Once the file has its name, nothing in the header changes but the state, once.
 * I2  The header is mapped nowhere: it is written and read by calls, so that stray writes below the data do not reach it. Therefore
 *     it fills a page, also where pages are larger than it needs.
 * I3  MAKING and READY differ in one byte: a reader finds one or the other, never a mixture.
 * I4  READY: the file has header_bytes + data_bytes, and pages for all of them. A program that makes it shorter later takes them away.
 */

#include "identity.h"

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

enum { FMI_SEGMENT_LAYOUT = 1 };
enum fmi_segment_state { FMI_SEGMENT_MAKING = 1, FMI_SEGMENT_READY = 2 };

#define FMI_SEGMENT_MAGIC "FMSHMSEG"

struct fmi_segment_shm {
    char magic[8];
    uint32_t layout;
    uint32_t header_bytes; /* page size of the machine */
    uint64_t data_bytes;
    uint64_t start, namespaces; /* with pid: the creator's identity */
    int64_t created_ns;         /* clock of the day */
    int32_t pid;
    uint32_t uid;
    uint64_t checksum; /* of all before it */
    uint32_t state;
    uint32_t pad;
};
static_assert(sizeof(struct fmi_segment_shm) == 72, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, layout) == 8, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, data_bytes) == 16, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, start) == 24, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, namespaces) == 32, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, created_ns) == 40, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, pid) == 48, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, checksum) == 56, "read by other programs");
static_assert(offsetof(struct fmi_segment_shm, state) == 64, "read by other programs");

/* What the kernel says of the file, and what this process expects: nothing of it comes from the file's bytes. */
struct fmi_segment_file {
    const char *name; /* for messages */
    uint64_t bytes;
    uint32_t uid;
    uint32_t page_bytes;
};

/* A header that says who the caller is; MAKING. */
void fmi_segment_describe(struct fmi_segment_shm *header, uint64_t data_bytes, uint32_t page_bytes);
void fmi_segment_seal(struct fmi_segment_shm *header); /* writes the checksum */

/*
 * Checks the n bytes that were read from the beginning of a file, before its size was asked for. 0: `out` is a copy, in which each field is as above and the file's size
 * is one that its state has; FM_ECORRUPT with the name and the reason; -EAGAIN n is 0. A pure function.
 */
int fmi_segment_check(const struct fmi_segment_file *file, const void *bytes, size_t n,
                      struct fmi_segment_shm *out);

/* The creator, as fmi_identity_state(). */
int fmi_segment_creator(const struct fmi_segment_shm *header);

/* A name as the user gives it, with or without a slash in front, without it; NULL and a detail if it is none. */
const char *fmi_segment_parse_name(const char *given);

/* Opens what has that name and checks it. As fmi_segment_check(), or as open and read say. `fd` is -1 on failure. */
int fmi_segment_open(int *fd, const char *name, int is_writable, struct fmi_segment_shm *out);

#endif
