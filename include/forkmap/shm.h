/* SPDX-License-Identifier: MIT */
#ifndef FORKMAP_SHM_H
#define FORKMAP_SHM_H

/** @file shm.h  Named shared memory, for programs that are not of one family. */
/**
 * @defgroup fm_shms Named segments
 * Memory under a name, for programs that are not of one family.
 *
 *     fm_shm *s;                                       fm_shm *s;
 *     rc = fm_shm_create(&s, "prices", 8000, NULL);    rc = fm_shm_attach(&s, "prices", NULL);
 *     double *x = fm_shm_data(s);                      double *x = fm_shm_data(s);
 *     ...                                              ...
 *     fm_shm_close(s);                                 rc = fm_shm_unlink(s);
 *                                                      fm_shm_close(s);
 *
 * Processes of one family share a heap and need none of this: arrays, and pointers into them, mean the same in all of them. A segment
 * lies wherever the kernel puts it in each program, so a pointer that is stored in it means nothing elsewhere: store offsets.
 *
 * A segment is a file in `/dev/shm` of the same name, which only its owner may open (mode 0600). It begins with a header of one page that
 * says what it is and who made it, which no program has mapped; the data follow. It lives until its name is removed and
 * the last program that has it mapped has closed it or ended: a program that dies leaves its segments. `forkmap shm gc` removes those
 * whose creators are dead.
 *
 * A handle is memory of the process that made it. A child by fork(2), a worker of a pool too, has a copy of handle and mapping.
 * @{
 */

#include <forkmap/array.h> /* FM_AUTO */
#include <forkmap/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A segment that this process has mapped. Opaque; private to the process, and to children that it forks. */
typedef struct fm_shm fm_shm;

/** What may be done with a segment, and when it is removed. */
enum fm_shm_flag {
    FM_SHM_READ_ONLY = 1, /**< fm_shm_attach(): mapped to read; writing into it is a crash */
    FM_SHM_IF_DEAD = 2    /**< fm_shm_remove(): only if its creator has ended */
};

/** Options of fm_shm_create() and fm_shm_attach(). */
typedef struct fm_shm_opts {
    size_t struct_size; /**< set by FM_SHM_OPTS() */
    unsigned flags;     /**< of fm_shm_flag: FM_SHM_READ_ONLY, for fm_shm_attach() */
} fm_shm_opts;
/**
 * @def FM_SHM_OPTS
 * Options by name, the others 0: `FM_SHM_OPTS(.flags = FM_SHM_READ_ONLY)`.
 */
#define FM_SHM_OPTS(...) FM_OPTS(fm_shm_opts, __VA_ARGS__)

#define FM_SHM_NAME_BYTES 256 /**< room for a name, the NUL included */

/**
 * Makes a segment whose bytes are all 0, and maps it. Its memory is reserved for real: a machine without room gives an error here, never
 * a signal later. Who attaches meanwhile gets `-EAGAIN` or `-ENOENT`, never a part.
 * @param out    the segment; NULL on failure
 * @param name   1 .. 255 bytes without a slash (one in front is left away), control characters, and not "." or ".."; NULL: a random
 *               name, "fm_" and 16 hexadecimal digits
 * @param bytes  [bytes] of data, > 0
 * @param opts   FM_SHM_OPTS(...), or NULL
 * @return 0; `-EINVAL` name, bytes or options; `-EEXIST` the name is taken, by a segment or another file; `-ENOSPC`
 *         `/dev/shm` is full, `-ENOMEM` the machine or the control group is (detail: bytes asked and free); `-EFBIG` over RLIMIT_FSIZE or 2^63 - 1;
 *         `-EMFILE`, `-EACCES` ... what the kernel said
 * State after an error: nothing was made.
 * Blocks / thread-safety: as long as the kernel needs to reserve the pages; any thread.
 * Source: multiprocessing.shared_memory.SharedMemory(name, create=True, size).
 */
FM_API FM_NODISCARD int fm_shm_create(fm_shm **out, const char *name, size_t bytes,
                                      const fm_shm_opts *opts);

/**
 * Maps a segment that a program of this user made. Nothing in it is believed before it was compared with the file's size, owner and mode.
 * @param out   the segment; NULL on failure
 * @param name  as fm_shm_create(); not NULL
 * @param opts  FM_SHM_OPTS(.flags = FM_SHM_READ_ONLY), or NULL
 * @return 0; `-EINVAL` name or options; `-ENOENT` no such name; `-EAGAIN` its creator is still making it; FM_ECORRUPT it is no
 *         segment: another program's file, another user's, too short, too long, or damaged, or its creator died as it made it (detail);
 *         `-EACCES` of another user; `-ENOMEM`, `-EMFILE` ... what the kernel said
 * State after an error: nothing was mapped.
 * Undefined: making the file shorter. Whoever touches what is gone gets SIGBUS, which no check beforehand can prevent.
 * Blocks / thread-safety: never; any thread.
 * Source: multiprocessing.shared_memory.SharedMemory(name).
 */
FM_API FM_NODISCARD int fm_shm_attach(fm_shm **out, const char *name, const fm_shm_opts *opts);

/**
 * Its first byte, at a multiple of the page size, so at least of 64.
 * @param s  a segment
 * @return address, of this process; to read only with FM_SHM_READ_ONLY; NULL for NULL
 * Blocks / thread-safety: as the two below: never; any thread.
 * Source: SharedMemory.buf.
 */
FM_API void *fm_shm_data(const fm_shm *s);
/** What fm_shm_create() was asked for, not rounded up. @param s  a segment @return [bytes]; 0 for NULL */
FM_API size_t fm_shm_bytes(const fm_shm *s);
/** Its name, without a slash. @param s  a segment @return a text that lives as long as `s`; "" for NULL */
FM_API const char *fm_shm_name(const fm_shm *s);

/**
 * Detaches this process: unmaps the data and frees the handle. The segment stays, and so does the mapping of others, children included.
 * @param s  a segment; NULL is ignored
 * Undefined: using `s` or its data afterwards.
 * Blocks / thread-safety: never; no other thread may use `s` meanwhile.
 * Source: SharedMemory.close.
 */
FM_API void fm_shm_close(fm_shm *s);

/**
 * Removes the segment's name. The memory stays for those who have it mapped, and goes with the last of them; the name may be
 * used again at once.
 * @param s  a segment; any process that has it may do this, once
 * @return 0; `-ENOENT` the name is gone, or is another segment's by now; `-EAGAIN` another process removes it just now; `-EINVAL` NULL;
 *         `-EACCES` ... what the kernel said
 * State after an error: the name is as it was.
 * Blocks / thread-safety: never; any thread.
 * Source: SharedMemory.unlink.
 */
FM_API FM_NODISCARD int fm_shm_unlink(fm_shm *s);

/** Whether a segment's creator runs. A process whose number was given to another one has ended. */
enum fm_shm_creator {
    FM_SHM_ALIVE = 1, /**< it runs */
    FM_SHM_DEAD = 2,  /**< it has ended */
    FM_SHM_UNKNOWN =
        3 /**< it cannot be told: it was in another container (pid namespace), or `/proc` is hidden */
};

/** What fm_shm_list() tells of a segment. */
typedef struct fm_shm_info {
    char name[FM_SHM_NAME_BYTES]; /**< without a slash */
    size_t bytes;                 /**< of data [bytes] */
    int64_t age_ns;               /**< since it was created [ns], by the clock of the day */
    int pid;                      /**< of its creator, in the creator's pid namespace */
    int creator;                  /**< an fm_shm_creator */
    int is_ready;                 /**< 0: it is being made, or its creator died as it made it */
} fm_shm_info;

/**
 * The segments of this user, in the order of their names. Files that are no segments, and those of other users, are left out.
 * @param list  gets up to n of them; may be NULL when n is 0
 * @param n     room in `list`
 * @return how many there are (may exceed n; may have changed by now); `-EINVAL` n < 0, NULL; `-ENOMEM`; `-ENOENT`, `-EACCES`, `-EMFILE` ...
 *         `/dev/shm` cannot be read
 * State after an error: `list` is undefined.
 * Blocks / thread-safety: never; any thread.
 */
FM_API int fm_shm_list(fm_shm_info *list, int n);

/**
 * Removes the name of a segment that this process may not have mapped, as fm_shm_unlink() does. A file that is no segment of this user is left alone.
 * @param name   as fm_shm_attach()
 * @param flags  FM_SHM_IF_DEAD: only if its creator is known to have ended; or 0
 * @return 0; `-EINVAL`; `-ENOENT` no such name; `-EBUSY` with FM_SHM_IF_DEAD: its creator runs, or that cannot be told; `-EAGAIN` another process
 *         removes it just now; FM_ECORRUPT it is no segment; `-EACCES` ... what the kernel said
 * State after an error: the name is as it was.
 * Blocks / thread-safety: never; any thread.
 */
FM_API FM_NODISCARD int fm_shm_remove(const char *name, unsigned flags);

/** @} */

static inline void fm_shm_auto(fm_shm **s)
{
    fm_shm_close(*s);
}

#ifdef __cplusplus
}
#endif
#endif
