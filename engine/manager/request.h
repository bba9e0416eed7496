/* SPDX-License-Identifier: MIT */
#ifndef FMI_REQUEST_H
#define FMI_REQUEST_H

/*
 * Requests to a manager's server, and replies: one message of a connection each. Bytes and lengths; no addresses, no code, no formats. Little-endian.
 *
 *      0:  | version | op | 0, 0 | n_fields :4 |
 *      8:  | number :8 |               of a request: timeout [ns], < 0: for ever; of a reply: its code
 *     16:  n_fields times | bytes :8 | data |      and nothing behind
 *
 *   op        | fields of a request       | of a reply, behind the detail of its code
 *   HELLO     | flags, pid, heap          | heap, max_frame, why it cannot be mapped; if it can, a message with the descriptor follows (attach.h)
 *   CREATE    | name, type, arguments     |
 *   DELETE    | name                      |
 *   LIST      |                           | name, type, ...
 *   GET       | name                      | type
 *   CALL      | name, method, arguments   | results
 *   SHUTDOWN  |                           |
 *
 * INVARIANTS
 *   (1) A message is refused unless its fields fill it exactly, before anything is allocated for them.
 *   (2) A request with an op that is none, or too few fields for it, is none.
 *   (3) What is allocated is less than three times what was received.
 */

#include <forkmap/snapshot.h>
#include <stdint.h>

enum {
    FMI_REQUEST_VERSION = 1,
    FMI_REQUEST_HEADER_BYTES = 16,
    FMI_REQUEST_REPLY_BYTES =
        64 /* of a reply without a detail, beside two results' bytes, at most */
};
#define FMI_REQUEST_MAX_FRAME ((uint64_t)64 << 20) /* [bytes] unless options say so */

enum fmi_request_op {
    FMI_REQUEST_HELLO = 1,
    FMI_REQUEST_CREATE,
    FMI_REQUEST_DELETE,
    FMI_REQUEST_LIST,
    FMI_REQUEST_GET,
    FMI_REQUEST_CALL,
    FMI_REQUEST_SHUTDOWN,
    FMI_REQUEST_REPLY
};

/* Private memory. Fields of a decoded one point into the bytes that were decoded. */
struct fmi_request {
    int op;
    int64_t number;
    uint32_t n_fields;
    fm_bytes *fields;
};

/* 0: free with fmi_request_clear(); FM_EFORMAT (detail): no message; -ENOMEM. */
int fmi_request_decode(struct fmi_request *out, const void *given, size_t n_bytes);
void fmi_request_clear(struct fmi_request *r);

/* Into *out, to be freed with free(). 0; FM_ETOOLONG: more than `limit`; -ENOMEM. */
int fmi_request_encode(const struct fmi_request *r, uint64_t limit, void **out, size_t *n_bytes);

/* The code of a reply with its detail as this thread's; for a reply of other fields than a reply has FM_EFORMAT. */
int fmi_request_code(const struct fmi_request *reply);

/* The fields from `first` on as a snapshot: values; is_paired: keys and values in turn. 0; -ENOMEM; FM_EFORMAT: an odd number of them. */
int fmi_request_snapshot(const fm_bytes *fields, uint32_t n, int is_paired, fm_snapshot **out);

/* A text field into `text`. 0; -EINVAL: empty, too long, or with a NUL in it. */
int fmi_request_text(fm_bytes field, char *text, size_t cap, const char *what);

#endif
