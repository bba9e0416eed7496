/* SPDX-License-Identifier: MIT */
#ifndef FMI_RING_H
#define FMI_RING_H

/*
 * A bounded ring of cells between any number of writers and readers, any of whom may be killed at any instruction. Placed.
 *
 * The word of a cell decides, { state:3, round:25, who:36 } (holder.h); `tail` and `head` only tell where to look. A position is { round:40, index:24 }: lap
 * `round` of cell `index`. Whoever finds that the cell of a position is past it may move tail or head on.
 *
 *        head                 tail
 *         v                    v
 *   | FREE | FULL | FULL | WRITING | FREE | FREE |        head may be past tail for a moment: a writer that died before w4
 *     r+1     r      r        r       r      r
 *
 *   state     | holder | moved on by                                    | the holder dies here
 *   FREE r    | -      | w1 claim: WRITING; the last reader: SEALED     | -
 *   WRITING r | writer | w3 commit: FULL                                | bury: FREE r + 1; its message never was
 *   FULL r    | -      | r1 take: READING                               | -
 *   READING r | reader | r3 release: FREE r + 1                         | bury: FREE r + 1; its message is gone with it
 *   SEALED r  | -      | nobody: the ring is closed, and drained to here | -
 * FREE of round 0 is 0, against the rule that no state is: the cells of a new ring are pages that nobody has touched.
 *
 *   writer                                           reader
 *   w1  CAS: FREE r -> WRITING r, me   (acquire)     r1  CAS: FULL r -> READING r, me     (acquire)
 *   w2  size, payload                                r2  payload
 *   w3  word = FULL r                  (release)     r3  word = FREE r + 1                (release)
 *   w4  tail on                        (seq_cst)     r4  head on                          (seq_cst)
 *   w5  ring `message`                 (seq_cst)     r5  ring `room`                      (seq_cst)
 *
 * INVARIANTS
 *   (1) A word moves forward only, in (round, state); one CAS takes each step that two may try. So a message is written once and read at most once.
 *   (2) Cells are claimed, and taken, in the order of positions: a cell is claimed at `tail` only, and tail passes it only when it is past FREE.
 *       Hence the messages of one writer are in the order in which it put them.
 *   (3) A reader answers "closed" only for a SEALED cell: no writer that looked before the close can come after that.
 *   (4) tail or head that points at round r of a cell finds its word at round r - 1 (tail: the last message is still there; head: only READING) or
 *       later. Anything else is overwritten memory: FM_ECORRUPT.
 *
 * w4 and r4 come after the word, so that one operation makes both the position and the order of w5 (turnstile.h, k1): who sleeps has looked at the
 * end of the other side after it joined. A writer that was stopped for 2^25 laps could claim a cell out of turn; its message is then early.
 *
 * DIES HERE
 *   writer w1 .. w3   its cell is buried by the next reader who comes to it, or writer, a lap later; readers wait for its death until then
 *   writer w3 .. w4   the message is there; others move tail on
 *   writer w4 .. w5   the message is there; who sleeps looks after FMI_MORTAL_LOOK_NS at the latest
 *   reader r1 .. r3   its cell is buried by a writer, a lap later, or the last reader of a closed ring
 *   reader r3 .. r5   as for a writer
 * The model is tests/model/queue.pml.
 *
 * Layout of the head, in bytes                                           who writes
 *      0:  | n_cells | cell_bytes | closed |                             creator; closed: whoever closes
 *     64:  | tail |                                                      writers; readers, if a writer died
 *    128:  | head |                                                      readers; writers, if a reader died
 *    192:  | message |  a turnstile for readers                               readers that sleep; writers, if any sleeps
 *    256:  | room |     a turnstile for writers                               writers that sleep; readers, if any sleeps
 *    320:  end; the cells are elsewhere, aligned to a line
 * and of a cell
 *      0:  | word |     as above
 *      8:  | size { parcel + 1:24, bytes:40 } |                          the writer in WRITING
 *     16:  | payload |  the message, if parcel + 1 is 0
 */

#include "turnstile.h"
#include "parcel.h"

enum fmi_cell_state {
    FMI_CELL_FREE = 0,
    FMI_CELL_WRITING = 1,
    FMI_CELL_FULL = 2,
    FMI_CELL_READING = 3,
    FMI_CELL_SEALED = 4
};

enum {
    FMI_RING_WAIT = 1, /* a code: not now */
    FMI_RING_MOST_CELLS = 1 << 23,
    FMI_RING_LEAST_CELL = 64,
    FMI_RING_MOST_CELL = 4096
};
#define FMI_RING_MOST_BYTES (((uint64_t)1 << 40) - 1)

struct fmi_cell_shm {
    _Atomic uint64_t word;
    _Atomic uint64_t size;
    char payload[];
};
static_assert(sizeof(struct fmi_cell_shm) == 16, "cell: layout");

struct fmi_ring_shm {
    alignas(64) uint32_t n_cells;
    uint32_t cell_bytes;
    _Atomic uint32_t closed;
    alignas(64) _Atomic uint64_t tail;
    alignas(64) _Atomic uint64_t head;
    struct fmi_turnstile_shm message;
    struct fmi_turnstile_shm room;
};
static_assert(sizeof(struct fmi_ring_shm) == 320, "ring: layout");
static_assert(offsetof(struct fmi_ring_shm, tail) == 64, "ring: layout");
static_assert(offsetof(struct fmi_ring_shm, head) == 128, "ring: layout");
static_assert(offsetof(struct fmi_ring_shm, message) == 192, "ring: layout");

/* A process's view: private, checked by the one who makes it. */
struct fmi_ring {
    struct fmi_ring_shm *shm;
    char *cells;
    uint32_t n_cells, cell_bytes;
    struct fmi_parcels parcels; /* n is 0: there are none */
    uint64_t me;
};

/* A cell that this thread looks at, or has. */
struct fmi_spot {
    struct fmi_cell_shm *cell;
    uint64_t at, word, size;
    uint64_t holder; /* who is at it, alive; 0: nobody */
    int is_empty;    /* of fmi_ring_find: nothing is there, and nothing on its way */
};

static inline size_t fmi_ring_inline(const struct fmi_ring *ring)
{
    return ring->cell_bytes - sizeof(struct fmi_cell_shm);
}
static inline uint64_t fmi_ring_bytes_of(uint64_t size)
{
    return size & FMI_RING_MOST_BYTES;
}
static inline uint32_t fmi_ring_parcel_of(uint64_t size) /* + 1; 0: it is in the cell */
{
    return (uint32_t)(size >> 40);
}

/* On given bytes; the cells are zeroed. */
void fmi_ring_init(struct fmi_ring_shm *shm, uint32_t n_cells, uint32_t cell_bytes);

/*
 * The cell where a message would go now. 0; FMI_RING_WAIT: it is full; FM_ECLOSED; FM_ECORRUPT. Buries who died there. Takes nothing.
 */
int fmi_ring_find_room(const struct fmi_ring *ring, struct fmi_spot *spot);

/* w1. 1: it is this thread's. */
int fmi_ring_claim(const struct fmi_ring *ring, struct fmi_spot *spot);

/* w3 .. w5; w2 is the caller's but for `size`. */
void fmi_ring_commit(const struct fmi_ring *ring, struct fmi_spot *spot, uint64_t size);

/* The next message; its size is in spot->size. 0; FMI_RING_WAIT; FM_ECLOSED: and none will come; FM_ECORRUPT. Takes nothing. */
int fmi_ring_find(const struct fmi_ring *ring, struct fmi_spot *spot);

/* r1. 1: it is this thread's. */
int fmi_ring_take(const struct fmi_ring *ring, struct fmi_spot *spot);

/* r3 .. r5; r2 is the caller's. */
void fmi_ring_release(const struct fmi_ring *ring, struct fmi_spot *spot);

/* From now on nothing can be put, what is there can be taken, and whoever sleeps looks. */
void fmi_ring_close(const struct fmi_ring *ring);

/* How many messages are there: a snapshot. */
uint32_t fmi_ring_count(const struct fmi_ring *ring);

#endif
