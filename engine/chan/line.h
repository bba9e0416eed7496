/* SPDX-License-Identifier: MIT */
#ifndef FMI_LINE_H
#define FMI_LINE_H

/*
 * One direction of a pipe: whole messages from one writer to one reader, in order. Short ones lie in a ring of bytes; of longer ones the ring has the
 * address of a block of the heap. Each side has a lock, so that a side is one thread at a time; head and tail are written by one side each.
 *
 *   frame (16-aligned, wraps)      | bytes:64 | kind:64 | payload, rounded up to 16 |     kind FMI_FRAME_INLINE
 *                                  | bytes:64 | kind:64 | block:64 | lent:64 |           kind FMI_FRAME_BLOCK
 *
 *   writer (has `writing`)                          reader (has `reading`)
 *   w1  room? else sleep on `emptied`               r1  a frame? else sleep on `filled`
 *   w2  a block; block_tail, block   (release)      r2  fits? copy it out
 *   w3  fill the block                              r3  returned; taken_head, taken    (release)
 *   w4  write the frame                             r4  head += frame                  (release)
 *   w5  tail += frame                (seq_cst)      r5  wake `emptied`
 *   w6  lent, block = none                          r6  taken = none, free the block
 *   w7  wake `filled`, ring the bell                r7  arm the bell again if nothing is left
 *   w2, w3 and w6, r3 and r6 only for messages that go by a block.
 *
 *   a message is | where                            | moved on by  | its writer dies here     | its reader dies here
 *   UNSENT       | before w2                        | writer       | lost; a block just got,  | -
 *                |                                  |              |   not noted yet, too     |
 *   NOTED        | block != 0, tail != block_tail   | writer: w5   | lost; its block freed *  | -
 *   SENT         | head < tail                      | reader: r4   | it arrives               | stays, the next reader gets it
 *   TAKEN        | taken != 0, head == taken_head   | reader: r6   | -                        | it was received; its block freed *
 *   GONE         | -                                | -            | -                        | a block that is just being freed
 *                |                                  |              |                          |   (between two words of r6) is lost
 *   * by who has the lock of that side next, or by fmi_line_fini().
 *
 * INVARIANTS
 *   (1) head <= tail <= head + FMI_LINE_RING, both multiples of 16; [head, tail) are whole frames.
 *   (2) tail is written by who has `writing`, head by who has `reading`.
 *   (3) A block belongs to the frame from w5 to r4; before that `block` names it, after that `taken`.
 *   (4) lent - returned is at most FMI_LINE_LENT bytes, or one message. So a reader that is slow does not fill the heap.
 *   `returned` is what the frame says of all blocks up to its own, so r3 may be done again, and comes before r4: after it the frame is no more.
 *
 * A sleeper wakes by the other side, by the death of the thread that used it last, and by itself after FMI_MORTAL_LOOK_NS: then it looks whether the other side
 * is closed, or gone (party.h) and no living thread has its lock. So it does not matter where between w5 and w7 a writer dies.
 *
 * Layout, in bytes
 *      0:  | tail | block | block_tail | lent |           who has `writing`
 *     64:  | filled |                                     wakers: the writer's side; sleepers: the reader
 *    128:  | head | taken | taken_head | returned |       who has `reading`
 *    192:  | emptied |                                    wakers: the reader's side; sleepers: the writer
 *    256:  | writing |                                    its holder
 *    320:  | reading |                                    its holder
 *    384:  | bell |                                       the reader; ringers (doorbell.h)
 *    448:  | ring |                                       the writer
 *  61888:  end
 */

#include "doorbell.h"
#include "lock.h"
#include "park.h"
#include "party.h"

#include <assert.h>
#include <forkmap/status.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FMI_LINE_RING = 61440,  /* a direction of a pipe takes one span of the heap */
    FMI_LINE_SHORT = 12288, /* longest message that lies in the ring: some can wait there */
    FMI_LINE_LENT = 1 << 26
};
enum { FMI_FRAME_INLINE = 0x4c4e494c, FMI_FRAME_BLOCK = 0x4b4c424c };

struct fmi_line_shm {
    alignas(64) _Atomic uint64_t tail;
    _Atomic uintptr_t block;
    _Atomic uint64_t block_tail, lent;
    struct fmi_park_shm filled;
    alignas(64) _Atomic uint64_t head;
    _Atomic uintptr_t taken;
    _Atomic uint64_t taken_head, returned;
    struct fmi_park_shm emptied;
    alignas(64) struct fmi_lock_shm writing;
    alignas(64) struct fmi_lock_shm reading;
    struct fmi_doorbell_shm bell;
    alignas(64) char ring[FMI_LINE_RING];
};
static_assert(sizeof(struct fmi_line_shm) == 61888, "line: layout");
static_assert(offsetof(struct fmi_line_shm, filled) == 64, "line: layout");
static_assert(offsetof(struct fmi_line_shm, head) == 128, "line: layout");
static_assert(offsetof(struct fmi_line_shm, emptied) == 192, "line: layout");
static_assert(offsetof(struct fmi_line_shm, writing) == 256, "line: layout");
static_assert(offsetof(struct fmi_line_shm, reading) == 320, "line: layout");
static_assert(offsetof(struct fmi_line_shm, bell) == 384, "line: layout");
static_assert(offsetof(struct fmi_line_shm, ring) == 448, "line: layout");

/* A line and who is at its ends. */
struct fmi_line {
    struct fmi_line_shm *shm;
    struct fmi_party_shm *writer, *reader;
    struct fmi_doorbell_shm *back; /* of the other direction, or NULL */
};

void fmi_line_init(struct fmi_line_shm *shm);
/* Waits until nobody is inside, and frees the blocks of what was not received. Both ends are closed. */
void fmi_line_fini(struct fmi_line_shm *shm);

/*
 * 0: sent; FM_ECLOSED: nobody is there to receive it; -EBADF: the writer's end is closed; -ETIMEDOUT; -ENOMEM, -ENOSPC: no room for a long message; -EMFILE ...: the reader
 * waits in poll(2) and cannot be told; FM_ECORRUPT. Not ended by signals.
 */
int fmi_line_send(const struct fmi_line *line, const void *data, size_t bytes, int64_t deadline_ns);

/*
 * 0: received; FM_ETOOLONG: *bytes is its size, and it stays; FM_ECLOSED: there is none, and nobody who could send one; -EBADF: the reader's end is closed; -ETIMEDOUT;
 * FM_ECORRUPT. Not ended by signals.
 */
int fmi_line_recv(const struct fmi_line *line, void *buf, size_t cap, size_t *bytes,
                  int64_t deadline_ns);

/* Until fmi_line_recv() would not wait. 0; -ETIMEDOUT; -EBADF. */
int fmi_line_poll(const struct fmi_line *line, int64_t deadline_ns);

/* A descriptor of this process that is readable while fmi_line_recv() would not wait; or -errno. */
int fmi_line_fileno(const struct fmi_line *line, int64_t deadline_ns);

/* What the reader's end has open in this process is closed; the end itself is, too, so who is inside leaves. */
void fmi_line_hang_up(struct fmi_line_shm *shm);

/* All who sleep here look again: one of the ends was closed, or handed on. */
void fmi_line_rouse(struct fmi_line_shm *shm);

#endif
