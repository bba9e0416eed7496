/* SPDX-License-Identifier: MIT */
/* What passes between a manager's server and its clients, as bytes; see request.h. */
#include "request.h"

#include "checked.h"
#include "error.h"
#include "snapshot.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How many fields a request has at least, and whether more may follow. */
static const struct {
    uint32_t n_least;
    int may_have_more;
} shapes[] = {
    [FMI_REQUEST_HELLO] = {3, 0},    [FMI_REQUEST_CREATE] = {2, 1}, [FMI_REQUEST_DELETE] = {1, 0},
    [FMI_REQUEST_LIST] = {0, 0},     [FMI_REQUEST_GET] = {1, 0},    [FMI_REQUEST_CALL] = {2, 1},
    [FMI_REQUEST_SHUTDOWN] = {0, 0}, [FMI_REQUEST_REPLY] = {1, 1},
};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

static uint64_t read_number(const uint8_t *from, int bytes)
{
    uint64_t number = 0;
    for (int i = bytes - 1; i >= 0; i--)
        number = number << 8 | from[i];
    return number;
}

static void write_number(uint8_t *to, int bytes, uint64_t number)
{
    for (int i = 0; i < bytes; i++, number >>= 8)
        to[i] = (uint8_t)number;
}

/* 1: n fields fill [at, end) exactly. */
static int fills(const uint8_t *at, const uint8_t *end, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (end - at < 8)
            return 0;
        uint64_t bytes = read_number(at, 8);
        at += 8;
        if (bytes > (uint64_t)(end - at))
            return 0;
        at += bytes;
    }
    return at == end;
}

static int check(const uint8_t *bytes, size_t n_bytes)
{
    if (n_bytes < FMI_REQUEST_HEADER_BYTES)
        return fmi_error(FM_EFORMAT, "%zu bytes; a header has %d", n_bytes,
                         FMI_REQUEST_HEADER_BYTES);
    if (bytes[0] != FMI_REQUEST_VERSION)
        return fmi_error(FM_EFORMAT, "version %d; this is %d", bytes[0], FMI_REQUEST_VERSION);
    if (bytes[1] == 0 || bytes[1] >= N_SHAPES || bytes[2] != 0 || bytes[3] != 0)
        return fmi_error(FM_EFORMAT, "no operation: %d, %d, %d", bytes[1], bytes[2], bytes[3]);
    uint32_t n = (uint32_t)read_number(bytes + 4, 4);
    if (n > INT32_MAX || n < shapes[bytes[1]].n_least ||
        (n > shapes[bytes[1]].n_least && !shapes[bytes[1]].may_have_more))
        return fmi_error(FM_EFORMAT, "operation %d with %" PRIu32 " fields", bytes[1], n);
    if (!fills(bytes + FMI_REQUEST_HEADER_BYTES, bytes + n_bytes, n))
        return fmi_error(FM_EFORMAT, "%" PRIu32 " fields do not make %zu bytes", n, n_bytes);
    return 0;
}

int fmi_request_decode(struct fmi_request *out, const void *given, size_t n_bytes)
{
    const uint8_t *bytes = given, *at = bytes + FMI_REQUEST_HEADER_BYTES;
    *out = (struct fmi_request){0};
    int rc = check(bytes, n_bytes);
    if (rc != 0)
        return rc;
    uint32_t n = (uint32_t)read_number(bytes + 4, 4);
    /* each field took 8 bytes at least, so this is less than twice what came */
    fm_bytes *fields = calloc((size_t)n + 1, sizeof *fields);
    if (fields == NULL)
        return fmi_error(-ENOMEM, "no memory for %" PRIu32 " fields", n);
    for (uint32_t i = 0; i < n; i++) {
        fields[i] = fm_bytes_of(at + 8, (size_t)read_number(at, 8));
        at += 8 + fields[i].bytes;
    }
    *out = (struct fmi_request){bytes[1], (int64_t)read_number(bytes + 8, 8), n, fields};
    return 0;
}

void fmi_request_clear(struct fmi_request *r)
{
    free(r->fields);
    *r = (struct fmi_request){0};
}

int fmi_request_encode(const struct fmi_request *r, uint64_t limit, void **out, size_t *n_bytes)
{
    size_t all = FMI_REQUEST_HEADER_BYTES;
    *out = NULL;
    *n_bytes = 0;
    for (uint32_t i = 0; i < r->n_fields; i++)
        if (!fmi_checked_add(all, 8, &all) || !fmi_checked_add(all, r->fields[i].bytes, &all))
            return fmi_error(FM_ETOOLONG, "more bytes than can be counted");
    if (all > limit)
        return fmi_error(FM_ETOOLONG, "%zu bytes; %" PRIu64 " may be sent (max_frame)", all, limit);
    uint8_t *bytes = malloc(all);
    if (bytes == NULL)
        return fmi_error(-ENOMEM, "no memory for a message of %zu bytes", all);
    uint8_t *at = bytes + FMI_REQUEST_HEADER_BYTES;
    memset(bytes, 0, FMI_REQUEST_HEADER_BYTES);
    bytes[0] = FMI_REQUEST_VERSION;
    bytes[1] = (uint8_t)r->op;
    write_number(bytes + 4, 4, r->n_fields);
    write_number(bytes + 8, 8, (uint64_t)r->number);
    for (uint32_t i = 0; i < r->n_fields; i++) {
        write_number(at, 8, r->fields[i].bytes);
        if (r->fields[i].bytes > 0)
            memcpy(at + 8, r->fields[i].data, r->fields[i].bytes);
        at += 8 + r->fields[i].bytes;
    }
    *out = bytes;
    *n_bytes = all;
    return 0;
}

int fmi_request_code(const struct fmi_request *reply)
{
    if (reply->op != FMI_REQUEST_REPLY || reply->number < INT32_MIN || reply->number > INT32_MAX)
        return fmi_error(FM_EFORMAT, "what the manager's server sent is no reply");
    int code = (int)reply->number;
    if (reply->fields[0].bytes > 0)
        fmi_error_note("%.*s", (int)(reply->fields[0].bytes < 400 ? reply->fields[0].bytes : 400),
                       (const char *)reply->fields[0].data);
    return code;
}

int fmi_request_snapshot(const fm_bytes *fields, uint32_t n, int is_paired, fm_snapshot **out)
{
    struct fmi_snapshot s;
    const fm_bytes none = {NULL, 0};
    size_t bytes = 0;
    const uint32_t step = is_paired ? 2 : 1;
    *out = NULL;
    if (n % step != 0)
        return fmi_error(FM_EFORMAT, "keys without a value");
    for (uint32_t i = 0; i < n; i++)
        bytes += fmi_snapshot_room(fields[i].bytes); /* they are in memory already */
    int rc = fmi_snapshot_begin(&s, n / step, bytes, is_paired, 1);
    if (rc != 0)
        return rc;
    for (uint32_t i = 0; i < n && rc == 0; i += step)
        rc = fmi_snapshot_add(&s, i, is_paired ? fields[i] : none, fields[i + step - 1]);
    if (rc == 0)
        *out = fmi_snapshot_end(&s);
    else
        fmi_snapshot_drop(&s);
    return rc;
}

int fmi_request_text(fm_bytes field, char *text, size_t cap, const char *what)
{
    if (field.bytes == 0 || field.bytes >= cap || memchr(field.data, '\0', field.bytes) != NULL)
        return fmi_error(-EINVAL, "%s has %zu bytes; it may be a text of 1 to %zu", what,
                         field.bytes, cap - 1);
    memcpy(text, field.data, field.bytes);
    text[field.bytes] = '\0';
    return 0;
}
