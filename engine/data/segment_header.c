/* SPDX-License-Identifier: MIT */
/* The header of a named segment: made, and checked before anything in it is believed; see segment.h. */
#include "segment.h"

#include "error.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t checksum_of(const struct fmi_segment_shm *header)
{
    /* FNV-1a, 64 bits: against damage, not against forgers, who would be stopped by the file's owner and mode */
    unsigned char bytes[offsetof(struct fmi_segment_shm, checksum)];
    uint64_t sum = 0xcbf29ce484222325;
    memcpy(bytes, header, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        sum = (sum ^ bytes[i]) * 0x100000001b3;
    return sum;
}

void fmi_segment_seal(struct fmi_segment_shm *header)
{
    header->checksum = checksum_of(header);
}

void fmi_segment_describe(struct fmi_segment_shm *header, uint64_t data_bytes, uint32_t page_bytes)
{
    struct timespec now;
    struct fmi_identity self;
    fmi_identity_of_self(&self);
    clock_gettime(CLOCK_REALTIME, &now);
    *header = (struct fmi_segment_shm){
        .layout = FMI_SEGMENT_LAYOUT,
        .header_bytes = page_bytes,
        .data_bytes = data_bytes,
        .start = self.start,
        .namespaces = self.namespaces,
        .created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
        .pid = self.pid,
        .uid = geteuid(),
        .state = FMI_SEGMENT_MAKING,
    };
    memcpy(header->magic, FMI_SEGMENT_MAGIC, sizeof header->magic);
    fmi_segment_seal(header);
}

static int check_frame(const struct fmi_segment_file *file, size_t n,
                       const struct fmi_segment_shm *h)
{
    if (n == 0)
        return fmi_error(-EAGAIN, "%s: empty; its creator may be about to fill it", file->name);
    if (n < sizeof *h || file->bytes < sizeof *h)
        return fmi_error(FM_ECORRUPT, "%s: %" PRIu64 " bytes are too few for a segment", file->name,
                         file->bytes);
    if (memcmp(h->magic, FMI_SEGMENT_MAGIC, sizeof h->magic) != 0)
        return fmi_error(FM_ECORRUPT, "%s: no segment of forkmap (it does not begin with %s)",
                         file->name, FMI_SEGMENT_MAGIC);
    if (h->layout != FMI_SEGMENT_LAYOUT)
        return fmi_error(FM_ECORRUPT, "%s: layout %" PRIu32 ", this library knows %d", file->name,
                         h->layout, FMI_SEGMENT_LAYOUT);
    if (h->checksum != checksum_of(h))
        return fmi_error(FM_ECORRUPT, "%s: the checksum of the header is wrong", file->name);
    if (h->state != FMI_SEGMENT_MAKING && h->state != FMI_SEGMENT_READY)
        return fmi_error(FM_ECORRUPT, "%s: no state has number %" PRIu32, file->name, h->state);
    return 0;
}

static int check_creator(const struct fmi_segment_file *file, const struct fmi_segment_shm *h)
{
    if (h->uid != file->uid)
        return fmi_error(FM_ECORRUPT, "%s: made by user %" PRIu32 ", belongs to user %" PRIu32,
                         file->name, h->uid, file->uid);
    if (h->pid <= 0 || h->created_ns < 0)
        return fmi_error(FM_ECORRUPT, "%s: made by process %" PRId32 " at %" PRId64 " ns",
                         file->name, h->pid, h->created_ns);
    return 0;
}

/* A file that is being made may have any size up to its own. */
static int check_sizes(const struct fmi_segment_file *file, const struct fmi_segment_shm *h)
{
    if (h->header_bytes != file->page_bytes)
        return fmi_error(FM_ECORRUPT,
                         "%s: a header of %" PRIu32 " bytes, pages have %" PRIu32 " here",
                         file->name, h->header_bytes, file->page_bytes);
    if (h->data_bytes == 0 || h->data_bytes > (uint64_t)INT64_MAX - h->header_bytes)
        return fmi_error(FM_ECORRUPT, "%s: no segment has %" PRIu64 " bytes", file->name,
                         h->data_bytes);
    uint64_t whole = h->header_bytes + h->data_bytes;
    if (file->bytes > whole || (h->state == FMI_SEGMENT_READY && file->bytes < whole))
        return fmi_error(FM_ECORRUPT,
                         "%s: the header promises %" PRIu64 " bytes, the file has %" PRIu64 "%s",
                         file->name, whole, file->bytes, file->bytes < whole ? "; truncated?" : "");
    return 0;
}

int fmi_segment_check(const struct fmi_segment_file *file, const void *bytes, size_t n,
                      struct fmi_segment_shm *out)
{
    struct fmi_segment_shm header = {.magic = ""};
    memcpy(&header, bytes, n < sizeof header ? n : sizeof header);
    int rc = check_frame(file, n, &header);
    if (rc == 0)
        rc = check_creator(file, &header);
    if (rc == 0)
        rc = check_sizes(file, &header);
    if (rc == 0)
        *out = header;
    return rc;
}

int fmi_segment_creator(const struct fmi_segment_shm *header)
{
    const struct fmi_identity creator = {
        .start = header->start, .namespaces = header->namespaces, .pid = header->pid};
    return fmi_identity_state(&creator);
}

const char *fmi_segment_parse_name(const char *given)
{
    const char *name = given != NULL && *given == '/' ? given + 1 : given;
    if (name == NULL || *name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
        fmi_error_note("'%s' is no name of a segment", given == NULL ? "NULL" : given);
        return NULL;
    }
    size_t n = strlen(name);
    if (n > NAME_MAX) {
        fmi_error_note("a name of %zu bytes; at most %d are allowed", n, NAME_MAX);
        return NULL;
    }
    for (size_t i = 0; i < n; i++)
        if (name[i] == '/' || (unsigned char)name[i] < ' ' || name[i] == 0x7f) {
            fmi_error_note("a name with %s at byte %zu",
                           name[i] == '/' ? "a slash" : "a control character", i);
            return NULL;
        }
    return name;
}
